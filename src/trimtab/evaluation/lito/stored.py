"""A chooser on disk: the steering's artifact, the selector's tensors, and settings with the digests of both."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from trimtab.errors import InputError
from trimtab.evaluation.lito.lito import Lito
from trimtab.evaluation.lito.selector import Selector
from trimtab.interventions import Scope
from trimtab.steering import Steering
from trimtab.storage.atomic import fault, output_path, whole_folder

SETTINGS, TENSORS, STEERING = "lito.json", "selector.safetensors", "steering"
MAX_BYTES = 1 << 28  # of a file


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    format: Literal[1]
    steering: str
    selector: str
    intensities: list[float]
    figure: str
    scope: Scope
    chat_template: bool
    refusal: str


def save(lito: Lito, folder: Path) -> Path:
    """See `Lito.save`."""
    target = output_path(folder)
    if target.exists() or target.is_symlink():
        raise InputError(f"{folder} is there already; give a new folder", code="file-exists", field="folder")
    if why := fault(target):
        raise InputError(f"{folder} {why}; give another folder", code="unwritable-file", field="folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole_folder(target) as work:
        lito.steering.save(work / STEERING)
        (work / TENSORS).write_bytes(_content(lito.selector))
        (work / SETTINGS).write_text(_canonical(lito) + "\n", encoding="utf-8")
    return folder


def load(folder: Path) -> Lito:
    """See `Lito.load`."""
    content = _read(folder / TENSORS)
    try:
        s = _Settings.model_validate_json(_read(folder / SETTINGS))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(
            f"{folder / SETTINGS}: {place}: {first['msg']}", code="damaged-file", field=SETTINGS
        ) from error
    steering = Steering.load(folder / STEERING)
    for name, wanted, there in (
        (TENSORS, s.selector, sha256(content).hexdigest()),
        (STEERING, s.steering, steering.id),
    ):
        if wanted != there:
            raise InputError(
                f"{folder / name} is not the one that {SETTINGS} names: it was changed after it was written",
                code="damaged-file",
                field=name,
            )
    selector = _selector(content, folder / TENSORS)
    return Lito(steering, tuple(s.intensities), selector, s.figure, s.scope, s.chat_template, s.refusal)


def identity(lito: Lito) -> str:
    """See `Lito.id`."""
    return sha256(_canonical(lito).encode()).hexdigest()


def _canonical(lito: Lito) -> str:
    digest = sha256(_content(lito.selector)).hexdigest()
    settings = _Settings(
        format=1, steering=lito.steering.id, selector=digest, intensities=list(lito.intensities), figure=lito.figure,
        scope=lito.scope, chat_template=lito.chat_template, refusal=lito.refusal,
    )  # fmt: skip
    return json.dumps(settings.model_dump(), sort_keys=True, indent=1)


def _content(selector: Selector) -> bytes:
    from safetensors.torch import save as packed

    tensors = {"mean": selector.mean, "scale": selector.scale, **selector.weights}
    return bytes(packed({name: tensors[name].contiguous() for name in sorted(tensors)}))


def _selector(content: bytes, place: Path) -> Selector:
    from safetensors import SafetensorError
    from safetensors.torch import load as unpacked

    try:
        tensors: dict[str, Any] = unpacked(content)
        mean, scale = (tensors.pop(name) for name in ("mean", "scale"))
    except (SafetensorError, KeyError) as error:
        raise InputError(f"{place} holds no selector: {error}", code="damaged-file", field=TENSORS) from error
    if any(t.dtype != torch.float32 for t in (mean, scale, *tensors.values())):
        raise InputError(f"{place}: the tensors must be float32", code="wrong-type", field=TENSORS)
    try:
        return Selector(mean, scale, tensors)
    except InputError as error:
        raise error.at(str(place)) from error


def _read(file: Path) -> bytes:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise InputError(f"{file} has more than {MAX_BYTES:,} bytes", code="out-of-range", field="folder")
        return file.read_bytes()
    except OSError as error:
        raise InputError(
            f"{file} cannot be read ({error.strerror}); give a folder that Lito.save wrote",
            code="unreadable-file",
            field="folder",
        ) from error
