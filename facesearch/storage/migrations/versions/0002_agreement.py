"""How well each face agrees with its mirror image; the index holds people instead of faces."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    with op.batch_alter_table("faces") as faces:
        faces.add_column(sa.Column("agreement", sa.Float, nullable=False, server_default="1"))
    # another revision, so that an index of faces is not taken for one of people
    op.execute("UPDATE settings SET value = value || '-2' WHERE key = 'revision'")
