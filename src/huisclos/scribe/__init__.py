"""The scribe: what the house does for itself while it is unlocked."""
