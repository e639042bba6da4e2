"""What a verified folder holds, in words and arrays, and the files that hold it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from trimtab.errors import Code, InputError
from trimtab.interventions import Condition, ModelFacts, Site
from trimtab.steering.artifact.documents import document, parsed
from trimtab.steering.artifact.exchange import recover
from trimtab.steering.artifact.folder import CARD, REPORT, STEERING, TENSORS, sealed, verified
from trimtab.steering.artifact.identity import identity
from trimtab.steering.artifact.manifest import Manifest, manifest_of
from trimtab.steering.artifact.tensors import Floats, content_of, tensors_of
from trimtab.steering.parts import (
    check_conditions,
    check_prompts,
    check_site,
    checked_attributes,
    checked_presets,
)


@dataclass(frozen=True, eq=False)
class Artifact:
    """A steering as it is stored: all of it but edits that can be run, which take torch (`Steering.load`).

    Args:
        manifest: what it says of itself.
        tensors: float32 by name.
        reliability: the JSON document of `report.json`; None without one.

    Raises:
        InputError: names, numbers, sites or tensors' names that make no sense or do not fit each other. Whether the
            tensors make edits is found out when these are made.
    """

    manifest: Manifest
    tensors: Mapping[str, Floats]
    reliability: Mapping[str, Any] | None = None
    attributes: Mapping[str, float] = field(init=False)
    presets: Mapping[str, Mapping[str, float]] = field(init=False)
    conditions: Mapping[str, Condition] = field(init=False)
    prompts: Mapping[str, tuple[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        given = self.manifest
        attributes = checked_attributes({entry.name: entry.strength for entry in given.attributes})
        if len(attributes) < len(given.attributes):
            raise InputError("attributes: two have the same name")
        self._check_tensors()
        for i, edit in enumerate(given.edits):
            unknown = [name for name in edit.attributes if name not in attributes]
            if unknown:
                raise InputError(f"edit {i}: {unknown[0]!r} is no attribute")
            check_site(Site.parse(edit.site), given.model)
        object.__setattr__(self, "attributes", attributes)
        object.__setattr__(self, "presets", checked_presets(given.presets, attributes))
        object.__setattr__(self, "conditions", self._conditions())
        object.__setattr__(self, "prompts", self._prompts())

    @property
    def made_for(self) -> ModelFacts | None:
        """The model whose activations it was made from; None where nobody said."""
        return self.manifest.model

    @property
    def kinds(self) -> frozenset[str]:
        """Kinds of its edits, such as `additive`."""
        return frozenset(edit.kind for edit in self.manifest.edits)

    @cached_property
    def id(self) -> str:
        """That of the steering, `Steering.id`."""
        return identity(self.manifest, self.tensors)

    def _check_tensors(self) -> None:
        wanted = {f"{i}.{name}" for i, edit in enumerate(self.manifest.edits) for name in edit.tensors}
        wanted |= {f"condition.{i}" for i in range(len(self.manifest.conditions))}
        odd = sorted(wanted ^ set(self.tensors))
        if odd:
            raise InputError(f"tensor {odd[0]!r} is {'missing' if odd[0] in wanted else 'in no edit or condition'}")

    def _conditions(self) -> dict[str, Condition]:
        result = {
            c.attribute: Condition(Site.parse(c.site), self.tensors[f"condition.{i}"], c.threshold, c.above)
            for i, c in enumerate(self.manifest.conditions)
        }
        if len(result) < len(self.manifest.conditions):
            raise InputError("conditions: two are for the same attribute")
        check_conditions(result, self.attributes, self.manifest.model)
        return result

    def _prompts(self) -> dict[str, tuple[str, str]]:
        result = {}
        for name, texts in self.manifest.prompts.items():
            if len(texts) != 2:
                raise InputError(f"prompts: {name!r} needs two texts")
            result[name] = (texts[0], texts[1])
        check_prompts(result, self.attributes)
        return result


def read(folder: Path) -> Artifact:
    """Read a folder with every digest verified; nothing in it is ever run, and no torch is needed.

    Raises:
        InputError: no artifact, one of a later format, a file that was changed, or parts that do not fit; the message
            names folder, file and what is wrong.
    """
    try:
        recover(folder)
        if not folder.is_dir():
            code: Code = "wrong-file" if folder.exists() else "no-such-file"
            raise InputError("this is no folder; give the one that Steering.save wrote", code=code)
        return unpacked(verified(folder))
    except InputError as error:
        raise error.at(str(folder)) from error
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror}", code="unreadable-file") from error


def unpacked(files: Mapping[str, bytes]) -> Artifact:
    """What verified files hold.

    Raises:
        InputError: as `read`, without the folder's name.
    """
    manifest = manifest_of(files[STEERING])
    tensors = tensors_of(files[TENSORS])
    return Artifact(manifest, tensors, parsed(files[REPORT], REPORT) if REPORT in files else None)


def packed(
    manifest: Manifest, tensors: Mapping[str, Floats], card: str, reliability: Mapping[str, Any] | None
) -> dict[str, bytes]:
    """Every file of the artifact by name.

    Raises:
        InputError: one would be too large to be read back.
    """
    files = {STEERING: document(manifest.model_dump(mode="json")), TENSORS: content_of(tensors)}
    if reliability is not None:
        files[REPORT] = document(reliability)
    files[CARD] = card.encode()
    return sealed(files)


def plain_reliability(given: Any) -> dict[str, Any]:
    """A reliability document as its file says it: keys are words, tuples lists.

    Raises:
        InputError: no JSON object.
    """
    if not isinstance(given, Mapping):
        raise InputError(f"the reliability document must be a JSON object, not a {type(given).__name__}")
    try:
        content = document(given)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"the reliability document must be JSON: {error}") from error
    return parsed(content, REPORT)
