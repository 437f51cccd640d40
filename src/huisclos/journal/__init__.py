"""The journal: an append-only chain of who did what. Pure: bytes in, bytes out."""
