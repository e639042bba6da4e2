"""Scratch folders: gone afterwards, also after an exception; leftovers of the dead are swept, the living's stay."""

import ast
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import trimtab
from trimtab.storage import atomic
from trimtab.storage.atomic import ABANDONED, fault, into_place, scratch, whole, whole_folder

ELSEWHERE = "0" * 8  # a host that this one is not
DAY = 24 * 3600


def test_it_is_gone_afterwards_also_after_an_exception(tmp_path: Path) -> None:
    with scratch(tmp_path, "study") as work:
        (work / "file").write_text("x")
        assert work.parent == tmp_path
    with pytest.raises(ValueError, match="stop"), scratch(tmp_path, "study"):
        raise ValueError("stop")
    assert list(tmp_path.iterdir()) == []


def test_a_file_takes_its_place_when_it_is_whole_and_leaves_the_older_one_otherwise(tmp_path: Path) -> None:
    file = tmp_path / "new" / "vectors"
    with whole(file) as work:
        work.write_text("first")
        assert not file.exists()
    with pytest.raises(TypeError), whole(file) as work:
        work.write_text(2)  # type: ignore[arg-type]
    assert file.read_text() == "first"
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("name", ["study", "st[u]dy", "st**udy"])
def test_leftovers_of_dead_processes_are_swept_and_others_left_alone(name: str, tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from trimtab.storage.atomic import scratch\n"
        "with scratch(Path(sys.argv[1]), sys.argv[2]) as work: (work / 'half').write_text('x'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path), name], check=False)
    (left,) = tmp_path.iterdir()
    others = [tmp_path / f".{name}-{os.getppid()}-x", tmp_path / ".report-999999999-x", tmp_path / "thesis"]
    for other in others:
        other.mkdir()
    with scratch(tmp_path, name):
        assert not left.exists()
    assert sorted(tmp_path.iterdir()) == sorted(others)


@pytest.mark.parametrize("name", [".", "..", "file", "file/below", "x" * 201, "a\0b"])
def test_what_could_not_be_written_is_known_before_and_nothing_is_left(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    reason = fault(tmp_path / name if name not in (".", "..") else Path(name))
    assert bool(reason) == (name != "file"), reason
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["new", "new/deep/er", "x" * 200, "ä 漢 🙂"])
def test_what_can_be_written_has_no_fault(name: str, tmp_path: Path) -> None:
    assert fault(tmp_path / name) == ""
    (tmp_path / name).mkdir(parents=True)


def owners(folder: Path) -> tuple[str, int, str]:
    """Host, process and start in the name of a scratch folder."""
    host, process, start, _ = folder.name.rsplit("-", 4)[1:]
    return host, int(process), start


def left(folder: Path, host: str, process: int, start: str, days: float = 0) -> Path:
    """What a writer left so many days ago."""
    made = folder / f".study-{host}-{process}-{start}-abcdefgh"
    (made / "deep").mkdir(parents=True)
    (made / "deep" / "half").write_text("x")
    then = time.time() - days * DAY
    for path in (made / "deep" / "half", made / "deep", made):
        os.utime(path, (then, then))
    return made


def test_the_name_tells_host_process_and_its_start(tmp_path: Path) -> None:
    with scratch(tmp_path, "study") as work:
        assert owners(work) == (atomic._host(), os.getpid(), atomic._start(os.getpid()) or "")
    assert atomic._host() != ELSEWHERE


@pytest.mark.parametrize("days", [0.0, 1.0, 6.9])
def test_on_a_shared_disk_the_writer_of_another_host_is_left_alone(days: float, tmp_path: Path) -> None:
    """Its process number is nobody's here, which says nothing of there."""
    other = left(tmp_path, ELSEWHERE, 999_999_999, "", days)
    with scratch(tmp_path, "study"):
        assert (other / "deep" / "half").read_text() == "x"


def test_what_another_host_left_is_swept_when_nothing_changed_for_a_week(tmp_path: Path) -> None:
    assert ABANDONED == 7 * DAY
    old, busy = left(tmp_path, ELSEWHERE, 12, "34", 7.1), left(tmp_path, ELSEWHERE, 13, "34", 30)
    os.utime(busy / "deep" / "half")  # somebody writes into a file of it
    with scratch(tmp_path, "study"):
        assert not old.exists()
        assert busy.exists()


def test_age_goes_by_the_clock_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 0.0)
    other = left(tmp_path, ELSEWHERE, 12, "34", 0)
    os.utime(other)  # its files are of 1970, the folder is of now
    with scratch(tmp_path, "study"):
        assert other.exists()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="starts of processes are looked up in /proc")
def test_a_process_number_that_another_process_got_is_no_sign_of_life(tmp_path: Path) -> None:
    host, process, start = atomic._host(), os.getpid(), atomic._start(os.getpid())
    assert start is not None
    mine, earlier = left(tmp_path, host, process, start, 30), left(tmp_path, host, process, str(int(start) - 1))
    with scratch(tmp_path, "study"):
        assert mine.exists()  # however old: its writer lives
        assert not earlier.exists()


def test_a_living_process_whose_start_is_unknown_is_left_alone_for_a_week(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic, "_start", lambda process: None)
    young, old = (left(tmp_path, atomic._host(), os.getpid() + k, "", 8 * k) for k in (0, 1))
    monkeypatch.setattr(atomic, "_runs", lambda process: True)
    with scratch(tmp_path, "study"):
        assert young.exists()
        assert not old.exists()


@pytest.mark.parametrize(("days", "gone"), [(1, False), (8, True)])
def test_leftovers_of_earlier_versions_name_no_host_and_go_by_age(days: int, gone: bool, tmp_path: Path) -> None:
    other = left(tmp_path, ELSEWHERE, 1, "", days)
    before = other.rename(tmp_path / ".study-999999999-ab_d3fgh")
    with scratch(tmp_path, "study"):
        assert before.exists() != gone


def test_files_take_their_places_in_order_and_all_are_whole_before_the_first_does(tmp_path: Path) -> None:
    (tmp_path / "last").write_text("old")
    with scratch(tmp_path, "study") as work:
        (work / "first").write_text("new")
        with pytest.raises(FileNotFoundError):
            into_place(work, tmp_path, ("first", "last"))
        assert not (tmp_path / "first").exists()
        (work / "last").write_text("new")
        into_place(work, tmp_path, ("first", "last"))
    assert [(p.name, p.read_text()) for p in sorted(tmp_path.iterdir())] == [("first", "new"), ("last", "new")]


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(TypeError), whole_folder(tmp_path / "model") as work:
        (work / "half").write_text(2)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
    with whole_folder(tmp_path / "model") as work:
        (work / "deep").mkdir()
        (work / "deep" / "file").write_text("x")
        assert not (tmp_path / "model").exists()
    assert (tmp_path / "model" / "deep" / "file").read_text() == "x"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


# Where something is renamed or swept outside of storage/atomic.py, and why.
ELSEWHERE_IN_CODE = {"steering/artifact/exchange.py": "an older artifact steps aside and comes back"}
RENAMING = {"replace": "os", "rename": None, "renames": None, "rmtree": None, "mkdtemp": None}


def test_files_are_renamed_and_swept_in_one_place() -> None:
    root = Path(trimtab.__file__).parent
    result = set()
    for file in root.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in RENAMING:
                of = RENAMING[node.attr]
                if of is None or (isinstance(node.value, ast.Name) and node.value.id == of):
                    result.add(file.relative_to(root).as_posix())
            if isinstance(node, ast.ImportFrom) and node.module in ("shutil", "os"):
                result |= {file.relative_to(root).as_posix() for name in node.names if name.name in RENAMING}
    assert result == {"storage/atomic.py", *ELSEWHERE_IN_CODE}
