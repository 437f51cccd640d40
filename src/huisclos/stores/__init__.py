"""Adapters of the ObjectStore port: where sealed bytes lie."""
