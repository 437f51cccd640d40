"""The protocol without a socket or a clock: bytes in, events out, bytes to send back."""
