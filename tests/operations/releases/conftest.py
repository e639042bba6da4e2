"""Releases whose steerings need not lie on disk."""

from typing import Any

import pytest

from trimtab.operations import Arm, Definition, Releases, Store

WARM = Arm(name="warm", artifact="a" * 64, strength={"warm": 1.0})
COLD = Arm(name="cold", artifact="b" * 64, strength={"cold": 1.0})


def defined(name: str = "first", **fields: Any) -> Definition:
    """A release of WARM against the unsteered model."""
    given = {"model": "tiny", "treatment": WARM, "stages": (1, 5, 25, 50, 100), "salt": f"salt of {name}"}
    return Definition.made(name=name, **(given | fields))


def releases_of(store: Store) -> Releases:
    return Releases(store, artifact_now=lambda arm: arm.artifact)


@pytest.fixture
def releases(store: Store) -> Releases:
    """In both databases."""
    return releases_of(store)


@pytest.fixture
def local(lite: Store) -> Releases:
    """In SQLite."""
    return releases_of(lite)
