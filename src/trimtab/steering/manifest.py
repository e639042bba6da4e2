"""What `steering.json` holds, and the identity that follows from it and the tensors."""

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from trimtab.errors import InputError
from trimtab.models import Condition, Edit, ModelFacts, Site
from trimtab.steering.edits import KINDS, Stack, StoredEdit
from trimtab.steering.steering import Origin, Steering

Number = Annotated[float, Field(allow_inf_nan=False)]


class Stored(BaseModel):
    """Base: unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class AttributeEntry(Stored):
    """An attribute and its default strength."""

    name: str
    strength: Number


class EditEntry(Stored):
    """An edit at a site; several at one site act in their order.

    Args:
        site: such as `14` or `attention:14`.
        kind: what it does.
        attributes: names of those whose strengths it takes, in order.
        options: all that is no tensor.
        tensors: names of its tensors; number i of the list has them in the file as `i.name`.
    """

    site: str
    kind: str
    attributes: list[str]
    options: dict[str, bool | int | Number | str]
    tensors: list[str]


class ConditionEntry(Stored):
    """What a prompt must meet for an attribute to act; tensor `condition.N` is the direction of number N.

    Args:
        attribute: its name.
        site: where the prompt is read.
        threshold: cosine.
        above: whether it acts above the threshold, or below.
    """

    attribute: str
    site: str
    threshold: Number
    above: bool


class Manifest(Stored):
    """The whole of `steering.json`; see docs/format.md.

    Args:
        format: version of the format.
        kind: what the folder holds.
        versions: of the libraries that wrote it; no part of the identity.
        model: which model it was made for, if that is known.
        attributes, presets, edits, conditions, prompts: what it does.
        method, hyperparameters, seed, data: how it was made.
    """

    format: Literal[1]
    kind: Literal["steering"]
    versions: dict[str, str]
    model: ModelFacts | None
    attributes: list[AttributeEntry]
    presets: dict[str, dict[str, Number]]
    edits: list[EditEntry]
    conditions: list[ConditionEntry]
    prompts: dict[str, list[str]]
    method: str
    hyperparameters: dict[str, Any]
    seed: int | None
    data: dict[str, str]


def described(steering: Steering, versions: Mapping[str, str]) -> tuple[Manifest, dict[str, Tensor]]:
    """A steering as manifest and tensors.

    Raises:
        InputError: an edit of one's own class, or an origin of values that cannot be stored.
    """
    names = list(steering.attributes)
    entries: list[EditEntry] = []
    tensors: dict[str, Tensor] = {}
    for site in sorted(steering.edits):
        for edit, columns in _parts(site, steering.edits[site], len(names)):
            own = edit.tensors
            tensors |= {f"{len(entries)}.{name}": tensor.cpu() for name, tensor in own.items()}
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
        tensors[f"condition.{len(conditions)}"] = c.direction.cpu()
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
        canonical(manifest).encode()
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


def rebuilt(manifest: Manifest, tensors: Mapping[str, Tensor]) -> Steering:
    """The steering that a manifest and its tensors describe.

    Raises:
        InputError: parts that do not fit together; names the edit.
    """
    attributes = {entry.name: entry.strength for entry in manifest.attributes}
    if len(attributes) < len(manifest.attributes):
        raise InputError("attributes: two have the same name")
    wanted = {f"{i}.{name}" for i, entry in enumerate(manifest.edits) for name in entry.tensors}
    wanted |= {f"condition.{i}" for i in range(len(manifest.conditions))}
    odd = sorted(wanted ^ set(tensors))
    if odd:
        raise InputError(f"tensor {odd[0]!r} is {'missing' if odd[0] in wanted else 'in no edit or condition'}")
    by_site: dict[Site, list[tuple[StoredEdit, tuple[int, ...]]]] = {}
    names = list(attributes)
    for i, entry in enumerate(manifest.edits):
        edit = _edit(i, entry, tensors)
        unknown = [name for name in entry.attributes if name not in attributes]
        if unknown or len(entry.attributes) != edit.n_attributes:
            told = f"{unknown[0]!r} is no attribute" if unknown else f"it takes {edit.n_attributes} attributes"
            raise InputError(f"edit {i}: {told}")
        columns = tuple(names.index(name) for name in entry.attributes)
        by_site.setdefault(Site.parse(entry.site), []).append((edit, columns))
    whole = tuple(range(len(names)))
    edits: dict[Site, Edit] = {
        site: parts[0][0] if len(parts) == 1 and parts[0][1] == whole else Stack(tuple(parts))
        for site, parts in by_site.items()
    }
    origin = Origin(manifest.method, manifest.hyperparameters, manifest.seed, manifest.data)
    conditions = {
        c.attribute: Condition(Site.parse(c.site), tensors[f"condition.{i}"], c.threshold, c.above)
        for i, c in enumerate(manifest.conditions)
    }
    if len(conditions) < len(manifest.conditions):
        raise InputError("conditions: two are for the same attribute")
    odd_texts = [name for name, texts in manifest.prompts.items() if len(texts) != 2]
    if odd_texts:
        raise InputError(f"prompts: {odd_texts[0]!r} needs two texts")
    prompts = {name: (texts[0], texts[1]) for name, texts in manifest.prompts.items()}
    return Steering(edits, attributes, origin, manifest.presets, manifest.model, conditions=conditions, prompts=prompts)


def identity(steering: Steering) -> str:
    """SHA-256 of the manifest's canonical JSON and of every tensor's name, shape and float32 bytes."""
    manifest, tensors = described(steering, {})
    seen = sha256(canonical(manifest).encode())
    for name in sorted(tensors):
        seen.update(f"\n{name}{list(tensors[name].shape)}".encode())
        seen.update(tensors[name].contiguous().numpy().tobytes())
    return seen.hexdigest()


def canonical(manifest: Manifest) -> str:
    """JSON with sorted keys, without spaces and versions."""
    told = manifest.model_dump(mode="json", exclude={"versions"})
    return json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _parts(site: Site, edit: Edit, n: int) -> Iterator[tuple[StoredEdit, tuple[int, ...]]]:
    if isinstance(edit, Stack):
        yield from edit.parts
    elif isinstance(edit, StoredEdit) and edit.kind in KINDS:
        yield edit, tuple(range(n))
    else:
        raise InputError(f"the edit at site {site} ({type(edit).__name__}) is of a class that cannot be stored")


def _edit(i: int, entry: EditEntry, tensors: Mapping[str, Tensor]) -> StoredEdit:
    kind = KINDS.get(entry.kind)
    if kind is None:
        raise InputError(f"edit {i}: kind {entry.kind!r} is unknown; this version knows {', '.join(KINDS)}")
    try:
        return kind.restored({name: tensors[f"{i}.{name}"] for name in entry.tensors}, entry.options)
    except InputError as error:
        raise InputError(f"edit {i}: {error}") from error


def _json(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as JSON has them: lists for tuples, and nothing that is not JSON."""
    try:
        told: dict[str, Any] = json.loads(json.dumps(dict(values), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"hyperparameters must be JSON values: {error}") from error
    return told
