"""The steering of one request to an engine."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

from trimtab.errors import InputError
from trimtab.interventions.scopes import Scope, checked_scopes


@dataclass(frozen=True)
class RequestSteering:
    """The steering of one request, fully resolved: no name, preset or default is left to look up.

    Everything else, such as its conditions and prompt prefixes, is in the artifact.

    Args:
        artifact: id of the steering, by which the engine finds it.
        strength: of every attribute; 0 is off.
        scope: which tokens are edited.

    Raises:
        InputError: no id, an unknown scope, a strength that is not a finite number.

    Example:
        >>> from trimtab.interventions import RequestSteering
        >>> RequestSteering("5f2c", {"warm": 1.5}, "generated").strength["warm"]
        1.5
    """

    artifact: str
    strength: Mapping[str, float]
    scope: Scope = "all"

    def __post_init__(self) -> None:
        if not self.artifact:
            raise InputError("a request's steering needs the id of an artifact")
        if len(checked_scopes(self.scope)) != 1 or not isinstance(self.scope, str):
            raise InputError(f"a request has one scope, not {self.scope!r}")
        for name, value in self.strength.items():
            if not isfinite(value):
                raise InputError(
                    f"strength {value!r} of {name!r} is not a finite number",
                    code="not-finite",
                    field=f"strength.{name}",
                )
