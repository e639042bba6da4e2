"""Steerings: the artifact, its edits, and one file per method.

The public names are loaded on first use, so that `trimtab.steering.artifact` needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from trimtab.steering.edits import Additive as Additive
    from trimtab.steering.methods.mean_difference import mean_difference as mean_difference
    from trimtab.steering.steering import Origin as Origin
    from trimtab.steering.steering import Steering as Steering

_HOME: Final = {
    "Additive": "edits",
    "Origin": "steering",
    "Steering": "steering",
    "mean_difference": "methods.mean_difference",
}

__all__ = [*_HOME]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'trimtab.steering' has no attribute {name!r}")
    return getattr(import_module(f"trimtab.steering.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
