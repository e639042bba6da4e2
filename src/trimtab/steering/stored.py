"""A steering as its artifact has it, and back: where edits become arrays, and arrays edits."""

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
from trimtab.steering.card import card
from trimtab.steering.edits import KINDS, Stack, StoredEdit
from trimtab.steering.steering import Origin, Steering
from trimtab.version import __version__


def save(steering: Steering, folder: Path, reliability: Mapping[str, Any] | None = None) -> Path:
    """Write the artifact; see `Steering.save`."""
    manifest, tensors = described(steering, {"trimtab": __version__, "torch": torch.__version__})
    report = None if reliability is None else artifact.plain_reliability(reliability)
    files = artifact.packed(manifest, tensors, card(steering, report), report)
    try:
        steering_of(artifact.unpacked(files))
    except InputError as error:
        raise InputError(f"this steering could be written but not read back: {error}") from error
    artifact.write(folder, files)
    return folder


def load(folder: Path) -> tuple[Steering, Artifact]:
    """Read an artifact; see `Steering.load`.

    Raises:
        InputError: as there; the message names folder, file and what is wrong.
    """
    result = artifact.read(folder)
    try:
        return steering_of(result), result
    except InputError as error:
        raise error.at(str(folder)) from error


def described(steering: Steering, versions: Mapping[str, str]) -> tuple[Manifest, dict[str, Floats]]:
    """A steering as manifest and arrays.

    Raises:
        InputError: an edit of one's own class, or an origin of values that cannot be stored.
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
    for name, c in steering.conditions.items():
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
            format=1,
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
        first = error.errors()[0]
        raise InputError(
            f"{'.'.join(map(str, first['loc']))} {first['input']!r} cannot be stored: {first['msg']}"
        ) from error
    except UnicodeEncodeError as error:
        raise InputError(f"{error.object[error.start : error.end]!r} in a name or text cannot be stored") from error
    except ValueError as error:  # hyperparameters within hyperparameters, hundreds deep
        raise InputError(f"the origin cannot be stored: {error}") from error
    return manifest


def steering_of(result: Artifact) -> Steering:
    """The steering that an artifact describes.

    Raises:
        InputError: tensors and options that make no edits, or none that fit together; names the edit.
    """
    names = list(result.attributes)
    by_site: dict[Site, list[tuple[StoredEdit, tuple[int, ...]]]] = {}
    for i, entry in enumerate(result.manifest.edits):
        edit = _edit(i, entry, result.tensors)
        if len(entry.attributes) != edit.n_attributes:
            raise InputError(f"edit {i}: it takes {edit.n_attributes} attributes")
        columns = tuple(names.index(name) for name in entry.attributes)
        by_site.setdefault(Site.parse(entry.site), []).append((edit, columns))
    whole = tuple(range(len(names)))
    edits: dict[Site, Edit] = {
        site: parts[0][0] if len(parts) == 1 and parts[0][1] == whole else Stack(tuple(parts))
        for site, parts in by_site.items()
    }
    given = result.manifest
    return Steering(
        edits,
        result.attributes,
        Origin(given.method, given.hyperparameters, given.seed, given.data),
        result.presets,
        given.model,
        conditions=result.conditions,
        prompts=result.prompts,
    )


def identity(steering: Steering) -> str:
    """The id of a steering; see `Steering.id`."""
    return artifact.identity(*described(steering, {}))


def _parts(site: Site, edit: Edit, n: int) -> Iterator[tuple[StoredEdit, tuple[int, ...]]]:
    if isinstance(edit, Stack):
        yield from edit.parts
    elif isinstance(edit, StoredEdit) and edit.kind in KINDS:
        yield edit, tuple(range(n))
    else:
        raise InputError(f"the edit at site {site} ({type(edit).__name__}) is of a class that cannot be stored")


def _edit(i: int, entry: EditEntry, tensors: Mapping[str, Floats]) -> StoredEdit:
    kind = KINDS.get(entry.kind)
    if kind is None:
        raise InputError(f"edit {i}: kind {entry.kind!r} is unknown; this version knows {', '.join(KINDS)}")
    try:
        own = {name: torch.tensor(tensors[f"{i}.{name}"]) for name in entry.tensors}
        return kind.restored(own, entry.options)
    except InputError as error:
        raise error.at(f"edit {i}") from error


def _json(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as JSON has them: lists for tuples, and nothing that is not JSON."""
    try:
        given: dict[str, Any] = json.loads(json.dumps(dict(values), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"hyperparameters must be JSON values: {error}") from error
    return given
