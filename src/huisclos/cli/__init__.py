"""The command line: one file per group of commands. What a command needs is imported when it runs."""
