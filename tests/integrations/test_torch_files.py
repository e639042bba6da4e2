"""Hostile files of `torch.save`: nothing in them is run, and no size that they only claim is believed."""

import io
import os
import pickle
import random
import time
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from trimtab.errors import InputError
from trimtab.integrations.checkpoints import read_checkpoint
from trimtab.integrations.sizes import MAX_BYTES
from trimtab.integrations.torch_files import MAX_PICKLE, load_tensors
from trimtab.interventions import Site

D = 64


class Runs:
    """Unpickled by anything unrestricted, it leaves a file behind."""

    def __init__(self, run: Callable[..., object], *arguments: object) -> None:
        self.call = run, arguments

    def __reduce__(self) -> Any:
        return self.call


def vectors(n: int = 3) -> dict[int, torch.Tensor]:
    return {k: torch.randn(D, generator=torch.Generator().manual_seed(k)) for k in range(n)}


def archived(file: Path, pickled: bytes, compress: int = zipfile.ZIP_STORED, **more: bytes) -> Path:
    """An archive as torch writes it, with a pickle of one's own."""
    with zipfile.ZipFile(file, "w", compress) as archive:
        archive.writestr("x/data.pkl", pickled)
        for name, content in {"version": b"3\n", "byteorder": b"little", **more}.items():
            archive.writestr(f"x/{name.replace('__', '/')}", content)
    return file


def changed(file: Path, old: bytes, new: bytes) -> Path:
    """The same file with another pickle, checksums right."""
    with zipfile.ZipFile(file) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    (name,) = (name for name in held if name.endswith("/data.pkl"))
    assert old in held[name]
    held[name] = held[name].replace(old, new)
    with zipfile.ZipFile(file, "w") as archive:
        for entry, content in held.items():
            archive.writestr(entry, content)
    return file


def test_what_the_package_itself_would_load_is_loaded(tmp_path: Path) -> None:
    torch.save(vectors(), tmp_path / "x.pt")
    read = read_checkpoint(tmp_path / "x.pt", convention="block")
    assert all(torch.equal(read.vector(k), v) for k, v in vectors().items())


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    "call",
    [
        lambda mark: Runs(os.system, f"touch {mark}"),
        lambda mark: Runs(eval, f"open({str(mark)!r}, 'w')"),
        lambda mark: Runs(getattr, Runs(__import__, "os"), "system"),
        lambda mark: Runs(pickle.loads, pickle.dumps(Runs(os.mkdir, str(mark)))),
        lambda mark: Runs(torch.load, str(mark)),
        lambda mark: Runs(bytearray, 1 << 36),
    ],
)
def test_code_is_named_and_never_run(call: Callable[[Path], Runs], nested: bool, tmp_path: Path) -> None:
    mark, file = tmp_path / "mark", tmp_path / "x.pt"
    bad = call(mark)
    torch.save({1: vectors()[0], 2: [{"deep": (bad,)}]} if nested else bad, file)
    with pytest.raises(InputError, match=r"is not a tensor; nothing in it was run.*safetensors"):
        load_tensors(file)
    assert not mark.exists()


def test_code_in_files_of_other_formats_is_never_run(tmp_path: Path) -> None:
    mark, bad = tmp_path / "mark", Runs(os.system, f"touch {tmp_path / 'mark'}")
    files = {name: tmp_path / f"{name}.pt" for name in ("pickle", "old", "four", "text", "script")}
    files["pickle"].write_bytes(pickle.dumps(bad))
    torch.save({1: bad}, files["old"], _use_new_zipfile_serialization=False)
    archived(files["four"], pickle.dumps(bad, protocol=4))
    archived(files["text"], pickle.dumps(bad, protocol=0))
    archived(files["script"], pickle.dumps(bad, protocol=2), **{"constants.pkl": pickle.dumps(bad, protocol=2)})
    for file in files.values():
        with pytest.raises(InputError, match="safetensors"):
            load_tensors(file)
    assert not mark.exists()


def test_a_name_that_only_looks_allowed_is_refused(tmp_path: Path) -> None:
    for name in (b"torch\nload", b"torch._utils\n_rebuild_sparse_tensor", b"builtins\nset", b"collections\nCounter"):
        pickled = b"\x80\x02c" + name + b"\n)R."
        with pytest.raises(InputError, match="is not a tensor"):
            load_tensors(archived(tmp_path / "x.pt", pickled))


def test_a_storage_that_claims_more_than_the_file_is_refused(tmp_path: Path) -> None:
    torch.save(torch.ones(D), tmp_path / "x.pt")
    file = changed(tmp_path / "x.pt", b"K\x40", b"M" + (60_000).to_bytes(2, "little"))
    with pytest.raises(InputError, match="cannot be read as tensors"):
        read_checkpoint(file, site=Site(1))


def test_a_storage_that_claims_its_neighbours_reads_the_file_alone(tmp_path: Path) -> None:
    torch.save(torch.ones(D), tmp_path / "x.pt")
    file = changed(tmp_path / "x.pt", b"K\x40", b"K\x44")
    read = read_checkpoint(file, site=Site(1)).vector(1)
    assert len(read) == D + 4
    assert read.numpy().tobytes() in file.read_bytes()


@pytest.mark.parametrize("shape", [(1 << 40,), (1 << 38, 4), (1 << 20, 1 << 20)])
def test_a_shape_that_is_only_claimed_takes_no_memory(shape: tuple[int, ...], tmp_path: Path) -> None:
    torch.save(torch.ones(1).expand(shape), tmp_path / "x.pt")
    given = {"site": Site(1)} if len(shape) == 1 else {"convention": "block"}
    with pytest.raises(InputError, match="more numbers than the file holds"):
        read_checkpoint(tmp_path / "x.pt", **given)  # type: ignore[arg-type]


def test_one_storage_named_many_times_is_counted_each_time(tmp_path: Path) -> None:
    v = torch.ones(D)
    torch.save([v] * 1000, tmp_path / "x.pt")
    with pytest.raises(InputError, match="more numbers than the file holds"):
        read_checkpoint(tmp_path / "x.pt", convention="block")


def test_compressed_archives_are_refused_unopened(tmp_path: Path) -> None:
    torch.save(torch.ones(D), tmp_path / "x.pt")
    with zipfile.ZipFile(tmp_path / "x.pt") as archive:
        pickled = archive.read("x/data.pkl")
    bomb = archived(tmp_path / "y.pt", pickled, zipfile.ZIP_DEFLATED, data__0=bytes(1 << 24))
    assert bomb.stat().st_size < 1 << 16
    with pytest.raises(InputError, match="is compressed"):
        load_tensors(bomb)


def test_large_files_and_large_pickles_are_refused(tmp_path: Path) -> None:
    with (tmp_path / "x.pt").open("wb") as out:
        out.truncate(MAX_BYTES + 1)
    with pytest.raises(InputError, match="at most 1,073,741,824 are read"):
        load_tensors(tmp_path / "x.pt")
    (tmp_path / "x.pt").unlink()
    with pytest.raises(InputError, match=r"data.pkl has .* at most 1,048,576"):
        load_tensors(archived(tmp_path / "y.pt", b"\x80\x02]" + b"0]" * MAX_PICKLE + b"."))


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02" + b"(" * 500_000 + b".",
        b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",  # lists within lists
        b"\x80\x02X\xff\xff\xff\x7fabc.",  # a text of 2 GiB, it says
        b"\x80\x02\x8a\xff" + b"\x7f" * 255 + b".",  # a very large number
        b"\x80\x02Nr\xff\xff\xff\x7f.",  # a memo of 2^31 entries
        b"\x80\x02}(K\x01" + b"N" * 3 + b"u.",
        b"\x80\x02)R.",
        b"",
    ],
    ids=["marks", "depth", "text", "number", "memo", "uneven", "call-nothing", "empty"],
)
def test_odd_pickles_are_refused_in_no_time(pickled: bytes, tmp_path: Path) -> None:
    start = time.process_time()
    with pytest.raises(InputError):
        read_checkpoint(archived(tmp_path / "x.pt", pickled), convention="block")
    assert time.process_time() - start < 10


def test_tuples_whose_hash_takes_for_ever_are_refused_in_no_time(tmp_path: Path) -> None:
    for kept in (b"q\x00h\x00", b"q\x00q\x01h\x01"):  # under one number, or under two
        step = kept + b"\x86"
        pickled = b"\x80\x02}K\x01\x85" + step * 60 + b"Ns."
        start = time.process_time()
        with pytest.raises(InputError, match="tuples within tuples"):
            load_tensors(archived(tmp_path / "x.pt", pickled))
        assert time.process_time() - start < 5


def test_an_ordered_dict_cannot_bring_methods_of_its_own(tmp_path: Path) -> None:
    held = OrderedDict(vectors())
    held.__dict__.update(zzzzz=3, yyyy=4)
    torch.save(held, tmp_path / "x.pt")
    changed(changed(tmp_path / "x.pt", b"zzzzz", b"items"), b"yyyy", b"keys")
    assert load_tensors(tmp_path / "x.pt").keys == 4
    assert len(read_checkpoint(tmp_path / "x.pt", convention="block").edits) == 3


def test_names_that_stand_twice_in_the_archive_are_refused(tmp_path: Path) -> None:
    torch.save(torch.ones(D), tmp_path / "x.pt")
    for name in ("x/data.pkl", "x/DATA.pkl", "y/data.pkl"):
        file = tmp_path / "y.pt"
        file.write_bytes((tmp_path / "x.pt").read_bytes())
        with pytest.MonkeyPatch.context() as patch, zipfile.ZipFile(file, "a") as archive:
            patch.setattr("warnings.warn", lambda *_, **__: None)
            archive.writestr(name, b"\x80\x02N.")
        with pytest.raises(InputError, match="not as torch"):
            load_tensors(file)


def test_cut_and_damaged_files_are_refused(tmp_path: Path) -> None:
    torch.save(vectors(), tmp_path / "x.pt")
    whole, rng, file = (tmp_path / "x.pt").read_bytes(), random.Random(0), tmp_path / "y.pt"
    want, given = vectors(), []
    for k in range(200):
        broken = bytearray(whole[: rng.randrange(len(whole))] if k % 4 == 0 else whole)
        for _ in range(1 if k % 4 else 0):
            broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
        file.write_bytes(broken)
        try:
            read = read_checkpoint(file, convention="block")
        except InputError as error:
            given.append(str(error))
        else:  # a bit that means nothing, such as one of the padding
            assert all(torch.equal(read.vector(i), v) for i, v in want.items())
    assert len(given) > 100
    assert all(str(file) in text for text in given)


def test_a_pickle_of_random_operations_is_refused_or_harmless(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save(vectors(), buffer)
    with zipfile.ZipFile(buffer) as archive:
        top = archive.namelist()[0].partition("/")[0]
        pickled = archive.read(f"{top}/data.pkl")
        data = {f"data__{k}": archive.read(f"{top}/data/{k}") for k in range(3)}
    rng, given, file = random.Random(1), [], tmp_path / "x.pt"
    for _ in range(200):
        broken = bytearray(pickled)
        for _ in range(rng.randrange(1, 4)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        archived(file, bytes(broken), **data)
        try:
            read = read_checkpoint(file, convention="block")
        except InputError as error:
            given.append(str(error))
        else:
            assert all(torch.isfinite(read.vector(site)).all() for site in read.edits)
    assert len(given) > 100
    assert all(str(file) in text or "wide" in text or "NaN" in text for text in given)


def test_the_stand_in_is_known_to_torch_only_while_a_file_is_read(tmp_path: Path) -> None:
    torch.save(vectors(), tmp_path / "x.pt")
    before = set(torch.serialization.get_safe_globals())
    load_tensors(tmp_path / "x.pt")
    assert set(torch.serialization.get_safe_globals()) == before


def test_folders_and_missing_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.pt").mkdir()
    for name in ("x.pt", "y.pt"):
        with pytest.raises(InputError, match="does not exist"):
            load_tensors(tmp_path / name)
