"""What the header of a GGUF file says it is, and the parts of a split one: looked at before anything is built."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trimtab.errors import InputError
from trimtab.models.sources import name_list

_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})")
_OTHERS = {  # by general.type or general.architecture
    "adapter": "a LoRA adapter, not a model; give its base model, and the adapter as a PEFT folder",
    "controlvector": (
        "a control vector, not a model; read it as a steering, by "
        "trimtab.integrations.control_vectors.read_control_vector(path, name)"
    ),
    "clip": "the vision part of a model (mmproj); give the file of the language model beside it",
    "mmproj": "the vision part of a model (mmproj); give the file of the language model beside it",
    "imatrix": "an importance matrix, not a model",
}


def parts_of(path: Path) -> tuple[Path, ...]:
    """All parts of a split file (`NAME-00001-of-00003.gguf`), in order, from any of them; else the file itself.

    Raises:
        InputError: a part is missing.
    """
    match = _PART.fullmatch(path.stem)
    if match is None:
        return (path,)
    count = int(match["count"])
    every = tuple(
        path.with_name(f"{match['stem']}-{k:05d}-of-{match['count']}{path.suffix}") for k in range(1, count + 1)
    )
    if path not in every:
        raise InputError(f"{path} is named part {int(match['number'])} of {count}; was it renamed?")
    absent = [part.name for part in every if not part.is_file()]
    if absent:
        raise InputError(
            f"{path} is one of {count} parts of a model, and {len(absent)} are not beside it: {name_list(absent)}; "
            "download them into the same folder"
        )
    return every


def open_parts(parts: Sequence[Path]) -> list[Any]:
    """`GGUFReader` of each part.

    Raises:
        InputError: one is damaged or cut off.
    """
    from gguf import GGUFReader

    headers = []
    for part in parts:
        try:
            headers.append(GGUFReader(part))
        except (
            ValueError,
            KeyError,
            OSError,
            NotImplementedError,
            IndexError,
            UnicodeDecodeError,
            OverflowError,
        ) as error:
            raise InputError(
                f"{part} cannot be converted: {error}; it is damaged or not completely downloaded"
            ) from error
    return headers


def check_is_model(parts: Sequence[Path], headers: Sequence[Any]) -> None:
    """Check by its header that a file is a whole language model.

    Raises:
        InputError: an adapter, a control vector, a vision part, one part of several, or blocks without weights.
    """
    first, path = headers[0], parts[0]
    kind, architecture = _value(first, "general.type"), _value(first, "general.architecture")
    if _value(first, "adapter.type") is not None:
        kind = "adapter"
    for name in (kind, architecture):
        if name in _OTHERS:
            raise InputError(f"{path} is {_OTHERS[name]}")
    if not isinstance(architecture, str):
        raise InputError(f"{path} cannot be converted: it does not say its architecture (general.architecture)")
    _check_all_parts(parts, headers)
    tensors = {tensor.name for reader in headers for tensor in reader.tensors}
    if not tensors:
        raise InputError(f"{path} holds no weights; it is a vocabulary, not a model")
    blocks = _value(first, f"{architecture}.block_count")
    if isinstance(blocks, int):
        _check_blocks(path, tensors, blocks)


def _check_all_parts(parts: Sequence[Path], headers: Sequence[Any]) -> None:
    for number, (path, reader) in enumerate(zip(parts, headers, strict=True)):
        count = _value(reader, "split.count")
        if isinstance(count, int) and count != len(parts) and (count > 1 or len(parts) > 1):
            name = f"{path.stem}-00001-of-{count:05d}.gguf"
            raise InputError(
                f"{path} is one of {count} parts of a model, by its header; put all of them into one folder, with "
                f"their original names, such as {name}"
            )
        at = _value(reader, "split.no")
        if len(parts) > 1 and isinstance(at, int) and at != number:
            raise InputError(f"{path} is part {at + 1} by its header and part {number + 1} by its name")
    n_declared = _value(headers[0], "split.tensors.count")
    n_held = sum(len(reader.tensors) for reader in headers)
    if isinstance(n_declared, int) and n_declared != n_held:
        raise InputError(f"{parts[0]} and its parts hold {n_held} weights, but its header says {n_declared}")


def _check_blocks(path: Path, tensors: set[str], blocks: int) -> None:
    present = {int(match[1]) for name in tensors if (match := re.match(r"blk\.(\d+)\.", name))}
    empty, beyond = [k for k in range(blocks) if k not in present], sorted(k for k in present if k >= blocks)
    if present and empty:
        raise InputError(
            f"{path} cannot be converted: it lacks the weights of {len(empty)} of {blocks} blocks, "
            f"{empty[0]}{f' to {empty[-1]}' if len(empty) > 1 else ''}; is it a part of a split file, or cut off?"
        )
    if beyond:
        raise InputError(f"{path} cannot be converted: it has weights of block {beyond[0]}, but {blocks} blocks")


def check_biases(path: Path, headers: Sequence[Any], names: Sequence[str]) -> None:
    """Check that the model has all biases of the file's blocks: transformers leaves out others silently.

    Args:
        path: the file.
        headers: its parts.
        names: of the model's weights.

    Raises:
        InputError: it lacks some.
    """
    biases = [t.name for r in headers for t in r.tensors if re.match(r"blk\.\d+\..*bias$", t.name)]
    for block in sorted({int(name.split(".")[1]) for name in biases}):
        held = [name for name in biases if name.startswith(f"blk.{block}.")]
        places = [name for name in names if f".{block}." in name and name.endswith("bias")]
        if len(held) > len(places):
            raise InputError(
                f"{path} cannot be converted: it has biases that transformers has no place for in its architecture: "
                f"{name_list(held)}"
            )


def _value(reader: Any, key: str) -> Any:
    field = reader.fields.get(key)
    return None if field is None else field.contents()


def merged(headers: Sequence[Any], target: Path) -> Path:
    """One file of all parts, written once."""
    from gguf import GGUFValueType, GGUFWriter

    first = headers[0]
    writer = GGUFWriter(target, _value(first, "general.architecture"))
    for key, field in first.fields.items():
        if key.startswith(("GGUF.", "split.")) or key == "general.architecture":
            continue
        if field.types[0] == GGUFValueType.ARRAY:
            writer.add_key_value(key, field.contents(), GGUFValueType.ARRAY, sub_type=field.types[-1])
        else:
            writer.add_key_value(key, field.contents(), field.types[0])
    for reader in headers:
        for tensor in reader.tensors:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target
