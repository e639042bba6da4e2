"""Whatever stands in a file: it is read, or refused in one message, and nothing else is raised."""

import gzip
import io
import json
import random

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.behaviors.spreadsheet import workbook

from trimtab.behaviors import frames, load
from trimtab.errors import InputError

ROWS = [{"prompt": f"Is it {k}?", "positive": f"yes {k} it is", "negative": f"no {k} never"} for k in range(3)]
TURNS = [{"role": "user", "content": "hi"}]


def frame(write) -> bytes:
    stream = io.BytesIO()
    write(pl.DataFrame(ROWS), stream)
    return stream.getvalue()


SEEDS = {
    "a.jsonl": "\n".join(map(json.dumps, ROWS)).encode(),
    "a.json": json.dumps(ROWS, indent=1).encode(),
    "columns.json": json.dumps({k: [r[k] for r in ROWS] for k in ROWS[0]}).encode(),
    "a.csv": ("prompt;positive;negative\n" + '"a";"b ""c""";d\n' * 3).encode(),
    "turns.csv": b"chosen,rejected\n\"[{'role': 'user', 'content': 'a'}]\",\"[{'from': 'gpt', 'value': 'b'}]\"\n",
    "wide.csv": "prompt\tpositive\tnegative\na\tb\tc\n".encode("utf-16"),
    "a.parquet": frame(pl.DataFrame.write_parquet),
    "a.arrow": frame(pl.DataFrame.write_ipc_stream),
    "a.xlsx": workbook({"S": [["prompt", "positive", "negative"], ["a", "b", "c"], ["d", 1, True]]}),
    "chat.jsonl": "\n".join(json.dumps({"messages": TURNS, "positive": "a", "negative": "b"}) for _ in ROWS).encode(),
    "a.gz": gzip.compress(b'{"positive": "a", "negative": "b"}'),
}  # fmt: skip
PIECES = (
    b'"', b"{", b"}", b"[", b"]", b"\0", b"\xff", b"\n", b"\r", b",", b";", b"null", b"NaN", b"1e999", b'{"role": 1}',
    b"'", b"\\u0000", b"\\ud800", b"[[", b"\\", b"trimtab", b"exact", b"messages", b"\xef\xbb\xbf", b"array([",
)  # fmt: skip


def message_of(file, **options: bool) -> str:
    """What the reading says: nothing, or its refusal. Anything else that is raised fails the test."""
    try:
        behavior = load(file, **options)
    except InputError as error:
        return str(error)
    assert behavior.examples
    return "read"


@pytest.mark.parametrize("name", SEEDS)
def test_files_with_bytes_gone_or_put_in_are_read_or_refused(tmp_path, name):
    chance = random.Random(name)
    file = tmp_path / name
    for _ in range(6 if name in ("a.parquet", "a.arrow") else 60):  # these are tried in a process of their own
        data = bytearray(SEEDS[name])
        for _ in range(chance.choice((1, 2, 4))):
            at, kind = chance.randrange(len(data) + 1), chance.random()
            if kind < 0.3:
                data[min(at, len(data) - 1)] = chance.randrange(256)
            elif kind < 0.7:
                data[at:at] = chance.choice(PIECES)
            else:
                del data[at : at + chance.choice((1, 5, 30))]
        file.write_bytes(bytes(data))
        assert all(message_of(file, skip_bad=skip_bad) for skip_bad in (False, True))


OURS = [
    "prompt",
    "positive",
    "negative",
    "chosen",
    "rejected",
    "messages",
    "role",
    "content",
    "text",
    "label",
    "input",
    "group",
    "data",
    "answers",
    "rank",
    "answer",
    "tool_calls",
    "from",
    "value",
    "system",
    "history",
]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(OURS), inner, max_size=4),
        max_leaves=12,
    )
)
def test_any_json_under_our_names_is_read_or_refused(tmp_path, value):
    file = tmp_path / "b.json"
    file.write_text(json.dumps(value))
    assert message_of(file)


def test_a_row_without_answers_among_ranked_ones_is_named(tmp_path):
    file = tmp_path / "b.json"
    file.write_text('[{}, {"prompt": null, "answers": null}]')
    assert "b.json:1" in message_of(file)


@pytest.mark.parametrize(
    "cell",
    [
        "[" * 100_000 + "{'role': 'user', 'content': 1",
        "[{'role': 'a', 'content': " + "(" * 5_000,
        "[{'role':'a','content':" + "-" * 9_999,
    ],
    ids=["brackets", "parentheses", "signs"],
)
def test_deep_texts_in_cells_are_read_or_refused(tmp_path, cell):
    file = tmp_path / "b.csv"
    file.write_text(f'prompt,chosen,rejected\np,"{cell}",x\n')
    assert len(message_of(file)) < 1_000


def test_huge_cells_and_many_columns_are_read(tmp_path):
    file = tmp_path / "b.csv"
    file.write_text("positive,negative," + ",".join(f"c{k}" for k in range(3_000)) + "\n" + "a" * 3_000_000 + ",b\n")
    assert len(load(file).examples[0].positive) == 3_000_000


def test_messages_about_fields_stay_short_however_long_their_names(tmp_path):
    file = tmp_path / "b.json"
    file.write_text(json.dumps([{f"{k}" * 500: "x" for k in range(1, 300)}]))
    assert len(message_of(file)) < 2_500


def test_a_broken_table_of_a_program_prints_nothing_of_its_own(tmp_path, capfd):
    whole = SEEDS["a.parquet"]
    said = set()
    for at in range(4, len(whole) - 8, len(whole) // 12):
        file = tmp_path / "b.parquet"
        file.write_bytes(whole[:at] + b"\xff" + whole[at + 1 :])
        said.add(message_of(file).split(":")[1:2] == [" broken Parquet file"])
    assert True in said
    assert capfd.readouterr().err == ""


def test_a_table_that_kills_its_reader_is_refused_and_the_others_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(frames, "_TRIAL", "import os, sys; print(flush=True); os.abort()")
    with pytest.raises(
        InputError, match=r"second\.parquet: broken Parquet file: its sizes are impossible; write it again"
    ):
        frames.read_frames([(SEEDS["a.parquet"], "first.parquet"), (SEEDS["a.parquet"], "second.parquet")])
