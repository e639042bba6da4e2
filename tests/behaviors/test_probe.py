"""Probes: those that ship are what they say, and a file of one's own is checked row by row."""

import json
from collections import Counter
from pathlib import Path

import pytest

from trimtab.behaviors import Probe, load
from trimtab.errors import InputError


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_capability_has_500_minimal_pairs_of_three_kinds() -> None:
    probe = Probe.builtin("capability")
    kinds = Counter(probe.kinds)
    assert set(kinds) == {"grammar", "facts", "cloze"}
    assert sum(kinds.values()) == len(probe.examples) >= 500
    assert min(kinds.values()) >= 150
    for e in probe.examples:
        assert e.prompt
        assert e.prompt == e.prompt.rstrip()
        assert e.positive.split() != e.negative.split(), e
        assert len(e.positive.split()) == len(e.negative.split()), e
        for ending in (e.positive, e.negative):
            assert ending[0] == " " or not ending[0].isalnum(), e
    assert len({(e.prompt, e.positive) for e in probe.examples}) == len(probe.examples)


def test_capability_cannot_be_passed_by_liking_a_word() -> None:
    """No word is nearly always right, or nearly always wrong: neither frequency nor position gives an item away."""
    probe = Probe.builtin("capability")
    right = Counter(
        w for e in probe.examples for w in set(e.positive.lower().split()) - set(e.negative.lower().split())
    )
    wrong = Counter(
        w for e in probe.examples for w in set(e.negative.lower().split()) - set(e.positive.lower().split())
    )
    for word in right | wrong:
        both = right[word] + wrong[word]
        assert both < 8 or 0.2 <= right[word] / both <= 0.8, (word, right[word], wrong[word])


def test_neutral_has_100_paragraphs_of_several_kinds() -> None:
    probe = Probe.builtin("neutral")
    assert len(probe.texts) >= 100
    assert len(set(probe.kinds)) >= 8
    assert all(40 <= len(text.split()) <= 120 for text in probe.texts)
    assert len({text[:40] for text in probe.texts}) == len(probe.texts)


def test_over_refusal_has_100_requests_with_an_answer_and_a_refusal_of_like_length() -> None:
    from scipy.stats import mannwhitneyu

    probe = Probe.builtin("over-refusal")
    assert len({e.prompt for e in probe.examples}) == len(probe.examples) >= 100
    answers, refusals = [len(e.positive) for e in probe.examples], [len(e.negative) for e in probe.examples]
    u = mannwhitneyu(answers, refusals).statistic
    assert 0.45 <= u / len(probe.examples) ** 2 <= 0.55


def test_a_file_of_ones_own_is_read(tmp_path: Path) -> None:
    header = {"trimtab": "probe", "name": "mine", "description": "d"}
    pairs = write(tmp_path / "p.jsonl", header, {"prompt": "A", "right": " b", "wrong": " c", "kind": "k"})
    probe = Probe.load(pairs)
    assert (probe.name, probe.kinds, probe.examples[0].positive) == ("mine", ["k"], " b")
    texts = Probe.load(write(tmp_path / "t.jsonl", {"text": "One."}, {"text": "Two."}))
    assert (texts.texts, list(texts.kinds), texts.name) == (["One.", "Two."], ["", ""], "t.jsonl")
    assert Probe.load("neutral").name == "neutral"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"prompt": "A", "right": " b"}], "found 'prompt', 'right'"),
        ([{"prompt": "A", "right": " b", "wrong": " "}], "'wrong' is empty"),
        ([{"text": "a"}, {"prompt": "A", "right": " b", "wrong": " c"}], ":2"),
        ([{"text": 3}], "string"),
        ([{"trimtab": "probe", "name": "x"}], "no rows"),
        ([{"trimtab": "steering"}, {"text": "a"}], "steering"),
    ],
)
def test_rows_that_do_not_fit_are_refused_with_their_place(tmp_path: Path, rows: list[object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Probe.load(write(tmp_path / "p.jsonl", *rows))


def test_a_name_that_is_none_lists_those_there_are() -> None:
    for call in (Probe.builtin, Probe.load):
        with pytest.raises(InputError, match="capability, neutral, over-refusal"):
            call("capabilities")


def test_a_probe_is_no_behavior(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'probe', not a 'behavior'"):
        load(write(tmp_path / "p.jsonl", {"trimtab": "probe"}, {"prompt": "a", "positive": "b", "negative": "c"}))
