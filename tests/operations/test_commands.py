"""The commands: one message and exit code 2 for bad input, JSON alone on standard output, no torch."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from tests.conftest import Run
from tests.serving.steerings import write_steering

from trimtab.operations import Exposure, ExposureLog, ExposureWriter, Outcome, OutcomeLog, Releases, Store, entries


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of steerings in which commands run, and no store yet."""
    for name in ("TRIMTAB_STORE", "TRIMTAB_OFF", "TRIMTAB_OFF_FILE", "TRIMTAB_TEXT_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TRIMTAB_AUDIT_KEY", str(tmp_path / "key" / "audit.key"))
    write_steering(tmp_path / "warm", {"warm": 1.0}, presets={"gentle": {"warm": 0.5}})
    write_steering(tmp_path / "cold", {"cold": 1.0})
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def created(here: Path, run: Run) -> Run:
    """With the draft of a release."""
    code, out, err = run(
        "release", "create", "first", "--treatment", "warm@gentle", "--control", "cold", "--model", "tiny",
        "--stages", "50,100", "--unchecked", "a demonstration", "--metric", "length", "--guardrail", "errors",
        "--by", "ada", "--why", "a pilot",
    )  # fmt: skip
    assert (code, out, err) == (0, "release 'first' is draft (version 1)\n", "")
    return run


def test_a_release_is_made_promoted_and_rolled_back(created: Run, here: Path) -> None:
    run = created
    with Store(here) as store:
        definition = Releases(store).get("first").definition
    assert definition.treatment.strength == {"warm": 0.5}
    assert definition.control.name == "cold"
    assert (definition.metric, definition.guardrails) == ("length", ("errors",))
    assert run("release", "start", "first")[:2] == (0, "release 'first' is running at 50 % (version 2)\n")
    assert json.loads(run("release", "promote", "first", "--to", "100", "--json")[1])["share"] == 100
    assert "paused" in run("release", "pause", "first", "--expected", "3")[1]
    code, _, err = run("release", "resume", "first", "--expected", "3")
    assert code == 2
    assert "it was changed after version 3" in err
    assert "running" in run("release", "resume", "first")[1]
    assert "is finished" in run("release", "finish", "first", "--keep", "treatment")[1]
    assert "rolled-back" in run("release", "rollback", "first", "--by", "bob", "--why", "complaints")[1]
    rows = json.loads(run("release", "history", "first", "--json")[1])
    assert [row["what"].partition(".")[2] for row in rows] == [
        "create", "start", "promote", "pause", "resume", "finish", "rollback",
    ]  # fmt: skip
    assert (rows[-1]["by"], rows[-1]["why"]) == ("bob", "complaints")
    assert "complaints" in run("release", "history", "first")[1]
    (listed,) = json.loads(run("release", "list", "--json")[1])
    assert listed["state"] == "rolled-back"
    assert "first" in run("release", "list", "--model", "tiny")[1]
    assert run("release", "list", "--model", "other")[1] == "none yet\n"


def test_the_status_counts_the_requests_of_each_arm(created: Run, here: Path) -> None:
    created("release", "dry-run", "first")
    with Store(here) as store:
        arms = ("control", "treatment", "treatment")
        ExposureLog(store).write(
            [Exposure(str(i), 0.0, "tiny", arm, f"u{i}", "first", 2, dry_run=True) for i, arm in enumerate(arms)]
        )
    said = json.loads(created("release", "status", "first", "--json")[1])
    assert said["state"] == "dry-run"
    assert [(row["arm"], row["requests"], row["units"]) for row in said["exposures"]] == [
        ("control", 1, 1), ("treatment", 2, 2),
    ]  # fmt: skip
    out = created("release", "status", "first")[1]
    assert "unchecked: a demonstration" in out
    assert "treatment (dry run)" in out


BAD = {
    "no check": (("create", "x", "--treatment", "warm"), "no check is given", "--unchecked"),
    "no steering": (("create", "x", "--treatment", "none", "--unchecked", "x"), "this is no folder", ""),
    "preset": (("create", "x", "--treatment", "warm@loud", "--unchecked", "x"), "nor a preset", ""),
    "stages": (("create", "x", "--treatment", "warm", "--stages", "5,1", "--unchecked", "x"), "rising", "--stages"),
    "words": (("create", "x", "--treatment", "warm", "--stages", "some", "--unchecked", "x"), "such as", "--stages"),
    "slice": (
        ("create", "x", "--treatment", "warm", "--traffic", "1-2-3", "--unchecked", "x"),
        "no slice",
        "--traffic",
    ),
    "age": (("create", "x", "--treatment", "warm", "--max-age", "old"), "30d or 12h", "--max-age"),
    "unknown": (("start", "second"), "there is no release 'second'; there is first", ""),
    "misspelt": (("start", "frist"), "there is no release 'frist'; did you mean 'first'? there is first", ""),
    "order": (("promote", "first", "--to", "100"), "it allows start, dry-run, rollback, not promote", ""),
    "by": (("start", "first", "--by", " "), "say who", "--by"),
    "keep": (("finish", "first", "--keep", "both"), "--keep", ""),
    "off": (("off",), "confirm it", "--all"),
    "store": (("list", "--store", "nowhere.db"), "there is no store at nowhere.db", "--store"),
    "url": (("list", "--store", "mysql://x/y"), "must begin with postgresql://", "--store"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_message(created: Run, name: str) -> None:
    arguments, why, flag = BAD[name]
    code, out, err = created("release", *arguments)
    assert (code, out) == (2, "")
    assert why in err.replace("\n", " ")
    assert flag in err


def test_the_emergency_off_pauses_and_needs_no_store(created: Run, here: Path) -> None:
    created("release", "start", "first")
    assert json.loads(created("release", "off", "--all", "--json", "--by", "ada")[1]) == {
        "file": "OFF", "paused": ["first"], "store": None,
    }  # fmt: skip
    assert created("release", "on", "--by", "bob", "--why", "mended")[1] == "removed: OFF\n"
    assert created("release", "on")[1] == "there is no OFF: nothing was off\n"
    with Store(here) as store:
        assert Releases(store).get("first").state == "paused"
        said = [(one.who, one.what, one.why, (one.after or {}).get("off")) for one in entries(store)][-2:]
    assert said == [("ada", "steering.off", "", True), ("bob", "steering.on", "mended", False)]
    (here / "operations.db").unlink()
    code, out, err = created("release", "off", "--all")
    assert code == 0
    assert out.startswith("off: OFF;")
    assert "the store was not changed: there is no store" in err
    assert (here / "OFF").exists()


def test_the_audit_is_shown_published_verified_proved_and_exported(created: Run, here: Path) -> None:
    run = created
    run("release", "start", "first", "--by", "bob")
    public = run("audit", "key", "--name", "ours")[1].strip()
    assert "never replaced" in run("audit", "key")[2]
    assert [entry["who"] for entry in json.loads(run("audit", "show", "--json")[1])] == ["ada", "bob"]
    assert "release.start" in run("audit", "show", "first", "--first", "1")[1]
    assert run("audit", "verify")[1].startswith("holds: 2 entries, by their own hashes; root ")
    assert run("audit", "publish", "--out", "checkpoint")[1].startswith("2 entries, root ")
    for options in (("--verifier", public), ()):
        assert "are as published" in run("audit", "verify", "--checkpoint", "checkpoint", *options)[1]
    proof = json.loads(run("audit", "prove", "1")[1])
    assert proof["kind"] == "inclusion"
    assert len(proof["path"]) == 1
    assert json.loads(run("audit", "prove", "--since", "1")[1])["first_size"] == 1
    assert run("audit", "prove")[0] == run("audit", "prove", "1", "--since", "1")[0] == 2
    assert run("audit", "export", "--out", "all.jsonl")[1] == "2 entries in all.jsonl\n"
    lines = (here / "all.jsonl").read_text().splitlines()
    assert [json.loads(line)["number"] for line in lines] == [0, 1]


def test_an_audit_that_does_not_hold_ends_with_code_4_and_names_the_entry(created: Run, here: Path) -> None:
    created("audit", "key")
    created("audit", "publish", "--out", "checkpoint")
    with closing(sqlite3.connect(here / "operations.db")) as connection, connection:
        connection.execute("DROP TRIGGER audit_entries_no_update")
        connection.execute("UPDATE audit_entries SET content = replace(content, 'ada', 'eve')")
    code, out, _ = created("audit", "verify", "--checkpoint", "checkpoint")
    assert code == 4
    assert out.startswith("does not hold: entry 0 was edited")
    said = json.loads(created("audit", "verify", "--json")[1])
    assert (said["holds"], said["first"]) == (False, 0)
    assert created("audit", "publish", "--out", "checkpoint")[0] == 2


def test_a_store_is_migrated_and_forgets(here: Path, run: Run) -> None:
    assert run("store", "migrate")[1] == "the store has the schema 0004 now\n"
    assert run("store", "migrate")[1] == "the store has the schema 0004 already\n"
    with Store(here) as store:
        ExposureLog(store).write([Exposure("r", 0.0, "tiny", "named", "ada", prompt="p", answer="a")])
        OutcomeLog(store, texts=True).write([Outcome("thumbs", "r", label="up", who="page", comment="so so")])
    (line,) = run("store", "exposures", "ada")[1].splitlines()
    assert json.loads(line)["prompt"] == "p"
    (feedback,) = json.loads(line)["feedback"]
    assert [feedback[name] for name in ("metric", "label", "who", "comment")] == ["thumbs", "up", "page", "so so"]
    assert run("store", "expire", "--keep", "30d")[1] == "texts removed: 1\n"
    assert json.loads(run("store", "forget", "ada", "--by", "eve", "--json")[1])["exposures_unlinked"] == 1
    assert run("store", "exposures", "ada")[1] == ""
    assert "30d or 12h" in run("store", "expire", "--keep", "soon")[2]
    assert len(run("store", "key")[1].strip()) == 44


def test_what_a_server_has_answered_but_not_written_yet_is_forgotten_too(here: Path, run: Run) -> None:
    with Store(here, create=True) as store, ExposureWriter(log := ExposureLog(store)) as writer:
        writer.put(Exposure("r", 0.0, "tiny", "named", "ada", prompt="p", answer="a"))
        assert json.loads(run("store", "forget", "ada", "--json")[1]) == {"texts_removed": 1, "exposures_unlinked": 1}
        assert list(log.of_unit("ada")) == []


@pytest.mark.parametrize(
    "arguments", [("release", "list"), ("release", "--help"), ("audit", "show"), ("store", "migrate")]
)
def test_the_commands_load_no_torch(here: Path, arguments: tuple[str, ...]) -> None:
    Store(here, create=True).close()
    code = (
        "import sys; sys.argv = ['trimtab', *sys.argv[1:]]\n"
        "from trimtab.cli import main\n"
        "try: main()\n"
        "except SystemExit as stop: code = stop.code\n"
        "assert not {'torch', 'transformers', 'fastapi', 'scipy'} & set(sys.modules)\n"
        "assert '--help' not in sys.argv or 'sqlalchemy' not in sys.modules\n"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_is_not_installed_is_told(here: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("trimtab.operations")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    code, _, err = run("release", "list")
    assert code == 2
    assert "pip install 'trimtab[operations]'" in err


def test_the_status_says_what_the_metrics_mean_and_a_watch_acts_on_it(here: Path, run: Run) -> None:
    made = run(
        "release", "create", "first", "--treatment", "warm", "--model", "tiny", "--stages", "50,100",
        "--unchecked", "a demonstration", "--metric", "length:5", "--guardrail", "errors:0.1:rollback",
    )  # fmt: skip
    assert made[0] == 0, made
    run("release", "start", "first")
    with Store(here) as store:
        ends = {"control": "stop", "treatment": "error"}
        ExposureLog(store).write(
            [
                Exposure(f"{a}{i}", 0.0, "tiny", a, f"{a}{i}", "first", 2, finish=ends[a])
                for a in ends
                for i in range(99)
            ]
        )
    code, out, _ = run("release", "status", "first")
    assert code == 0
    said = " ".join(out.split())
    assert "inconclusive" in said
    assert "The arms get their shares of the 198 units." in said
    assert "The next watch takes the step rollback." in said
    record = json.loads(run("release", "status", "first", "--json")[1])["experiment"]
    assert [(one["metric"], one["state"]) for one in record["findings"]] == [
        ("length", "inconclusive"), ("errors", "worse"),
    ]  # fmt: skip
    code, out, _ = run("release", "watch", "--once", "--json")
    (watched,) = json.loads(out)
    assert (code, watched["decision"]["event"]) == (0, "release.rollback")
    assert json.loads(run("release", "history", "first", "--json")[1])[-1]["by"] == "watch"
    assert run("release", "watch", "--once")[1] == "no release runs that has a metric or a guardrail\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--guardrail", "errors:1%"), "is no margin"), (("--guardrail", "errors:0.1:stop"), "is no action"),
        (("--metric", "length:5:5:5"), "too many parts"), (("--alpha", "2"), "--alpha"),
        (("--on-harm", "panic"), "--on-harm"), (("--auto-promote",), "--auto-promote"),
        (("--metric", "length", "--guardrail", "length"), "more than once"), (("--min-units", "3"), "--min-units"),
    ],
)  # fmt: skip
def test_nonsense_about_metrics_is_refused(here: Path, run: Run, arguments: tuple[str, ...], said: str) -> None:
    code, out, err = run(
        "release", "create", "first", "--treatment", "warm", "--unchecked", "a demonstration", *arguments
    )  # fmt: skip
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


def test_a_webhook_without_a_secret_or_a_store_is_refused(
    here: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRIMTAB_WEBHOOK_SECRET", raising=False)
    Store(here, create=True).close()
    code, _, err = run("release", "watch", "--once", "--webhook", "http://127.0.0.1/x")
    assert code == 2
    assert "TRIMTAB_WEBHOOK_SECRET" in err
    code, _, err = run("serve", "--no-auth", "--webhook", "http://127.0.0.1/x")
    assert code == 2
    assert "--store" in err
