"""The tables of the store, as the newest migration leaves them."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

METADATA: Final = MetaData()

BIG: Final = BigInteger().with_variant(Integer(), "sqlite")  # SQLite numbers rows by themselves only in an INTEGER
TIME: Final = Float(53)  # seconds since 1970, UTC

SETTINGS: Final = Table(
    "settings",
    METADATA,
    Column("name", String(100), primary_key=True),
    Column("value", Text, nullable=False),
)
"""Facts of the store itself, drawn when it is made, such as the salt of hashed units."""

AUDIT_ENTRIES: Final = Table(
    "audit_entries",
    METADATA,
    Column("number", BIG, primary_key=True, autoincrement=False),
    Column("content", Text, nullable=False),
)
"""One change each, as canonical JSON; numbered from 0 without a gap. Append-only."""

AUDIT_NODES: Final = Table(
    "audit_nodes",
    METADATA,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("position", BIG, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary(32), nullable=False),
)
"""Hashes of the Merkle tree's complete subtrees, of 2^level entries each; level 0 is the entries' own. Append-only."""

RELEASES: Final = Table(
    "releases",
    METADATA,
    Column("id", BIG, primary_key=True, autoincrement=True),
    Column("name", String(100), nullable=False, unique=True),
    Column("model", String(200), nullable=False),
    Column("created", TIME, nullable=False),
    Column("content", Text, nullable=False),
    Index("releases_by_model", "model"),
)
"""What a release is: all that never changes, as JSON. Append-only."""

RELEASE_STATES: Final = Table(
    "release_states",
    METADATA,
    Column("number", BIG, primary_key=True, autoincrement=True),
    Column("release", BIG, ForeignKey("releases.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", String(20), nullable=False),
    Column("share", Float(53), nullable=False),
    Column("asked_by", String(200)),
    Column("time", TIME, nullable=False),
    Column("entry", BIG, ForeignKey("audit_entries.number"), nullable=False),
    Column("epoch", Text),
    UniqueConstraint("release", "version", name="one_state_per_version"),
)
"""The switch: the row of a release's highest version says what it does now; of several arms, their shares as JSON.
Append-only."""

EXPOSURES: Final = Table(
    "exposures",
    METADATA,
    Column("number", BIG, primary_key=True, autoincrement=True),
    Column("request", String(200), nullable=False, unique=True),
    Column("time", TIME, nullable=False),
    Column("model", String(200), nullable=False),
    Column("release", String(100)),
    Column("version", Integer),
    Column("arm", String(20), nullable=False),
    Column("dry_run", Boolean, nullable=False),
    Column("unit", String(64)),
    Column("artifact", String(64)),
    Column("content", Text, nullable=False),
    Index("exposures_by_release", "release", "arm", "dry_run", "unit"),
    Index("exposures_by_unit", "unit"),
    Index("exposures_in_order", "release", "number"),
    Index("exposures_by_artifact", "artifact", "number"),
)
"""One row a request: what was applied and what it did. Append-only, but for forgetting whose it was."""

EXPOSURE_TEXTS: Final = Table(
    "exposure_texts",
    METADATA,
    Column("request", String(200), primary_key=True),
    Column("unit", String(64)),
    Column("time", TIME, nullable=False),
    Column("encrypted", Boolean, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Index("texts_by_unit", "unit"),
    Index("texts_by_time", "time"),
)
"""Prompts and answers, where they are kept at all; removed when they are too old or their unit is forgotten."""

ANSWER_SCORES: Final = Table(
    "answer_scores",
    METADATA,
    Column("request", String(200), primary_key=True),
    Column("content", Text, nullable=False),
)
"""What the plain and the steered model make of an answer, where monitoring had it scored, as JSON. Append-only."""

OUTCOMES: Final = Table(
    "outcomes",
    METADATA,
    Column("number", BIG, primary_key=True, autoincrement=True),
    Column("request", String(200), nullable=False),
    Column("metric", String(100), nullable=False),
    Column("source", String(20), nullable=False),
    Column("value", Float(53)),
    Column("label", String(100)),
    Column("who", String(200), nullable=False),
    Column("by_unit", Boolean, nullable=False),
    Column("consent", Boolean, nullable=False),
    Column("happened", TIME, nullable=False),
    Column("came", TIME, nullable=False),
    Column("key", String(64), unique=True),
    Index("outcomes_by_request", "request", "metric", "source"),
    Index("outcomes_in_order", "metric", "source", "number"),
)
"""What came of a request: one value of one metric a row; of several the last counts. Append-only."""

OUTCOME_TEXTS: Final = Table(
    "outcome_texts",
    METADATA,
    Column("number", BIG, ForeignKey("outcomes.number"), primary_key=True, autoincrement=False),
    Column("time", TIME, nullable=False),
    Column("encrypted", Boolean, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Index("outcome_texts_by_time", "time"),
)
"""Comments and corrected texts, where texts are kept at all; removed like those of exposures."""

METRIC_DEFINITIONS: Final = Table(
    "metric_definitions",
    METADATA,
    Column("number", BIG, primary_key=True, autoincrement=True),
    Column("name", String(100), nullable=False),
    Column("version", Integer, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("content", Text, nullable=False),
    Column("time", TIME, nullable=False),
    Column("entry", BIG, ForeignKey("audit_entries.number"), nullable=False),
    UniqueConstraint("name", "version", name="one_definition_per_version"),
)
"""What metrics mean, as JSON; the highest version of a name holds for new releases. Append-only."""
