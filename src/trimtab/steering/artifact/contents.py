"""The contents of an artifact as manifest and arrays, and as the files that store them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from trimtab.errors import Code, InputError
from trimtab.interventions import Condition, ModelFacts, Site
from trimtab.nearest import meant
from trimtab.steering.artifact.documents import document, parsed
from trimtab.steering.artifact.exchange import recover
from trimtab.steering.artifact.folder import CARD, REPORT, STEERING, TENSORS, sealed, verified
from trimtab.steering.artifact.identity import identity
from trimtab.steering.artifact.manifest import Manifest, format_of, manifest_of
from trimtab.steering.artifact.tensors import Floats, content_of, tensors_of
from trimtab.steering.parts import (
    check_prompts,
    check_site,
    checked_attributes,
    checked_conditions,
    checked_presets,
)


@dataclass(frozen=True, eq=False)
class Artifact:
    """A steering as it is stored: everything but the edits themselves, which need torch (`Steering.load`).

    Args:
        manifest: its description.
        tensors: float32 arrays by name.
        reliability: the JSON document of `report.json`; None without one.
        card: the text of `README.md`; empty without one.

    Raises:
        InputError: names, numbers, sites or tensor names that are invalid or inconsistent. Whether the tensors make
            valid edits is checked when these are made.
    """

    manifest: Manifest
    tensors: Mapping[str, Floats]
    reliability: Mapping[str, Any] | None = None
    card: str = ""
    attributes: Mapping[str, float] = field(init=False)
    presets: Mapping[str, Mapping[str, float]] = field(init=False)
    conditions: Mapping[str, tuple[Condition, ...]] = field(init=False)
    prompts: Mapping[str, tuple[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        manifest = self.manifest
        attributes = checked_attributes({entry.name: entry.strength for entry in manifest.attributes})
        if len(attributes) < len(manifest.attributes):
            raise InputError("attributes: two have the same name", code="repeated-name", field="attributes")
        self._check_tensors()
        for i, edit in enumerate(manifest.edits):
            unknown = [name for name in edit.attributes if name not in attributes]
            if unknown:
                raise InputError(
                    f"edit {i}: {unknown[0]!r} is not an attribute of this steering",
                    code="unknown-attribute",
                    field=f"edits.{i}.attributes",
                )
            check_site(Site.parse(edit.site), manifest.model)
        object.__setattr__(self, "attributes", attributes)
        object.__setattr__(self, "presets", checked_presets(manifest.presets, attributes))
        object.__setattr__(self, "conditions", self._conditions())
        object.__setattr__(self, "prompts", self._prompts())

    @property
    def made_for(self) -> ModelFacts | None:
        """The model whose activations it was made from; None if that is not known."""
        return self.manifest.model

    @property
    def kinds(self) -> frozenset[str]:
        """Kinds of its edits, such as `additive`."""
        return frozenset(edit.kind for edit in self.manifest.edits)

    @cached_property
    def id(self) -> str:
        """The steering's id, equal to `Steering.id`."""
        return identity(self.manifest, self.tensors)

    def _check_tensors(self) -> None:
        wanted = {f"{i}.{name}" for i, edit in enumerate(self.manifest.edits) for name in edit.tensors}
        wanted |= {f"condition.{i}" for i in range(len(self.manifest.conditions))}
        misfits = sorted(wanted ^ set(self.tensors))
        if misfits:
            missing = misfits[0] in wanted
            raise InputError(
                f"tensor {misfits[0]!r} is {'missing' if missing else 'in no edit or condition'}",
                code="missing-value" if missing else "unknown-choice",
                field=f"tensors.{misfits[0]}",
            )

    def _conditions(self) -> dict[str, tuple[Condition, ...]]:
        conditions: dict[str, list[Condition]] = {}
        for i, c in enumerate(self.manifest.conditions):
            one = Condition(Site.parse(c.site), self.tensors[f"condition.{i}"], c.threshold, c.above)
            conditions.setdefault(c.attribute, []).append(one)
        if self.manifest.format != (needed := format_of(self.manifest.conditions)):
            several = "two are" if needed > 1 else "no two are"
            raise InputError(
                f"conditions: {several} for the same attribute, which is format {needed}, not {self.manifest.format}",
                code="repeated-name",
                field="conditions",
            )
        return checked_conditions(conditions, self.attributes, self.manifest.model)

    def _prompts(self) -> dict[str, tuple[str, str]]:
        prompts = {}
        for name, texts in self.manifest.prompts.items():
            if len(texts) != 2:
                raise InputError(f"prompts: {name!r} needs two texts", code="wrong-type", field=f"prompts.{name}")
            prompts[name] = (texts[0], texts[1])
        check_prompts(prompts, self.attributes)
        return prompts


def read(folder: Path) -> Artifact:
    """Read a folder and verify every digest; nothing in it is ever executed, and no torch is needed.

    Raises:
        InputError: not an artifact, one of a later format, a file that was changed, or inconsistent parts; the message
            names the folder, the file and what is wrong.
    """
    try:
        recover(folder)
        if not folder.is_dir():
            code: Code = "wrong-file" if folder.exists() else "no-such-file"
            near = meant(folder.name, [file.parent.name for file in folder.parent.glob(f"*/{STEERING}")])
            message = f"this is no folder; {near}give the one that Steering.save wrote"
            raise InputError(message, code=code, field="steering")
        return unpacked(verified(folder))
    except InputError as error:
        raise error.at(str(folder)) from error
    except OSError as error:
        raise InputError(
            f"{folder} cannot be read: {error.strerror}", code="unreadable-file", field="steering"
        ) from error


def unpacked(files: Mapping[str, bytes]) -> Artifact:
    """The artifact stored in verified files.

    Raises:
        InputError: as for `read`, without the folder's name.
    """
    manifest = manifest_of(files[STEERING])
    tensors = tensors_of(files[TENSORS])
    reliability = parsed(files[REPORT], REPORT) if REPORT in files else None
    return Artifact(manifest, tensors, reliability, files.get(CARD, b"").decode(errors="replace"))


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


def plain_reliability(value: Any) -> dict[str, Any]:
    """A reliability document as its file stores it: keys become text, tuples lists.

    Raises:
        InputError: not a JSON object.
    """
    if not isinstance(value, Mapping):
        raise InputError(
            f"the reliability document must be a JSON object, not a {type(value).__name__}",
            code="wrong-type",
            field="reliability",
        )
    try:
        content = document(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"the reliability document must be JSON: {error}", code="wrong-type", field="reliability"
        ) from error
    return parsed(content, REPORT)
