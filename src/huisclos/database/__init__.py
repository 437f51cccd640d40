"""Adapters of the index, the decisions and the accounts, on SQLite and PostgreSQL; their migrations."""

from huisclos.database.accounts import SqlAccounts
from huisclos.database.decisions import SqlDecisions
from huisclos.database.index import SqlIndex

__all__ = ["SqlAccounts", "SqlDecisions", "SqlIndex"]
