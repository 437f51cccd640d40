"""Fixtures of the database tests."""

from tests.database.databases import postgres, where

__all__ = ["postgres", "where"]
