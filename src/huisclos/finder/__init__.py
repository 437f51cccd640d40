"""The process that holds identity records in memory while the archive is unlocked, and its client."""
