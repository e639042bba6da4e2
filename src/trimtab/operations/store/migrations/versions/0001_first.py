"""The first tables."""

import secrets

import sqlalchemy as sa
from alembic import op

from trimtab.operations.store.protection import protecting

revision = "0001"
down_revision = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.Float(53)


def upgrade() -> None:
    made = [*_audit(), *_releases(), *_exposures()]
    settings = op.create_table(
        "settings", sa.Column("name", sa.String(100), primary_key=True), sa.Column("value", sa.Text, nullable=False)
    )
    op.bulk_insert(settings, [{"name": "unit_salt", "value": secrets.token_hex(32)}])
    columns = {table.name: tuple(column.name for column in table.columns) for table in made}
    for statement in protecting(op.get_bind().dialect.name, columns):
        op.execute(sa.text(statement))


def _audit() -> tuple[sa.Table, ...]:
    entries = op.create_table(
        "audit_entries",
        sa.Column("number", BIG, primary_key=True, autoincrement=False),
        sa.Column("content", sa.Text, nullable=False),
    )
    nodes = op.create_table(
        "audit_nodes",
        sa.Column("level", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("position", BIG, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
    )
    return entries, nodes


def _releases() -> tuple[sa.Table, ...]:
    releases = op.create_table(
        "releases",
        sa.Column("id", BIG, primary_key=True, autoincrement=True),
        sa.Column("name", sa.String(100), nullable=False, unique=True),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
    )
    op.create_index("releases_by_model", "releases", ["model"])
    states = op.create_table(
        "release_states",
        sa.Column("number", BIG, primary_key=True, autoincrement=True),
        sa.Column("release", BIG, sa.ForeignKey("releases.id"), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("share", sa.Float(53), nullable=False),
        sa.Column("asked_by", sa.String(200)),
        sa.Column("time", TIME, nullable=False),
        sa.Column("entry", BIG, sa.ForeignKey("audit_entries.number"), nullable=False),
        sa.UniqueConstraint("release", "version", name="one_state_per_version"),
    )
    return releases, states


def _exposures() -> tuple[sa.Table, ...]:
    exposures = op.create_table(
        "exposures",
        sa.Column("number", BIG, primary_key=True, autoincrement=True),
        sa.Column("request", sa.String(200), nullable=False, unique=True),
        sa.Column("time", TIME, nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("release", sa.String(100)),
        sa.Column("version", sa.Integer),
        sa.Column("arm", sa.String(20), nullable=False),
        sa.Column("dry_run", sa.Boolean, nullable=False),
        sa.Column("unit", sa.String(64)),
        sa.Column("artifact", sa.String(64)),
        sa.Column("content", sa.Text, nullable=False),
    )
    op.create_index("exposures_by_release", "exposures", ["release", "arm", "dry_run", "unit"])
    op.create_index("exposures_by_unit", "exposures", ["unit"])
    texts = op.create_table(
        "exposure_texts",
        sa.Column("request", sa.String(200), primary_key=True),
        sa.Column("unit", sa.String(64)),
        sa.Column("time", TIME, nullable=False),
        sa.Column("encrypted", sa.Boolean, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.create_index("texts_by_unit", "exposure_texts", ["unit"])
    op.create_index("texts_by_time", "exposure_texts", ["time"])
    return exposures, texts
