"""Files of `torch.save`, the one place that opens a pickle: tensors come out, and nothing in it is run.

Before torch's restricted unpickler sees a file, its archive must be plain (nothing compressed, no name twice, checksums
right) and its pickle short and of the few names in `ALLOWED`. Storages are mapped, not copied, so that a size that is
only claimed costs no memory and reads nothing beyond the file.
"""

import pickletools
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from trimtab.errors import InputError

MAX_BYTES: Final = 1 << 30
MAX_PICKLE: Final = 1 << 20
MAX_ENTRIES: Final = 10_000
EXPORT: Final = (
    "where the file came from, write plain vectors: from safetensors.torch import save_file; "
    "save_file({f'layer.{k}': v.contiguous() for k, v in vectors.items()}, 'vectors.safetensors')"
)
ALLOWED: Final = frozenset(
    {
        "collections OrderedDict",
        "torch._utils _rebuild_tensor_v2",
        "torch._utils _rebuild_parameter",
        "torch BFloat16Storage",
        "torch DoubleStorage",
        "torch FloatStorage",
        "torch HalfStorage",
        "torch IntStorage",
        "torch LongStorage",
        "steering_vectors.steering_vector SteeringVector",
    }
)


class SavedSteeringVector:
    """Stands in for the class of the package steering-vectors and keeps its fields, whatever these are."""

    __module__ = "steering_vectors.steering_vector"
    __qualname__ = "SteeringVector"

    state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state


def opened(file: Path) -> Any:
    """What `torch.save` wrote, of dicts, lists, tensors and `SavedSteeringVector` only.

    Args:
        file: at most 1 GiB, in torch's format since version 1.6.

    Raises:
        InputError: no such file, another format, a damaged file, or anything in it but tensors.
    """
    if not file.is_file():
        raise InputError(f"{file} does not exist")
    if file.stat().st_size > MAX_BYTES:
        raise InputError(f"{file} has {file.stat().st_size:,} bytes; at most {MAX_BYTES:,} are read")
    try:
        with zipfile.ZipFile(file) as archive:
            strange = _strange_names(_pickle(archive, file), file)
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError, EOFError) as error:
        raise InputError(f"{file} is no whole file of torch.save, version 1.6 or later: {error}; {EXPORT}") from error
    if strange:
        raise InputError(f"{file} holds {', '.join(strange)}, which is no tensor; nothing of it was run; {EXPORT}")
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals([SavedSteeringVector]):
            warnings.simplefilter("ignore")  # about the pickle's protocol; what came out is judged below
            return torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # a broken pickle makes the unpickler raise whatever its operations raise
        first = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise InputError(f"{file} cannot be read as tensors alone: {first}; {EXPORT}") from error


def numbers(result: Mapping[str, object], file: Path) -> dict[str, Tensor]:
    """Tensors by name as float32 in memory of their own; together no larger than the file they are from.

    Raises:
        InputError: something else than a dense tensor of floating-point numbers, or sizes that the file cannot hold.
    """
    room, held = file.stat().st_size, {}
    for name, tensor in result.items():
        if not isinstance(tensor, Tensor):
            raise InputError(f"{file}: {name} is of type {type(tensor).__name__}, no tensor; {EXPORT}")
        if tensor.layout != torch.strided or not tensor.dtype.is_floating_point:
            raise InputError(
                f"{file}: {name} is {tensor.layout}, {tensor.dtype}; vectors are dense floating-point numbers"
            )
        if not tensor.numel():
            raise InputError(f"{file}: {name} is empty, {list(tensor.shape)}")
        room -= tensor.numel() * tensor.element_size()
        if room < 0:
            raise InputError(f"{file}: {name} claims to be {list(tensor.shape)}, more numbers than the file holds")
        held[name] = tensor.detach().to(torch.float32, copy=True).contiguous()
    return held


def entries(held: dict[Any, Any]) -> dict[object, object]:
    """A plain copy; an `OrderedDict` from a file may bring attributes in place of its methods."""
    return dict(dict.items(held))


def _pickle(archive: zipfile.ZipFile, file: Path) -> bytes:
    """The archive's pickle, after a look at everything in it."""
    entries = archive.infolist()
    names = [entry.filename.lower() for entry in entries]  # torch looks them up in either case
    if len(set(names)) < len(names) or len(names) > MAX_ENTRIES or len({n.partition("/")[0] for n in names}) != 1:
        raise InputError(f"{file}: the archive is not as torch.save writes it; {EXPORT}")
    packed = [entry for entry in entries if entry.compress_type != zipfile.ZIP_STORED]
    if packed:
        raise InputError(f"{file}: {packed[0].filename} is compressed, which torch.save does not do; {EXPORT}")
    (top,) = {entry.filename.partition("/")[0] for entry in entries}
    pickled = next((entry for entry in entries if entry.filename == f"{top}/data.pkl"), None)
    if pickled is None:
        raise InputError(f"{file}: the archive holds no data.pkl, so torch.save did not write it; {EXPORT}")
    if pickled.file_size > MAX_PICKLE:
        raise InputError(f"{file}: data.pkl has {pickled.file_size:,} bytes; at most {MAX_PICKLE:,} are read; {EXPORT}")
    damaged = archive.testzip()
    if damaged:
        raise InputError(f"{file} is damaged: {damaged} does not have its checksum; fetch it again")
    return archive.read(pickled)


def _strange_names(pickled: bytes, file: Path) -> list[str]:
    """Names of code in a pickle, as `posix.system`, that no file of vectors needs; it is looked at, not loaded."""
    result, tuples, last = set(), set(), ""
    for operation, argument, _ in pickletools.genops(pickled):
        name = operation.name
        if name in ("GLOBAL", "INST"):
            result.add(str(argument))
        elif name in ("STACK_GLOBAL", "EXT1", "EXT2", "EXT4"):
            raise InputError(f"{file} was saved with another pickle protocol than 2, torch's own; {EXPORT}")
        elif name in ("BINPUT", "LONG_BINPUT") and last.startswith("TUPLE"):
            tuples.add(argument)
        elif name in ("BINGET", "LONG_BINGET") and argument in tuples:  # nested so, a key's hash takes for ever
            raise InputError(f"{file}: tuples within tuples, which torch.save does not write for tensors; {EXPORT}")
        last = last if name.endswith("BINPUT") else name
    return sorted(name.replace(" ", ".") for name in result - ALLOWED)
