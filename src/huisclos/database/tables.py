"""The tables, one schema for SQLite and PostgreSQL.

What is in clear here is what `archive/index_ports.py` says may be: random ids, keyed tokens,
versions, states, key epochs. Everything else is a sealed record (P1).
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Float, ForeignKey, Integer, LargeBinary, MetaData, String, Table

ID: Final = 64
"""Characters; ids are 32 hex digits today."""

index: Final = MetaData()
decisions: Final = MetaData()
accounts: Final = MetaData()

BOOKS: Final = {"index": index, "decisions": decisions, "accounts": accounts}
"""Each has its own file under SQLite; under PostgreSQL they may share one database."""

study: Final = Table(
    "study",
    index,
    Column("study_id", String(ID), primary_key=True),
    Column("uid_token", LargeBinary, nullable=False, unique=True),
    Column("version", Integer, nullable=False),
    Column("manifest_digest", LargeBinary, nullable=False),
    Column("state", String(16), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("record", LargeBinary, nullable=False),
)
instance: Final = Table(
    "instance",
    index,
    Column("instance_id", String(ID), primary_key=True),
    Column("study_id", String(ID), ForeignKey("study.study_id"), nullable=False, index=True),
    Column("uid_token", LargeBinary, nullable=False, index=True),
    Column("record", LargeBinary, nullable=False),
)
checkpoint: Final = Table(
    "checkpoint",
    index,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("record", LargeBinary, nullable=False),
)

doubt: Final = Table(
    "doubt",
    decisions,
    Column("id", String(ID), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("record", LargeBinary, nullable=False),
)

# ROW is a reserved word of SQL, and PostgreSQL minds.
signed_row: Final = Table(
    "signed_row",
    accounts,
    Column("kind", String(32), primary_key=True),
    Column("id", String(ID), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
)
pending: Final = Table(
    "pending",
    accounts,
    Column("id", String(ID), primary_key=True),
    Column("made", Float(53), nullable=False),
    Column("body", LargeBinary, nullable=False),
)
