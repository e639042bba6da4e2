"""A release takes a check of this steering that fits what is to be served, or a reason that is recorded."""

import os
from collections.abc import Callable
from pathlib import Path
from time import time
from typing import Any

import pytest
from tests.operations.releases.conftest import releases_of
from tests.reports.conftest import build
from tests.serving.steerings import FACTS, write_steering

from trimtab.errors import InputError
from trimtab.operations import Release, Store, arm_of
from trimtab.results import report as rec

Create = Callable[..., Release]


@pytest.fixture
def warm(tmp_path: Path) -> Path:
    checked = {"decision": "go", "scope": "generated"}
    return write_steering(tmp_path / "warm", {"warm": 2.0}, {"warm": checked}, presets={"gentle": {"warm": 1.0}})


@pytest.fixture
def check(tmp_path: Path, warm: Path) -> Callable[..., Path]:
    """Write the report of a check of the steering; changes replace fields."""

    def write(decision: str = "caution", strength: float = 1.0, **changes: Any) -> Path:
        given = build(n=12)
        fields = {
            "verdict": given.verdict.model_copy(update={"decision": decision, "strength": strength}),
            "steering": rec.SteeringRecord(
                id=arm_of(warm)[0].artifact, method="m", attributes={"warm": 2.0}, edits={}, trained_on_this=None
            ),
            "model": given.model.model_copy(update={"digest": FACTS.digest}),
            "scope": "generated",
            "chat_template": True,
            "rows": (),
        }
        report = given.model_copy(update=fields | changes)
        folder = tmp_path / "check"
        folder.mkdir(exist_ok=True)
        (folder / "report.json").write_text(report.model_dump_json(by_alias=True))
        return folder

    return write


@pytest.fixture
def create(lite: Store, warm: Path) -> Create:
    def made(*checks: Path, **fields: Any) -> Release:
        return releases_of(lite).create("first", warm, by="ada", model="tiny", checks=checks, **fields)

    return made


def test_a_check_that_fits_is_enough(create: Create, check: Callable[..., Path]) -> None:
    folder = check()
    release = create(folder)
    evidence = release.definition.evidence
    assert evidence.checks == (str(folder / "report.json"),)
    assert evidence.decisions == ("caution",)
    assert evidence.faults == evidence.differences == ()
    assert release.definition.digest == FACTS.digest
    assert release.definition.dtype == "float32", "servers of another dtype are to see that it was not checked there"
    assert release.definition.treatment.scope == "generated"


FAULTS = {
    "no-go": ({"decision": "no-go"}, "its verdict is no-go"),
    "inconclusive": ({"decision": "inconclusive"}, "its verdict is inconclusive"),
    "weights": ({"model": rec.ModelRecord(id="m", revision=None, digest="f" * 64, architecture="A", n_blocks=1,
                                          d_model=1)}, "it was made on other weights"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_check_that_is_not_enough_needs_a_reason(create: Create, check: Callable[..., Path], name: str) -> None:
    changes, why = FAULTS[name]
    folder = check(**changes)
    with pytest.raises(InputError, match=why) as raised:
        create(folder)
    assert (raised.value.code, raised.value.field) == ("unfit-evidence", "unchecked")
    evidence = create(folder, unchecked="for the demonstration").definition.evidence
    assert evidence.unchecked == "for the demonstration"
    assert why in evidence.faults[0]


def test_no_check_needs_a_reason(create: Create) -> None:
    with pytest.raises(InputError, match="no check is given"):
        create()
    with pytest.raises(InputError, match="the reason is empty"):
        create(unchecked=" ")
    assert create(unchecked="nothing depends on it").definition.evidence.faults == ("no check is given",)


def test_a_check_that_is_old_or_of_the_future_is_not_enough(create: Create, check: Callable[..., Path]) -> None:
    file = check() / "report.json"
    os.utime(file, (0, time() - 31 * 86_400))
    with pytest.raises(InputError, match="31 days old, and at most 30"):
        create(file)
    os.utime(file, (0, time() + 3600))
    with pytest.raises(InputError, match="set the clock right"):
        create(file)
    os.utime(file, (0, time() - 31 * 86_400))
    assert create(file, max_age_days=40).definition.evidence.faults == ()


DIFFERENCES = {
    "chat": ({"chat_template": False}, {}, "checked without the chat template, served with it"),
    "scope": ({"scope": "all"}, {}, "checked in scope all, served in generated"),
    "served scope": ({}, {"scope": "last"}, "checked in scope generated, served in last"),
    "dtype": ({}, {"dtype": "bfloat16"}, "checked in float32, served in bfloat16"),
    "strength": ({}, {"strength": "gentle"}, "checked at strength warm=2, served at 1"),
    "factor": ({"strength": 0.5}, {}, "checked at strength warm=1, served at 2"),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_what_is_served_otherwise_than_checked_is_named_and_needs_a_reason(
    create: Create, check: Callable[..., Path], name: str
) -> None:
    changes, fields, why = DIFFERENCES[name]
    folder = check(**changes)
    with pytest.raises(InputError, match=why) as raised:
        create(folder, **fields)
    assert (raised.value.code, raised.value.field) == ("unfit-evidence", "accepted")
    evidence = create(folder, accepted="we looked at it", **fields).definition.evidence
    assert [one.partition(": ")[2] for one in evidence.differences] == [why]
    assert evidence.accepted == "we looked at it"


def test_the_check_of_another_steering_is_refused_whatever_the_reason(
    create: Create, check: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="is a check of contrast examples, not of warm"):
        create(check(steering=None), unchecked="no matter")
    other = rec.SteeringRecord(id="c" * 64, method="m", attributes={}, edits={}, trained_on_this=None)
    with pytest.raises(InputError, match="is a check of the steering cccccccccccc"):
        create(check(steering=other), unchecked="no matter")
    with pytest.raises(InputError, match="does not exist"):
        create(tmp_path / "none")


def test_a_control_that_steers_needs_a_check_too(
    create: Create, check: Callable[..., Path], warm: Path, tmp_path: Path
) -> None:
    cold = write_steering(tmp_path / "cold", {"cold": 3.0})
    of_warm = check()
    with pytest.raises(InputError, match="no check of cold at cold=3 is given"):
        create(of_warm, control=cold)
    with pytest.raises(InputError, match="no check of warm at warm=1 is given"):
        create(of_warm, control=warm, control_strength="gentle")
    of_warm = of_warm.rename(tmp_path / "strong")
    both = create(of_warm, check(strength=0.5), control=warm, control_strength="gentle")
    assert both.definition.evidence.faults == both.definition.evidence.differences == ()


def test_checks_in_different_dtypes_need_to_be_told_which_is_served(
    create: Create, check: Callable[..., Path], tmp_path: Path
) -> None:
    first = check().rename(tmp_path / "first")
    second = check(dtype="bfloat16")
    with pytest.raises(InputError, match="checked in bfloat16 and float32, and only one"):
        create(first, second)
    with pytest.raises(InputError, match="checked in bfloat16, served in float32"):
        create(first, second, dtype="float32")


def test_arms_have_strengths_by_preset_and_control_its_own(lite: Store, warm: Path, tmp_path: Path) -> None:
    cold = write_steering(tmp_path / "cold", {"cold": 3.0})
    release = releases_of(lite).create(
        "first", warm, cold, by="ada", model="tiny", strength="gentle", unchecked="a test", metric="length",
        guardrails=("errors",), stages=(10, 100),
    )  # fmt: skip
    definition = release.definition
    assert definition.treatment.strength == {"warm": 1.0}
    assert definition.control.strength == {"cold": 3.0}
    assert (definition.metric, definition.guardrails, definition.stages) == ("length", ("errors",), (10, 100))
    assert len(definition.salt) == 32
