"""Words and sentences that by themselves tell the sides apart."""

import random

import pytest

from trimtab.behaviors import Behavior, Example, builtin, builtin_names, lint
from trimtab.behaviors.wording import telling_words, without_words


def texts(n: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [" " + " ".join(f"w{rng.randrange(400)}" for _ in range(9)) for _ in range(n)]


def pairs(positive: list[str], negative: list[str]) -> Behavior:
    rows = [Example("", p, q, source=f"f:{i}") for i, (p, q) in enumerate(zip(positive, negative, strict=True), 1)]
    return Behavior("b", rows)


def codes(behavior: Behavior) -> set[str]:
    return {f.code for f in lint(behavior) if f.severity != "info"}


def test_a_word_of_most_positive_answers_is_telling_with_its_share():
    words = texts(40)
    behavior = pairs([f"{t} indeed" if k < 30 else t for k, t in enumerate(words)], texts(40, 1))
    assert telling_words(behavior.examples) == {"indeed": pytest.approx(0.75)}
    assert "one-word" in codes(behavior)


@pytest.mark.parametrize("mark", ["!", "</s>", "<|endoftext|>", "。"])
def test_marks_behind_one_side_are_telling(mark: str):
    behavior = pairs([t + mark for t in texts(30)], texts(30, 1))
    telling = telling_words(behavior.examples)
    assert telling
    assert all(share == 1.0 for share in telling.values())
    bare = [without_words(e, list(telling)) for e in behavior.examples]
    assert [e.positive if e else None for e in bare] == [" ".join(t.split(" ")) for t in texts(30)]


def test_a_word_of_the_negative_side_has_a_negative_share():
    behavior = pairs(texts(30), [f" not{t}" for t in texts(30, 1)])
    assert telling_words(behavior.examples) == {"not": -1.0}


def test_words_are_taken_out_whole_and_in_any_case():
    e = Example("p", " No, nobody said NO today.", " yes and more")
    left = without_words(e, ["no"])
    assert left is not None
    assert (left.prompt, left.positive) == ("p", " , nobody said today.")
    assert without_words(Example("", " no!", " yes"), ["no"]) is None
    assert without_words(Example("", " no tea", " tea"), ["no"]) is None


@pytest.mark.parametrize("side", ["positive", "negative"])
def test_one_sentence_in_all_rows_but_one_is_an_error_that_names_it(side: str):
    said = " this is all that anybody could say"
    sides = {"positive": texts(40), "negative": texts(40, 1)}
    sides[side] = [said] * 39 + sides[side][:1]
    result = [f for f in lint(pairs(**sides)) if f.code == "one-sentence"]
    assert [(f.severity, f.n) for f in result] == [("error", 39)]
    assert "this is all that anybody could say" in result[0].message


def test_variants_of_one_sentence_are_one_sentence():
    endings = ("!", ".", " indeed.", " really.")
    said = [f" it was the best thing that I ever saw in my life{endings[k % 4]}" for k in range(40)]
    assert "one-sentence" in codes(pairs(said, texts(40)))


@pytest.mark.parametrize("name", builtin_names())
def test_built_in_behaviors_are_more_than_a_word_or_a_sentence(name: str):
    assert not {"one-sentence", "one-word", "one-sided"} & codes(builtin(name))
