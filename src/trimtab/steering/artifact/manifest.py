"""What `steering.json` holds; see docs/format.md."""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trimtab.errors import InputError
from trimtab.interventions import ModelFacts
from trimtab.steering.artifact.documents import parsed
from trimtab.steering.artifact.folder import STEERING

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


def manifest_of(content: bytes) -> Manifest:
    """The manifest that a `steering.json` holds.

    Raises:
        InputError: no JSON, a later format, fields that are missing, unknown or of another type; names the field.
    """
    parsed(content, STEERING)  # what pydantic would let pass: a name that stands twice
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise InputError(f"{STEERING}: {place}: {first['msg']}") from error


def canonical(manifest: Manifest) -> str:
    """JSON with sorted keys, without spaces and versions."""
    given = manifest.model_dump(mode="json", exclude={"versions"})
    return json.dumps(given, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
