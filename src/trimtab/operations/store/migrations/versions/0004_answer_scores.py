"""Scores of steered answers, and a way to the answers under a steering."""

import sqlalchemy as sa
from alembic import op

from trimtab.operations.store.protection import append_only

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_index("exposures_by_artifact", "exposures", ["artifact", "number"])
    op.create_table(
        "answer_scores",
        sa.Column("request", sa.String(200), primary_key=True),
        sa.Column("content", sa.Text, nullable=False),
    )
    for statement in append_only(op.get_bind().dialect.name, "answer_scores", ("request", "content")):
        op.execute(sa.text(statement))
