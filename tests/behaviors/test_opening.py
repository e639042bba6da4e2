"""Sources that are no files, too much, or no paths at all."""

import gzip
import os
import socket
from pathlib import Path

import pytest

from trimtab.behaviors import load, opening
from trimtab.errors import InputError

ROW = b'{"positive": "a", "negative": "b"}\n'


def refusal(source: str | Path) -> str:
    with pytest.raises(InputError) as caught:
        load(source)
    return str(caught.value)


@pytest.mark.parametrize("prefix", ["", "hub:"])
@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("a" * 5000, "File name too long"),
        ("~nosuchuser/x", "there is no such user; write the full path"),
        ("a\0b", "not a valid path"),
        ("a/\ud800", "not a valid path"),
    ],
)
def test_a_source_that_is_no_path_is_refused_in_a_short_printable_message(prefix, source, said):
    if prefix:
        pytest.importorskip("datasets")
    message = refusal(prefix + source)
    assert said in message
    assert len(message) < 300
    assert message.isprintable()


@pytest.mark.parametrize("source", ["", "  ", "\n"])
def test_an_empty_source_is_refused(source):
    assert refusal(source).startswith("the source is empty; give a file")


def test_pipes_sockets_and_devices_are_refused_without_opening_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        assert refusal("pipe").startswith("pipe: a pipe, not a file; give a file, or save the content as one")
        assert refusal("socket").startswith("socket: a socket, not a file")
    assert refusal("/dev/zero").startswith("/dev/zero: a device, not a file")


def test_a_file_and_a_gzip_file_are_read_up_to_the_limit_and_not_beyond(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "MAX_BYTES", 2 << 20)
    plain, packed = tmp_path / "b.jsonl", tmp_path / "b.jsonl.gz"
    full = ROW + b" " * ((2 << 20) - len(ROW))
    for path, data in ((plain, full), (packed, gzip.compress(full))):
        path.write_bytes(data)
        assert len(load(path).examples) == 1
    plain.write_bytes(full + b" ")
    assert refusal(plain).startswith(f"{plain}: the file is larger than 0.00195312 GiB")
    packed.write_bytes(gzip.compress(full + b" "))
    assert packed.stat().st_size < 10_000
    assert refusal(packed).startswith(f"{packed}: the gzip file unpacks to something larger than")


def test_the_limit_is_two_gibibytes():
    assert opening.MAX_BYTES == 2 * 1024**3


def test_a_path_from_home_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "b.jsonl").write_bytes(ROW)
    assert load("~/b.jsonl").name == "b"
