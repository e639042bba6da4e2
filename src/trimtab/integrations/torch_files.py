"""Reading files of `torch.save`: the only place that opens a pickle. Tensors come out; no code in the file is run.

Before a file reaches torch's restricted unpickler, its archive must be plain (nothing compressed, no name twice,
correct checksums) and its pickle short and limited to the names in `ALLOWED`. Storages are mapped, not copied, so a
false claim of size takes no memory and reads nothing beyond the file.
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
from trimtab.integrations.sizes import check_file

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
    """Stands in for the class of the package steering-vectors and keeps its fields unchecked."""

    __module__ = "steering_vectors.steering_vector"
    __qualname__ = "SteeringVector"

    state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state


def load_tensors(file: Path) -> Any:
    """Load what `torch.save` wrote, made of dicts, lists, tensors and `SavedSteeringVector` only.

    Args:
        file: at most 1 GiB, in torch's format since version 1.6.

    Raises:
        InputError: no such file, another format, a damaged file, or anything in it other than tensors.
    """
    check_file(file)
    try:
        with zipfile.ZipFile(file) as archive:
            forbidden = _forbidden_names(_pickle(archive, file), file)
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError, EOFError) as error:
        raise InputError(
            f"{file} is not a complete file of torch.save, version 1.6 or later: {error}; {EXPORT}",
            code="wrong-file",
            field="file",
        ) from error
    if forbidden:
        raise InputError(
            f"{file} holds {', '.join(forbidden)}, which is not a tensor; nothing in it was run; {EXPORT}",
            code="wrong-file",
            field="file",
        )
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals([SavedSteeringVector]):
            warnings.simplefilter("ignore")  # about the pickle's protocol; callers check the result
            return torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # a broken pickle can make the unpickler raise anything
        first = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise InputError(
            f"{file} cannot be read as tensors alone: {first}; {EXPORT}", code="damaged-file", field="file"
        ) from error


def numbers(tensors: Mapping[str, object], file: Path) -> dict[str, Tensor]:
    """Float32 copies of the tensors by name; together they must fit into the file they come from.

    Raises:
        InputError: anything but a dense tensor of floating-point numbers, or sizes that exceed the file.
    """
    room, copies = file.stat().st_size, {}
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise InputError(
                f"{file}: {name} is of type {type(tensor).__name__}, not a tensor; {EXPORT}",
                code="wrong-type",
                field="file",
            )
        if tensor.layout != torch.strided or not tensor.dtype.is_floating_point:
            raise InputError(
                f"{file}: {name} is {tensor.layout}, {tensor.dtype}; vectors are dense floating-point numbers",
                code="wrong-type",
                field="file",
            )
        if not tensor.numel():
            raise InputError(f"{file}: {name} is empty, {list(tensor.shape)}", code="wrong-shape", field="file")
        room -= tensor.numel() * tensor.element_size()
        if room < 0:
            raise InputError(
                f"{file}: {name} claims to be {list(tensor.shape)}, more numbers than the file holds",
                code="damaged-file",
                field="file",
            )
        copies[name] = tensor.detach().to(torch.float32, copy=True).contiguous()
    return copies


def entries(mapping: dict[Any, Any]) -> dict[object, object]:
    """A plain copy, since an `OrderedDict` from a file may have attributes in place of its methods."""
    return dict(dict.items(mapping))


def _pickle(archive: zipfile.ZipFile, file: Path) -> bytes:
    """The archive's pickle, after checking all of its entries."""
    entries = archive.infolist()
    names = [entry.filename.lower() for entry in entries]  # torch looks them up in either case
    if len(set(names)) < len(names) or len(names) > MAX_ENTRIES or len({n.partition("/")[0] for n in names}) != 1:
        raise InputError(
            f"{file}: the archive is not as torch.save writes it; {EXPORT}", code="wrong-file", field="file"
        )
    packed = [entry for entry in entries if entry.compress_type != zipfile.ZIP_STORED]
    if packed:
        raise InputError(
            f"{file}: {packed[0].filename} is compressed, which torch.save does not do; {EXPORT}",
            code="wrong-file",
            field="file",
        )
    (top,) = {entry.filename.partition("/")[0] for entry in entries}
    pickled = next((entry for entry in entries if entry.filename == f"{top}/data.pkl"), None)
    if pickled is None:
        raise InputError(
            f"{file}: the archive holds no data.pkl, so torch.save did not write it; {EXPORT}",
            code="wrong-file",
            field="file",
        )
    if pickled.file_size > MAX_PICKLE:
        raise InputError(
            f"{file}: data.pkl has {pickled.file_size:,} bytes; at most {MAX_PICKLE:,} are read; {EXPORT}",
            code="out-of-range",
            field="file",
        )
    damaged = archive.testzip()
    if damaged:
        raise InputError(
            f"{file} is damaged: the checksum of {damaged} does not match; download it again",
            code="damaged-file",
            field="file",
        )
    return archive.read(pickled)


def _forbidden_names(pickled: bytes, file: Path) -> list[str]:
    """Names of code in a pickle, such as `posix.system`, that are not allowed; the pickle is scanned, not loaded."""
    names, tuples, last = set(), set(), ""
    for operation, argument, _ in pickletools.genops(pickled):
        name = operation.name
        if name in ("GLOBAL", "INST"):
            names.add(str(argument))
        elif name in ("STACK_GLOBAL", "EXT1", "EXT2", "EXT4"):
            raise InputError(
                f"{file} was saved with another pickle protocol than 2, torch's own; {EXPORT}",
                code="unsupported",
                field="file",
            )
        elif name in ("BINPUT", "LONG_BINPUT") and last.startswith("TUPLE"):
            tuples.add(argument)
        elif name in ("BINGET", "LONG_BINGET") and argument in tuples:  # hashing such nested tuples can take forever
            raise InputError(
                f"{file}: tuples within tuples, which torch.save does not write for tensors; {EXPORT}",
                code="unsupported",
                field="file",
            )
        last = last if name.endswith("BINPUT") else name
    return sorted(name.replace(" ", ".") for name in names - ALLOWED)
