"""Decoding and rendering in throw-away processes (P8)."""
