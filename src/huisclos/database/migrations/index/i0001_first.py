"""Studies, instances, the checkpoint."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "i0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "study",
        sa.Column("study_id", sa.String(64), primary_key=True),
        sa.Column("uid_token", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("manifest_digest", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("record", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "instance",
        sa.Column("instance_id", sa.String(64), primary_key=True),
        sa.Column("study_id", sa.String(64), sa.ForeignKey("study.study_id"), nullable=False, index=True),
        sa.Column("uid_token", sa.LargeBinary, nullable=False, index=True),
        sa.Column("record", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "checkpoint",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("record", sa.LargeBinary, nullable=False),
    )
