"""huisclos: medical images behind closed doors."""

__version__ = "0.1.0"
