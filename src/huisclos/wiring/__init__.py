"""Where ports meet adapters: the only rooms that see both."""
