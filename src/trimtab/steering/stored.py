"""Converting a steering to its stored artifact and back: edits to arrays, and arrays to edits."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from trimtab.errors import InputError
from trimtab.interventions import Edit, Site
from trimtab.steering import artifact
from trimtab.steering.artifact import Artifact, AttributeEntry, ConditionEntry, EditEntry, Floats, Manifest
from trimtab.steering.artifact.manifest import invalid_field
from trimtab.steering.card import card
from trimtab.steering.edits import KINDS, Stack, StoredEdit
from trimtab.steering.steering import Origin, Steering
from trimtab.version import __version__


def save(steering: Steering, folder: Path, reliability: Mapping[str, Any] | None = None) -> Path:
    """Write the artifact; see `Steering.save`."""
    manifest, tensors = manifest_and_tensors(steering, {"trimtab": __version__, "torch": torch.__version__})
    report = None if reliability is None else artifact.plain_reliability(reliability)
    files = artifact.packed(manifest, tensors, card(steering, report), report)
    try:
        steering_of(artifact.unpacked(files))
    except InputError as error:
        raise InputError(
            f"this steering could be written but not read back: {error}", code=error.code, field=error.field
        ) from error
    artifact.write(folder, files)
    return folder


def load(folder: Path) -> tuple[Steering, Artifact]:
    """Read an artifact; see `Steering.load`.

    Raises:
        InputError: as for `Steering.load`; the message names the folder, the file and what is wrong.
    """
    stored = artifact.read(folder)
    try:
        return steering_of(stored), stored
    except InputError as error:
        raise error.at(str(folder)) from error


def manifest_and_tensors(steering: Steering, versions: Mapping[str, str]) -> tuple[Manifest, dict[str, Floats]]:
    """A steering as manifest and arrays.

    Raises:
        InputError: an edit of a custom class, or an origin with values that cannot be stored.
    """
    names = list(steering.attributes)
    entries: list[EditEntry] = []
    tensors: dict[str, Floats] = {}
    for site in sorted(steering.edits):
        for edit, columns in _parts(site, steering.edits[site], len(names)):
            own = edit.tensors
            tensors |= {f"{len(entries)}.{name}": tensor.cpu().numpy() for name, tensor in own.items()}
            entries.append(
                EditEntry(
                    site=str(site),
                    kind=edit.kind,
                    attributes=[names[column] for column in columns],
                    options=edit.options,
                    tensors=sorted(own),
                )
            )
    conditions: list[ConditionEntry] = []
    for name, c in ((name, one) for name, several in steering.conditions.items() for one in several):
        tensors[f"condition.{len(conditions)}"] = c.direction
        entry = ConditionEntry(attribute=name, site=str(c.site), threshold=c.threshold, above=c.above)
        conditions.append(entry)
    return _manifest(steering, versions, entries, conditions), tensors


def _manifest(
    steering: Steering, versions: Mapping[str, str], edits: list[EditEntry], conditions: list[ConditionEntry]
) -> Manifest:
    origin = steering.origin
    try:
        manifest = Manifest(
            format=artifact.format_of(conditions),
            kind="steering",
            versions=dict(versions),
            model=steering.made_for,
            attributes=[AttributeEntry(name=name, strength=value) for name, value in steering.attributes.items()],
            presets={preset: dict(values) for preset, values in steering.presets.items()},
            edits=edits,
            conditions=conditions,
            prompts={name: list(texts) for name, texts in steering.prompts.items()},
            method=origin.method,
            hyperparameters=_json(origin.hyperparameters),
            seed=origin.seed,
            data=dict(origin.data),
        )
        artifact.canonical(manifest).encode()
    except ValidationError as error:
        raise invalid_field(error) from error
    except UnicodeEncodeError as error:
        raise InputError(
            f"{error.object[error.start : error.end]!r} in a name or text cannot be stored",
            code="unsupported",
            field="steering",
        ) from error
    except ValueError as error:  # hyperparameters nested hundreds deep
        raise InputError(f"the origin cannot be stored: {error}", code="unsupported", field="origin") from error
    return manifest


def steering_of(stored: Artifact) -> Steering:
    """The steering that an artifact describes.

    Raises:
        InputError: tensors and options that make no valid or consistent edits; names the edit.
    """
    names, manifest = list(stored.attributes), stored.manifest
    by_site: dict[Site, list[tuple[StoredEdit, tuple[int, ...]]]] = {}
    for i, entry in enumerate(manifest.edits):
        edit = _edit(i, entry, stored.tensors)
        if len(entry.attributes) != edit.n_attributes:
            raise InputError(
                f"edit {i}: it takes {edit.n_attributes} attributes, not {len(entry.attributes)}",
                code="wrong-shape",
                field=f"edits.{i}.attributes",
            )
        columns = tuple(names.index(name) for name in entry.attributes)
        by_site.setdefault(Site.parse(entry.site), []).append((edit, columns))
    whole = tuple(range(len(names)))
    edits: dict[Site, Edit] = {
        site: parts[0][0] if len(parts) == 1 and parts[0][1] == whole else Stack(tuple(parts))
        for site, parts in by_site.items()
    }
    return Steering(
        edits,
        stored.attributes,
        Origin(manifest.method, manifest.hyperparameters, manifest.seed, manifest.data),
        stored.presets,
        manifest.model,
        conditions=stored.conditions,
        prompts=stored.prompts,
    )


def identity(steering: Steering) -> str:
    """The id of a steering; see `Steering.id`."""
    return artifact.identity(*manifest_and_tensors(steering, {}))


def _parts(site: Site, edit: Edit, n: int) -> Iterator[tuple[StoredEdit, tuple[int, ...]]]:
    if isinstance(edit, Stack):
        yield from edit.parts
    elif isinstance(edit, StoredEdit) and edit.kind in KINDS:
        yield edit, tuple(range(n))
    else:
        raise InputError(
            f"the edit at site {site} ({type(edit).__name__}) is of a custom class, which cannot be stored",
            code="unsupported",
            field=f"edits.{site}",
        )


def _edit(i: int, entry: EditEntry, tensors: Mapping[str, Floats]) -> StoredEdit:
    kind = KINDS.get(entry.kind)
    if kind is None:
        raise InputError(
            f"edit {i}: kind {entry.kind!r} is unknown; this version knows {', '.join(KINDS)}",
            code="unknown-choice",
            field=f"edits.{i}.kind",
        )
    try:
        own = {name: torch.tensor(tensors[f"{i}.{name}"]) for name in entry.tensors}
        return kind.restored(own, entry.options)
    except InputError as error:
        raise error.at(f"edit {i}") from error


def _json(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as JSON stores them, with lists for tuples."""
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(values), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"hyperparameters must be JSON values: {error}", code="wrong-type", field="origin.hyperparameters"
        ) from error
    return plain
