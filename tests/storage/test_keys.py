"""What is kept is used by those who ask for the same, and by nobody else."""

from typing import Any

import pytest

from trimtab.errors import InputError
from trimtab.storage.keys import check_same_settings, name_of

KEPT: dict[str, Any] = {"seed": 0, "model": "a", "options": {"n": [1, 2]}}


@pytest.mark.parametrize("asked", [KEPT, {"seed": 0}, {}])
def test_the_same_may_be_used(asked: dict[str, Any]) -> None:
    check_same_settings("out is of a training", KEPT, asked)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({**KEPT, "seed": 3}, r"out is of a training with another seed \(0, not 3\); give"),
        ({"seed": 3, "model": "b"}, r"another seed \(0, not 3\) and another model \(a, not b\)"),
        ({"new": None, "more": 1}, r"another more \(None, not 1\)"),
        ({"model": "x" * 1000}, "not x{59}…"),
    ],
)
def test_what_differs_is_named(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_same_settings("out is of a training", KEPT, asked)


def test_names_differ_where_keys_do() -> None:
    keys = ["a", ["a"], {"a": 1}, None, ("a", "b"), "ab", ["a", "b", []]]
    assert len({name_of(key) for key in keys}) == len(keys)
    assert name_of("a") == "ca978112ca1bbdca"  # SHA-256
    assert len(name_of("a", length=24)) == 24
