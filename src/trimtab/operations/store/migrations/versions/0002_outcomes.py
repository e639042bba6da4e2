"""What came of requests, and what metrics mean."""

import sqlalchemy as sa
from alembic import op

from trimtab.operations.store.protection import append_only, keeping_first, refusing_second

revision = "0002"
down_revision = "0001"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.Float(53)
_ONCE = {
    "releases": ("name",),
    "release_states": ("release", "version"),
    "metric_definitions": ("name", "version"),
}


def upgrade() -> None:
    op.create_index("exposures_in_order", "exposures", ["release", "number"])
    for table in (_outcomes(), _metrics()):
        columns = tuple(column.name for column in table.columns)
        for statement in append_only(op.get_bind().dialect.name, table.name, columns):
            op.execute(sa.text(statement))
    if op.get_bind().dialect.name == "sqlite":
        for name, column in (("exposures", "request"), ("outcomes", "key")):
            op.execute(sa.text(keeping_first(name, column)))
        for name, columns in _ONCE.items():
            op.execute(sa.text(refusing_second(name, *columns)))


def _outcomes() -> sa.Table:
    outcomes = op.create_table(
        "outcomes",
        sa.Column("number", BIG, primary_key=True, autoincrement=True),
        sa.Column("request", sa.String(200), nullable=False),
        sa.Column("metric", sa.String(100), nullable=False),
        sa.Column("source", sa.String(20), nullable=False),
        sa.Column("value", sa.Float(53)),
        sa.Column("label", sa.String(100)),
        sa.Column("who", sa.String(200), nullable=False),
        sa.Column("by_unit", sa.Boolean, nullable=False),
        sa.Column("consent", sa.Boolean, nullable=False),
        sa.Column("happened", TIME, nullable=False),
        sa.Column("came", TIME, nullable=False),
        sa.Column("key", sa.String(64), unique=True),
    )
    op.create_index("outcomes_by_request", "outcomes", ["request", "metric", "source"])
    op.create_index("outcomes_in_order", "outcomes", ["metric", "source", "number"])
    op.create_table(
        "outcome_texts",
        sa.Column("number", BIG, sa.ForeignKey("outcomes.number"), primary_key=True, autoincrement=False),
        sa.Column("time", TIME, nullable=False),
        sa.Column("encrypted", sa.Boolean, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.create_index("outcome_texts_by_time", "outcome_texts", ["time"])
    return outcomes


def _metrics() -> sa.Table:
    return op.create_table(
        "metric_definitions",
        sa.Column("number", BIG, primary_key=True, autoincrement=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("time", TIME, nullable=False),
        sa.Column("entry", BIG, sa.ForeignKey("audit_entries.number"), nullable=False),
        sa.UniqueConstraint("name", "version", name="one_definition_per_version"),
    )
