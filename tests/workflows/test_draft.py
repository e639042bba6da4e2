"""A draft from a real server: weeding, faults on the way, interruption, and a file that a person can edit."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.chat_server import ChatServer, Reply, serving, writes
from tests.conftest import Run

from trimtab.behaviors import lint, load
from trimtab.clients.chat import Endpoint, EndpointError
from trimtab.errors import InputError, TrimtabError
from trimtab.workflows.draft import EndpointWriter, LoadedWriter, draft
from trimtab.workflows.draft.asking import answer_in, instructions_in, openings_in

DESCRIPTION = "speaks in rhymes"
TOLD = ("You are a poet.", "You are a clerk.")


def capable(request: dict[str, Any], k: int) -> Reply:
    return Reply(writes(request))


def writer(server: ChatServer, **options: object) -> EndpointWriter:
    settings = {"attempts": 3, "timeout": 5.0, "pause": lambda s: None, **options}
    return EndpointWriter(Endpoint(server.url, "poet-1", **settings), parallel=4)  # type: ignore[arg-type]


def rows_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_draft_is_a_behavior_with_provenance_in_every_row(tmp_path: Path) -> None:
    out = tmp_path / "rhymes.jsonl"
    with serving(capable) as server:
        result = draft(writer(server), "rhymes", DESCRIPTION, file=out, n=40)
    header, *rows = rows_of(out)
    assert header["positive_instruction"] == "You are a poet who speaks in rhymes."
    assert header["description"] == DESCRIPTION
    assert len(rows) == 40
    for row in rows:
        assert row["positive"].startswith(" Rhymes of the")
        assert row["negative"].startswith(" Prose of the")
        assert row["positive"].endswith(".")  # what broke off behind it is gone
        assert row["prompt"].startswith("What about the")
        assert row["provenance"]["writer"] == f"poet-1 at {server.url}"
        assert len(row["provenance"]["date"]) == 10
    behavior = load(out)
    assert (behavior.name, behavior.pairing, len(behavior.examples)) == ("rhymes", "natural", 40)
    assert [f.code for f in lint(behavior) if f.severity == "error"] == []
    assert result.behavior == behavior
    assert list(tmp_path.iterdir()) == [out]  # no journal is left
    given = [turn["content"] for r in server.requests for turn in r["messages"] if turn["role"] == "system"]
    assert all(given.count(t) <= len(given) // 2 for t in given)  # lengths vary, sides share them


def test_incomplete_equal_and_repeated_rows_are_dropped_and_counted(tmp_path: Path) -> None:
    def sloppy(request: dict[str, Any], k: int) -> Reply:
        opening = request["messages"][-1]["content"]
        if "poet" in request["messages"][0]["content"] or "clerk" in request["messages"][0]["content"]:
            if any(word in opening for word in ("lamp", "velvet", "music")):
                return Reply("no end of a sentence here")
            if any(word in opening for word in ("orange", "paper", "bridge")):
                return Reply("The very same answer to both.")
        return Reply(writes(request))

    with serving(sloppy) as server:
        result = draft(writer(server), "rhymes", DESCRIPTION, file=tmp_path / "r.jsonl", n=30)
    assert set(result.dropped) == {"without two complete answers", "with the same answer twice"}
    assert len(result.behavior.examples) == 30
    assert result.n_answered >= 30 + sum(result.dropped.values())


def test_a_writer_that_repeats_itself_gives_fewer_rows_and_ends(tmp_path: Path) -> None:
    def dull(request: dict[str, Any], k: int) -> Reply:
        said = request["messages"][0]["content"]
        if "short messages" in said:
            return Reply("\n".join(f"{i}. Do you know the town number {i}?" for i in range(10)))
        return Reply(writes(request))

    with serving(dull) as server:
        result = draft(writer(server), "rhymes", DESCRIPTION, file=tmp_path / "r.jsonl", n=30)
    assert len(result.behavior.examples) == 10


@pytest.mark.parametrize("nonsense", ["I cannot help with that.", "…", "POSITIVE: You are x.\nNEGATIVE: You are x."])
def test_a_writer_without_usable_answers_is_an_error_and_no_file(tmp_path: Path, nonsense: str) -> None:
    with serving(lambda request, k: Reply(nonsense)) as server:
        with pytest.raises(TrimtabError, match="give both yourself"):
            draft(writer(server), "rhymes", DESCRIPTION, file=tmp_path / "a.jsonl", n=10)
        with pytest.raises(TrimtabError, match="more capable model"):
            draft(writer(server), "rhymes", DESCRIPTION, file=tmp_path / "b.jsonl", n=10, instructions=TOLD)
    assert not list(tmp_path.glob("*.jsonl"))


def test_faults_on_the_way_leave_the_same_draft(tmp_path: Path) -> None:
    def faulty(request: dict[str, Any], k: int) -> Reply:
        faults = [
            Reply(status=429, headers={"retry-after": "0"}),
            Reply(body=b"<html>"),
            Reply(content=None),
            Reply(delay=0.6),
            Reply(status=500),
            Reply(cut=True),
        ]
        return faults[k // 5 % len(faults)] if k % 5 == 0 else capable(request, k)

    with serving(capable) as server:
        draft(writer(server), "rhymes", DESCRIPTION, file=tmp_path / "a.jsonl", n=24)
    with serving(faulty) as server:
        draft(writer(server, timeout=0.4, attempts=8), "rhymes", DESCRIPTION, file=tmp_path / "b.jsonl", n=24)
    a, b = ([{**r, "provenance": None} for r in rows_of(tmp_path / f"{x}.jsonl")] for x in "ab")
    assert a == b


def test_one_conversation_that_cannot_be_had_costs_its_row_only(tmp_path: Path) -> None:
    def partly(request: dict[str, Any], k: int) -> Reply:
        down = any(
            word in request["messages"][-1]["content"] for word in ("velvet", "river", "lamp", "music", "bridge")
        )
        return Reply(status=500) if down else capable(request, k)

    with serving(partly) as server:
        result = draft(writer(server, attempts=2), "rhymes", DESCRIPTION, file=tmp_path / "r.jsonl", n=20)
    assert len(result.behavior.examples) == 20
    assert result.dropped["without two complete answers"] > 0


def test_what_was_written_before_a_break_is_not_asked_again(tmp_path: Path) -> None:
    out = tmp_path / "r.jsonl"
    with serving(capable) as server:
        whole = draft(writer(server), "rhymes", DESCRIPTION, file=tmp_path / "whole.jsonl", n=40)
        total = len(server.requests)
        url = server.url

    def breaks(request: dict[str, Any], k: int) -> Reply:
        return capable(request, k) if k < 60 else Reply(status=503)

    with serving(breaks) as server, pytest.raises(EndpointError, match="what was written is kept"):
        draft(_at(writer(server), url), "rhymes", DESCRIPTION, file=out, n=40)
    kept = (tmp_path / "r.jsonl.part").read_bytes()
    (tmp_path / "r.jsonl.part").write_bytes(kept + b'{"step": "answers 0.3')  # and a line cut off
    with serving(capable) as server, pytest.raises(InputError, match="another seed"):
        draft(_at(writer(server), url), "rhymes", DESCRIPTION, file=out, n=40, seed=3)
    with serving(capable) as server:
        result = draft(_at(writer(server), url), "rhymes", DESCRIPTION, file=out, n=40)
        assert 0 < len(server.requests) <= total - 32
    assert result.behavior.examples[:1] == load(out).examples[:1]
    assert rows_of(out) == rows_of(whole.file)


class _at:  # noqa: N801 - a writer that gives another address as its own
    def __init__(self, writer: EndpointWriter, url: str) -> None:
        self.say = writer.say
        self.identity = f"poet-1 at {url}"


def test_killed_at_any_moment_it_goes_on_to_the_same_file(tmp_path: Path) -> None:
    def slowly(request: dict[str, Any], k: int) -> Reply:
        return Reply(writes(request), delay=0.01)

    def command(out: str, url: str) -> list[str]:
        words = ["draft", "rhymes", "--description", DESCRIPTION, "--n", "40", "--out", out]
        return [sys.executable, "-m", "trimtab", *words, "--endpoint", url, "--endpoint-model", "poet-1"]

    with serving(slowly) as server:
        subprocess.run(command("a.jsonl", server.url), cwd=tmp_path, check=True, capture_output=True)
        total = len(server.requests)
        for k in range(2):
            child = subprocess.Popen(
                command("b.jsonl", server.url), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            while len(server.requests) < total + 30 * (k + 1) and child.poll() is None:
                time.sleep(0.002)
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
            assert not (tmp_path / "b.jsonl").exists()
        subprocess.run(command("b.jsonl", server.url), cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.jsonl", "b.jsonl"]


# --- the command line ---


def test_the_command_writes_lints_and_says_what_comes_next(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = ("rhymes", "--description", DESCRIPTION, "--n", 24, "--endpoint-model", "poet-1")
    with serving(capable) as server:
        code, out, err = run("draft", *asked, "--endpoint", server.url)
        assert code == 0, err
        assert "24 rows" in out
        assert "trimtab check rhymes.jsonl" in out
        code, _, err = run("draft", *asked, "--endpoint", server.url)
        assert code == 2
        assert "exists and is left as it is" in err
        code, out, _ = run("draft", *asked, "--endpoint", server.url, "--json", "--out", "other.jsonl")
        assert json.loads(out)["n"] == 24
    assert len(rows_of(tmp_path / "rhymes.jsonl")) == 25


WRONG = {
    "no model": (("--endpoint", "http://127.0.0.1:9/v1"), "--endpoint-model"),
    "no endpoint": (("--endpoint-model", "m"), "--endpoint, which is missing"),
    "no key": (("--endpoint", "https://h/v1", "--endpoint-model", "m", "--key-env", "NOT_SET"), "NOT_SET"),
    "no URL": (("--endpoint", "h/v1", "--endpoint-model", "m"), "base URL"),
    "one instruction": (("--positive-instruction", "x"), "--negative-instruction"),
    "a bad name": (("--endpoint", "http://127.0.0.1:9/v1", "--endpoint-model", "m", "--out", "o.jsonl"), "name"),
    "no such folder": (("--endpoint", "http://127.0.0.1:9/v1", "--endpoint-model", "m", "--out", "/proc/x/y"), "--out"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_usage_ends_with_code_2_and_one_message(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.chdir(tmp_path)
    options, said = WRONG[case]
    name = "a/b" if case == "a bad name" else "rhymes"
    code, _, err = run("draft", name, "--description", DESCRIPTION, *options)
    assert code == 2, err
    assert said in " ".join(err.split())
    assert list(tmp_path.iterdir()) == []


# --- a loaded model ---


def test_a_loaded_model_can_write_and_one_without_chat_template_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    import trimtab as tt

    model = tt.load(tiny_folder)
    with pytest.raises(InputError, match="chat template"):
        LoadedWriter(model)
    model.tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}\n{% endfor %}"
    said = [
        LoadedWriter(model).say([[{"role": "user", "content": text}] for text in ("Tell me.", "Say more.")], seed, 12)
        for seed in (1, 1, 2)
    ]
    assert said[0] == said[1] != said[2]
    with pytest.raises(TrimtabError, match="usable rows"):  # a random model writes no sentence
        draft(LoadedWriter(model), "rhymes", DESCRIPTION, file=tmp_path / "r.jsonl", n=4, instructions=TOLD)


# --- reading answers ---


def test_openings_are_read_from_lists_of_any_kind() -> None:
    text = """Here are the messages:
    1. How do I bake bread?
    2) "Where is the harbour master?"
    - Tell me of old trains.
    * 3 hens are on my roof, help!
    Too short
    **Why is the sky so blue today?**
    """
    assert openings_in(text) == [
        "How do I bake bread?",
        "Where is the harbour master?",
        "Tell me of old trains.",
        "3 hens are on my roof, help!",
        "Why is the sky so blue today?",
    ]


def test_answers_end_with_their_last_complete_sentence() -> None:
    assert answer_in("One two three. Four five") == "One two three."
    assert answer_in('"Nice day, isn\'t it?" she said. And') == '"Nice day, isn\'t it?" she said.'.lstrip('"')
    assert answer_in("It costs 3.50 euros today! Really") == "It costs 3.50 euros today!"
    assert answer_in("no end in sight here") is None
    assert answer_in("Yes.") is None
    assert answer_in("word " * 59 + "end. more words follow here.") == "word " * 59 + "end."


def test_instructions_are_read_from_two_lines() -> None:
    assert instructions_in("**Positive:** You are kind.\n\n**Negative:** You are rude.") == (
        "You are kind.",
        "You are rude.",
    )
    assert instructions_in("POSITIVE: You are kind.") is None
