"""The examples in docstrings of everything public are run, and nothing public is without one."""

import doctest
import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import trimtab as tt

ROOMS = (
    "trimtab", "trimtab.behaviors", "trimtab.evaluation", "trimtab.evaluation.lito", "trimtab.evaluation.tasks",
    "trimtab.integrations", "trimtab.interventions", "trimtab.models", "trimtab.operations",
    "trimtab.operations.experiments", "trimtab.results", "trimtab.statistics", "trimtab.statistics.sequential",
    "trimtab.steering", "trimtab.workflows",
)  # fmt: skip
SLOW = {"advise", "check", "evaluate", "fit", "predict", "study"}  # minutes on the embedded model
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def public() -> Iterator[tuple[str, Any]]:
    """Functions and classes that a room exports, each once, by its shortest name."""
    seen: set[int] = set()
    for room in ROOMS:
        module = import_module(room)
        for name in getattr(module, "__all__", None) or [n for n in vars(module) if not n.startswith("_")]:
            item = getattr(module, name)
            own = getattr(item, "__module__", "").startswith("trimtab")
            if (inspect.isfunction(item) or inspect.isclass(item)) and own and id(item) not in seen:
                seen.add(id(item))
                yield f"{room}.{name}", item


EXAMPLES = {
    test.name: test
    for name, item in public()
    for test in doctest.DocTestFinder(exclude_empty=True, recurse=True).find(item, name, globs={})
    if test.examples
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n.split(".")[-1] in SLOW else []) for n in sorted(EXAMPLES)]
)
def test_an_example_does_what_it_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    test = EXAMPLES[name]
    test.globs = {"tt": tt}
    if any("tt.load(" in example.source for example in test.examples):
        model = request.getfixturevalue("embedded")
        monkeypatch.setitem(vars(tt), "load", lambda *_, **__: model)  # loaded once a process
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    runner.run(test, out=said.append, clear_globs=False)
    assert not runner.failures, "".join(said)


def test_everything_public_shows_how_it_is_used() -> None:
    without = [name for name, item in public() if ">>>" not in (inspect.getdoc(item) or "")]
    assert without == []
