"""Lint's words on answers that hold their prompt, where no reader could cut it off for certain."""

import json

import pytest

from trimtab.behaviors import Behavior, Example, builtin, builtin_names, lint, load

LONG = "Tell me all about the old harbour."
CHAT = "Human: Tea?\n\nAssistant: {}"


def codes(behavior: Behavior) -> dict[str, int]:
    return {f.code: f.n for f in lint(behavior) if f.severity == "error"}


@pytest.mark.parametrize("side", ["positive", "negative"])
def test_an_answer_of_one_side_that_begins_with_its_prompt_is_an_error(side):
    answers = {"positive": " It shines.", "negative": " It stinks.", side: f" {LONG} It is so."}
    rows = [Example(LONG, **answers), Example("Which way up?", " Up.", " Down.")]
    assert codes(Behavior("b", rows))["prompt-in-answer"] == 1


def test_a_prompt_that_an_answer_begins_with_by_chance_is_none():
    rows = [Example("Tea is", " Tea is fine.", " Tea is bad."), Example("It is a rain", " It is a rainbow.", " No.")]
    assert "prompt-in-answer" not in codes(Behavior("b", rows))


@pytest.mark.parametrize("text", ["[{'role': 'user', 'content': 'x'}]", '{"from": "human", "value": "x"}', CHAT])
def test_statements_that_are_whole_chats_are_an_error(text):
    rows = [Example("", text.replace("{}", "a"), text.replace("{}", "b")), Example("", "I rest.", "I rage.")]
    assert codes(Behavior("b", rows))["chat-in-answer"] == 1


def test_labelled_texts_that_are_turns_are_an_error(tmp_path):
    rows = [{"text": f"[{{'role': 'user', 'content': 'x{k}'}}]", "label": k} for k in (0, 1)]
    (tmp_path / "b.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert "chat-in-answer" in codes(load(tmp_path / "b.jsonl"))


def test_what_comes_with_trimtab_has_neither():
    for name in builtin_names():
        assert not {"chat-in-answer", "prompt-in-answer"} & set(codes(builtin(name)))
