"""Jobs of the service: what they are to do, the photos that were sent for them, their results."""

import sqlalchemy as sa
from alembic import op

from facesearch.storage.migrations import CHECKSUM, Guarded

revision = "0006"
down_revision = "0005"

GUARDED = (
    Guarded(
        "jobs",
        "number",
        (
            "created",
            "which",
            "insist",
            "folder",
            "state",
            "cancelled",
            "looked_at",
            "total",
            "reason",
            "finished",
        ),
    ),
    Guarded("job_photos", "id", ("job", "name", "file", "size", "content")),
    Guarded("job_results", "id", ("job", "key", "result")),
)


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("number", sa.Text, primary_key=True),
        sa.Column("created", sa.Text, nullable=False),
        sa.Column("which", sa.Text, nullable=False),
        sa.Column("insist", sa.Boolean, nullable=False),
        sa.Column("folder", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("cancelled", sa.Boolean, nullable=False),
        sa.Column("looked_at", sa.Integer, nullable=False),
        sa.Column("total", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("finished", sa.Text),
        sa.Column("checksum", CHECKSUM),
    )
    op.create_table(
        "job_photos",
        sa.Column("id", sa.Text, primary_key=True),
        _job(),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("checksum", CHECKSUM),
    )
    op.create_table(
        "job_results",
        sa.Column("id", sa.Integer, primary_key=True),
        _job(),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("result", sa.JSON, nullable=False),
        sa.Column("checksum", CHECKSUM),
    )
    op.create_index("photos_by_job", "job_photos", ["job"])
    op.create_index("results_by_job", "job_results", ["job"])
    for rows in GUARDED:
        rows.guard()


def _job() -> sa.Column[str]:
    key = sa.ForeignKey("jobs.number", ondelete="CASCADE")
    return sa.Column("job", sa.Text, key, nullable=False)
