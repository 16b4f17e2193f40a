"""The journal: messages, and what was said of them."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the two tables."""
    op.create_table(
        "feedback_messages",
        sa.Column("id", _number, primary_key=True),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("form", sa.String(8), nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("size_bytes", sa.Integer, nullable=False),
        sa.UniqueConstraint("digest", name="uq_feedback_messages_digest"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "feedback_entries",
        sa.Column("position", _number, primary_key=True),
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("supersedes", sa.String(32)),
        sa.Column("message_id", _number, sa.ForeignKey("feedback_messages.id", name="fk_feedback_entries_message_id")),
        sa.Column("label", sa.String(4)),
        sa.Column("reporter", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("request_id", sa.Text),
        sa.Column("model_version", sa.Text),
        sa.Column("spam_probability", sa.Float),
        sa.Column("forgotten_at", sa.DateTime(timezone=True)),
        sa.UniqueConstraint("id", name="uq_feedback_entries_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_feedback_entries_message_id", "feedback_entries", ["message_id", "position"])
    op.create_index("ix_feedback_entries_created_at", "feedback_entries", ["created_at"])
    op.create_index("ix_feedback_entries_forgotten_at", "feedback_entries", ["forgotten_at"])
