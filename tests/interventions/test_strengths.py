"""Strengths by number, name, preset and row, without a model."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from trimtab.errors import InputError
from trimtab.interventions import SCOPES, WINDOWS, checked_scopes, prompt_prefixes, strength_rows


@dataclass(frozen=True)
class Named:
    attributes: dict[str, float] = field(default_factory=lambda: {"a": 1.0, "b": 0.5})
    presets: dict[str, dict[str, float]] = field(default_factory=lambda: {"soft": {"b": -0.25}})
    prompts: dict[str, tuple[str, str]] = field(default_factory=lambda: {"a": ("A! ", ""), "b": ("B! ", "No B! ")})


@pytest.mark.parametrize(
    ("strengths", "rows"),
    [
        (None, [{"a": 1.0, "b": 0.5}]),
        (2, [{"a": 2.0, "b": 2.0}]),
        ({"b": 3}, [{"a": 1.0, "b": 3.0}]),
        ("soft", [{"a": 1.0, "b": -0.25}]),
        ([0, None, "soft", {"a": -1}], [
            {"a": 0.0, "b": 0.0}, {"a": 1.0, "b": 0.5}, {"a": 1.0, "b": -0.25}, {"a": -1.0, "b": 0.5},
        ]),
    ],
)  # fmt: skip
def test_strengths_are_given_by_number_name_preset_or_row(strengths: Any, rows: list[dict[str, float]]) -> None:
    result = strength_rows(Named(), strengths)
    assert result == rows
    assert all(list(row) == ["a", "b"] for row in result)  # the order of the columns


@pytest.mark.parametrize(
    ("strengths", "word"),
    [
        ({"c": 1}, "unknown attribute c; this steering has a, b"),
        ("loud", "neither a number nor a preset of this steering; it has soft"),
        (True, "not a number"),
        ([], "empty list"),
        ([[1]], "not a number"),
        (10**400, "not a number that a float holds"),
    ],
)
def test_strengths_that_make_no_sense_are_refused(strengths: Any, word: str) -> None:
    with pytest.raises(InputError, match=word):
        strength_rows(Named(), strengths)


def test_the_text_in_front_goes_by_the_sign_of_the_strength() -> None:
    assert prompt_prefixes(Named()) == ["A! B! "]
    assert prompt_prefixes(Named(), [0, "soft", {"a": -1}]) == ["", "A! No B! ", "B! "]
    assert prompt_prefixes(Named(prompts={}), [1, 2]) == [""]


def test_scopes_are_windows_around_the_last_token_of_the_prompt() -> None:
    def selected(scope: str, n: int = 3, total: int = 6) -> list[int]:
        low, high = WINDOWS[scope]  # type: ignore[index]
        return [position for position in range(total) if low <= position - n < high]

    assert {scope: selected(scope) for scope in SCOPES} == {
        "all": [0, 1, 2, 3, 4, 5],
        "prompt": [0, 1, 2],
        "last": [2],
        "generated": [2, 3, 4, 5],
        "thinking": [2, 3, 4, 5],
        "answer": [2, 3, 4, 5],
    }


@pytest.mark.parametrize("scope", ["", "first", ["all", "none"], [], None, 3, [["all"]]])
def test_unknown_scopes_are_refused(scope: object) -> None:
    with pytest.raises(InputError, match="unknown scope"):
        checked_scopes(scope)
