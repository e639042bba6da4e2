"""Shares of several arms, beside the state of a release."""

import sqlalchemy as sa
from alembic import op

from trimtab.operations.store.protection import fixed

revision = "0003"
down_revision = "0002"

_COLUMNS = ("number", "release", "version", "state", "share", "asked_by", "time", "entry", "epoch")


def upgrade() -> None:
    op.add_column("release_states", sa.Column("epoch", sa.Text))
    for statement in fixed(op.get_bind().dialect.name, "release_states", _COLUMNS):
        op.execute(sa.text(statement))
