"""What the header of a GGUF file says it is, and the parts of a split one: looked at before anything is built."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trimtab.errors import InputError
from trimtab.models.sources import named

_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})")
_OTHERS = {  # by general.type or general.architecture
    "adapter": "a LoRA adapter, not a model; give its base model, and the adapter as a PEFT folder",
    "controlvector": "a control vector, not a model; it is a steering: trimtab convert reads it",
    "clip": "the vision part of a model (mmproj); give the file of the language model beside it",
    "mmproj": "the vision part of a model (mmproj); give the file of the language model beside it",
    "imatrix": "an importance matrix, not a model",
}


def parts_of(path: Path) -> tuple[Path, ...]:
    """All parts of a split file (`NAME-00001-of-00003.gguf`), in order, from any of them; else the file itself.

    Raises:
        InputError: a part is not there.
    """
    result = _PART.fullmatch(path.stem)
    if result is None:
        return (path,)
    count = int(result["count"])
    every = tuple(
        path.with_name(f"{result['stem']}-{k:05d}-of-{result['count']}{path.suffix}") for k in range(1, count + 1)
    )
    if path not in every:
        raise InputError(f"{path} is named part {int(result['number'])} of {count}, which cannot be")
    absent = [part.name for part in every if not part.is_file()]
    if absent:
        raise InputError(
            f"{path} is one of {count} parts of a model, and {len(absent)} are not beside it: {named(absent)}; "
            "download them into the same folder"
        )
    return every


def readers(parts: Sequence[Path]) -> list[Any]:
    """`GGUFReader` of each part.

    Raises:
        InputError: one is damaged or cut off.
    """
    from gguf import GGUFReader

    result = []
    for part in parts:
        try:
            result.append(GGUFReader(part))
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
    return result


def check_is_model(parts: Sequence[Path], opened: Sequence[Any]) -> None:
    """What is not a whole language model is refused by its header.

    Raises:
        InputError: an adapter, a control vector, a vision part, one part of several, or blocks without weights.
    """
    first, path = opened[0], parts[0]
    kind, architecture = _value(first, "general.type"), _value(first, "general.architecture")
    if _value(first, "adapter.type") is not None:
        kind = "adapter"
    for name in (kind, architecture):
        if name in _OTHERS:
            raise InputError(f"{path} is {_OTHERS[name]}")
    if not isinstance(architecture, str):
        raise InputError(f"{path} cannot be converted: it does not say its architecture (general.architecture)")
    _check_all_parts(parts, opened)
    tensors = {tensor.name for reader in opened for tensor in reader.tensors}
    if not tensors:
        raise InputError(f"{path} holds no weights; it is a vocabulary, not a model")
    blocks = _value(first, f"{architecture}.block_count")
    if isinstance(blocks, int):
        _check_blocks(path, tensors, blocks)


def _check_all_parts(parts: Sequence[Path], opened: Sequence[Any]) -> None:
    for number, (path, reader) in enumerate(zip(parts, opened, strict=True)):
        count = _value(reader, "split.count")
        if isinstance(count, int) and count != len(parts) and (count > 1 or len(parts) > 1):
            name = f"{path.stem}-00001-of-{count:05d}.gguf"
            raise InputError(
                f"{path} is one of {count} parts of a model, by its header; put all of them into one folder, named as "
                f"they were made, such as {name}"
            )
        at = _value(reader, "split.no")
        if len(parts) > 1 and isinstance(at, int) and at != number:
            raise InputError(f"{path} is part {at + 1} by its header and part {number + 1} by its name")
    given = _value(opened[0], "split.tensors.count")
    held = sum(len(reader.tensors) for reader in opened)
    if isinstance(given, int) and given != held:
        raise InputError(f"{parts[0]} and its parts hold {held} weights where its header says {given}")


def _check_blocks(path: Path, tensors: set[str], blocks: int) -> None:
    there = {int(result[1]) for name in tensors if (result := re.match(r"blk\.(\d+)\.", name))}
    empty, beyond = [k for k in range(blocks) if k not in there], sorted(k for k in there if k >= blocks)
    if there and empty:
        raise InputError(
            f"{path} cannot be converted: it lacks the weights of {len(empty)} of {blocks} blocks, "
            f"{empty[0]}{f' to {empty[-1]}' if len(empty) > 1 else ''}; is it a part of a split file, or cut off?"
        )
    if beyond:
        raise InputError(f"{path} cannot be converted: it has weights of block {beyond[0]}, but {blocks} blocks")


def check_biases(path: Path, opened: Sequence[Any], names: Sequence[str]) -> None:
    """Biases of blocks that the file has and the model has not: transformers leaves them out silently.

    Args:
        path: the file.
        opened: its parts.
        names: of the model's weights.

    Raises:
        InputError: there are some.
    """
    there = [t.name for r in opened for t in r.tensors if re.match(r"blk\.\d+\..*bias$", t.name)]
    for block in sorted({int(name.split(".")[1]) for name in there}):
        held = [name for name in there if name.startswith(f"blk.{block}.")]
        places = [name for name in names if f".{block}." in name and name.endswith("bias")]
        if len(held) > len(places):
            raise InputError(
                f"{path} cannot be converted: it has biases that transformers has no place for in its architecture: "
                f"{named(held)}"
            )


def _value(reader: Any, key: str) -> Any:
    field = reader.fields.get(key)
    return None if field is None else field.contents()


def merged(opened: Sequence[Any], target: Path) -> Path:
    """One file of all parts, written once."""
    from gguf import GGUFValueType, GGUFWriter

    first = opened[0]
    writer = GGUFWriter(target, _value(first, "general.architecture"))
    for key, field in first.fields.items():
        if key.startswith(("GGUF.", "split.")) or key == "general.architecture":
            continue
        if field.types[0] == GGUFValueType.ARRAY:
            writer.add_key_value(key, field.contents(), GGUFValueType.ARRAY, sub_type=field.types[-1])
        else:
            writer.add_key_value(key, field.contents(), field.types[0])
    for reader in opened:
        for tensor in reader.tensors:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target
