"""The contents of `steering.json`; see docs/format.md."""

import json
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trimtab.errors import Code, InputError
from trimtab.interventions import ModelFacts
from trimtab.steering.artifact.documents import parsed
from trimtab.steering.artifact.folder import STEERING

Number = Annotated[float, Field(allow_inf_nan=False)]

_NEWEST: Final = 2  # format

_CODES: Final[dict[str, Code]] = {
    "missing": "missing-value",
    "extra_forbidden": "unknown-choice",
    "literal_error": "unknown-choice",
    "finite_number": "not-finite",
    "json_invalid": "damaged-file",
}


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
        kind: name of the edit's class, such as `additive`.
        attributes: names of the attributes whose strengths it takes, in order.
        options: its settings besides tensors.
        tensors: names of its tensors; edit number i stores them as `i.name`.
    """

    site: str
    kind: str
    attributes: list[str]
    options: dict[str, bool | int | Number | str]
    tensors: list[str]


class ConditionEntry(Stored):
    """A condition on a prompt for an attribute to act; tensor `condition.N` is the direction of condition N.

    An attribute with several acts where all of them are met.

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
        format: version of the format; see `format_of`.
        kind: of artifact.
        versions: of the libraries that wrote it; not part of the id.
        model: the model it was made for, if known.
        attributes, presets, edits, conditions, prompts: what it does.
        method, hyperparameters, seed, data: how it was made.
    """

    format: Literal[1, 2]
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


def format_of(conditions: Sequence[ConditionEntry]) -> Literal[1, 2]:
    """The lowest format that says it: 2 where an attribute has several conditions, which readers of 1 would misread."""
    return 1 if len({c.attribute for c in conditions}) == len(conditions) else 2


def manifest_of(content: bytes) -> Manifest:
    """The manifest in the content of a `steering.json`.

    Raises:
        InputError: not JSON, a later format, fields that are missing, unknown or of the wrong type; names the field.
    """
    said = parsed(content, STEERING)  # catches what pydantic accepts, such as repeated names
    number, versions = said.get("format"), said.get("versions")
    if isinstance(number, int) and number > _NEWEST:
        by = (
            f", written by trimtab {versions['trimtab']}"
            if isinstance(versions, dict) and "trimtab" in versions
            else ""
        )
        raise InputError(
            f"{STEERING}: format {number}{by}; this version reads 1 to {_NEWEST}. Update trimtab",
            code="unknown-choice",
            field="format",
        )
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        raise invalid_field(error, f"{STEERING}: ") from error


def invalid_field(error: ValidationError, where: str = "") -> InputError:
    """The first fault that pydantic reports, with its place as the field."""
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    value = "" if first["type"] == "missing" or where else f" {first['input']!r} cannot be stored"
    code = _CODES.get(first["type"], "wrong-type")
    return InputError(f"{where}{place}{value}: {first['msg']}", code=code, field=place or STEERING)


def canonical(manifest: Manifest) -> str:
    """JSON with sorted keys, without spaces and versions."""
    content = manifest.model_dump(mode="json", exclude={"versions"})
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
