"""A steering as the server knows it: names, strengths and what its check used, without its tensors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from trimtab.errors import InputError
from trimtab.interventions import ModelFacts, Scope
from trimtab.serving.checks import AttributeCheck, bounded
from trimtab.steering.artifact import CARD, REPORT, Artifact

MAX_CARD: Final = 20_000
"""Characters of a card that are kept; the rest stands in its file."""


@dataclass(frozen=True)
class Served:
    """A steering that requests may name.

    Args:
        name: of its folder.
        id: of the artifact.
        attributes: strength by name where a request says none: the checked one, else the steering's own default.
        presets: named strengths.
        checks: by attribute that was checked.
        kinds: of its edits.
        conditional: whether an attribute has a condition on the prompt.
        made_for: the model that it was made for, if known.
        method: how it was made.
        card: its description for people, in Markdown.
    """

    name: str
    id: str
    attributes: Mapping[str, float]
    presets: Mapping[str, Mapping[str, float]]
    checks: Mapping[str, AttributeCheck]
    kinds: frozenset[str]
    conditional: bool
    made_for: ModelFacts | None
    method: str
    card: str

    @property
    def scope(self) -> Scope:
        """Where a request says none: that of the first attribute whose check names one."""
        return next((check.scope for check in self.checks.values() if check.scope is not None), "all")

    @property
    def decisions(self) -> dict[str, str | None]:
        """What each attribute's check came to; None where there was none."""
        return {name: check.decision if (check := self.checks.get(name)) else None for name in self.attributes}


def served(name: str, artifact: Artifact) -> Served:
    """What the server keeps of an artifact.

    Raises:
        InputError: its reliability document has fields of other types.
    """
    checks = _checks(artifact)
    attributes = dict(artifact.attributes)
    attributes.update({a: c.strength for a, c in checks.items() if c.strength is not None})
    return Served(
        name=name,
        id=artifact.id,
        attributes=attributes,
        presets=artifact.presets,
        checks=checks,
        kinds=artifact.kinds,
        conditional=bool(artifact.conditions),
        made_for=artifact.made_for,
        method=artifact.manifest.method,
        card=bounded(artifact.card, MAX_CARD, f"\n… (cut; the rest is in its {CARD})"),
    )


def _checks(artifact: Artifact) -> dict[str, AttributeCheck]:
    """By attribute, in their order; the document is of free form but for what `AttributeCheck` names."""
    found: Any = (artifact.reliability or {}).get("attributes", {})
    if not isinstance(found, Mapping):
        raise InputError(f"{REPORT}: attributes must be an object", code="wrong-type", field="attributes")
    checks = {}
    for name in artifact.attributes:
        if name in found:
            try:
                checks[name] = AttributeCheck.model_validate(found[name])
            except ValidationError as error:
                fault = error.errors()[0]
                place = ".".join(map(str, ("attributes", name, *fault["loc"])))
                raise InputError(f"{REPORT}: {place}: {fault['msg']}", code="wrong-type", field=place) from error
    return checks
