"""API keys: what is kept of them, who finds them, and what the command says."""

import json
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest
from tests.conftest import Run

from trimtab.errors import InputError
from trimtab.serving import keys as module
from trimtab.serving.keys import KeyFile, default_file


@pytest.fixture
def held(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "config" / "keys.json")


def test_a_key_is_found_by_itself_and_by_nothing_else(held: KeyFile) -> None:
    ours, theirs = held.create("ours", ["infer"]), held.create("theirs", ["read", "operate"])
    assert ours != theirs
    assert len(ours) >= 40
    found = held.find(theirs)
    assert found is not None
    assert found.name == "theirs"
    assert sorted(found.scopes) == ["operate", "read"]
    for other in ("", ours[:-1], ours + "a", ours.upper(), sha256(ours.encode()).hexdigest(), "\udcff"):
        assert held.find(other) is None


def test_only_the_digest_is_kept_and_only_the_owner_reads_it(held: KeyFile) -> None:
    key = held.create("ours", ["infer"])
    content = held.file.read_text()
    assert key not in content
    assert key.removeprefix("tt-") not in content
    assert json.loads(content)["keys"][0]["digest"] == sha256(key.encode()).hexdigest()
    assert stat.S_IMODE(held.file.stat().st_mode) == 0o600


def test_every_digest_is_compared_in_constant_time(held: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    first = held.create("first", ["infer"])
    held.create("second", ["infer"])
    compared: list[str] = []

    def watched(kept: str, given: str) -> bool:
        compared.append(kept)
        return kept == given

    monkeypatch.setattr(module, "compare_digest", watched)
    assert held.find(first) is not None
    assert held.find("other") is None
    assert len(compared) == 4


def test_a_change_by_another_process_holds_for_the_next_look(held: KeyFile) -> None:
    server = KeyFile(held.file)
    assert server.keys == ()
    key = held.create("ours", ["infer"])
    assert server.find(key) is not None
    held.revoke("ours")
    assert server.find(key) is None
    held.file.unlink()
    assert server.keys == ()


def test_keys_made_at_the_same_time_are_all_kept(held: KeyFile) -> None:
    names = [f"key {i}" for i in range(6)]
    with ThreadPoolExecutor(6) as writers:
        list(writers.map(lambda name: KeyFile(held.file).create(name, ["read"]), names))
    assert sorted(key.name for key in held.keys) == names


@pytest.mark.parametrize(
    ("name", "scopes", "said"),
    [
        ("", ["read"], "no name of a key"),
        ("a\nb", ["read"], "printable"),
        ("x" * 101, ["read"], "up to 100"),
        ("new", ["read", "write"], "unknown scope 'write'; choose of read, infer, operate"),
        ("new", [], "a key needs a scope"),
        ("ours", ["read"], "a key named 'ours' already"),
    ],
)
def test_a_bad_name_or_scope_is_refused_and_nothing_written(
    held: KeyFile, name: str, scopes: list[str], said: str
) -> None:
    held.create("ours", ["infer"])
    before = held.file.read_bytes()
    with pytest.raises(InputError, match=said):
        held.create(name, scopes)
    assert held.file.read_bytes() == before


@pytest.mark.parametrize(
    "content", ["", "[]", '{"format": 2, "keys": []}', '{"keys": [{"name": "a", "digest": "d", "scopes": ["all"]}]}']
)
def test_a_damaged_file_gives_no_key_and_shows_nothing_of_itself(held: KeyFile, content: str) -> None:
    held.file.parent.mkdir()
    held.file.write_text(content)
    with pytest.raises(InputError, match=r"holds no keys of trimtab: .*restore it") as raised:
        held.find("tt-anything")
    assert raised.value.__cause__ is None


def test_the_default_file_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TRIMTAB_KEYS", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert default_file() == tmp_path / "trimtab" / "keys.json"
    monkeypatch.setenv("TRIMTAB_KEYS", str(tmp_path / "mine.json"))
    assert default_file() == tmp_path / "mine.json"


def test_the_command_makes_lists_and_revokes_keys(run: Run, held: KeyFile) -> None:
    code, out, err = run("keys", "create", "ours", "--file", held.file)
    assert code == 0
    key = out.strip()
    assert f"read; kept as a digest in {held.file}" in err
    assert held.find(key).scopes == {"read", "infer"}
    made = json.loads(run("keys", "create", "ops", "--scope", "operate", "--file", held.file, "--json")[1])
    assert held.find(made["key"]).name == "ops"
    rows = json.loads(run("keys", "list", "--file", held.file, "--json")[1])
    assert [(row["name"], row["scopes"]) for row in rows] == [("ours", ["infer", "read"]), ("ops", ["operate"])]
    assert key not in run("keys", "list", "--file", held.file)[1]
    assert run("keys", "revoke", "ours", "--file", held.file)[:2] == (0, "revoked: ours\n")
    assert held.find(key) is None
    code, _, err = run("keys", "revoke", "ours", "--file", held.file)
    assert code == 2
    assert "it holds 'ops'" in err
    assert "trimtab keys create NAME" in run("keys", "list", "--file", held.file.parent / "none.json")[1]


def test_the_command_loads_no_torch(held: KeyFile) -> None:
    code = (
        "import sys; sys.argv = ['trimtab', 'keys', 'create', 'ours', '--file', sys.argv[1]]\n"
        "from trimtab.cli import main\n"
        "try: main()\n"
        "except SystemExit as stop: code = stop.code\n"
        "assert not {'torch', 'transformers', 'fastapi'} & set(sys.modules)\n"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(held.file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
