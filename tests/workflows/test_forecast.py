"""The forecast of a check: what it says is to come is what is told as done, stage by stage."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.workflows.test_study import few

import trimtab as tt
from trimtab.experiment.progress import Silent
from trimtab.models import Model
from trimtab.models import capture as captures


class Told(Silent):
    """What a check says is to come, and what it says is done."""

    def __init__(self) -> None:
        self.total = 0
        self.done: Counter[str] = Counter()

    def begin(self, amount: int, seconds: float, unit: str = "") -> None:
        self.total += amount

    def advance(self, stage: str, amount: int) -> None:
        self.done[stage] += amount


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Model:
    return tt.load(tiny_folder, dtype="float32")


@pytest.mark.parametrize(
    "options", [{}, {"site": 1, "strength": 1.0}, {"site": 1, "prompt_types": "prefilled"}], ids=str
)
def test_what_was_announced_is_what_was_done(options: dict[str, Any], model: Model) -> None:
    given = Told()
    tt.check(model, few("sentiment", 80), train=24, evaluation=30, progress=given, effort="thorough", **options)
    done = sum(given.done.values())
    assert given.done["other prompts"] > 0
    assert given.total == pytest.approx(done, rel=0.15)


def test_a_check_without_a_folder_does_not_read_texts_again_and_again(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: Counter[tuple[Any, ...]] = Counter()
    real = captures.capture

    def counted(lm: Model, rows: Any, sites: Any, read: Any, *more: Any, **options: Any) -> Any:
        seen[tuple(row.ids for row in rows), tuple(map(str, sites)), read] += 1
        return real(lm, rows, sites, read, *more, **options)

    for name in ("experiment.instrument", "measurements.activations"):
        monkeypatch.setattr(f"trimtab.{name}.capture", counted)
    tt.check(model, few("sentiment", 80), train=24, evaluation=30)
    assert seen
    assert sum(seen.values()) == len(seen)
