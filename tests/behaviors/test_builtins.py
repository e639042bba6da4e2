"""The standard of the built-in behaviors: numbers, lengths, variety, nothing that gives a side away."""

import re
from collections import Counter

import pytest
from scipy.stats import mannwhitneyu

from trimtab.behaviors import Behavior, builtin, builtin_names, lint
from trimtab.behaviors.controls import CONTROLS

WRITTEN = [name for name in builtin_names() if name not in CONTROLS]
SIDES = ("positive", "negative")


def words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())


def test_all_that_are_promised_are_there() -> None:
    promised = {"sentiment", "politeness", "formality", "refusal", "honesty", "brevity", "certainty"}
    assert promised | {"null", "shuffled", "length-only"} == set(builtin_names())


@pytest.mark.parametrize("name", builtin_names())
def test_lint_is_clean(name: str) -> None:
    assert [f for f in lint(builtin(name)) if f.severity != "info"] == []


@pytest.mark.parametrize("name", WRITTEN)
def test_there_are_enough_rows_and_length_tells_nothing(name: str) -> None:
    behavior = builtin(name)
    assert len({e.prompt for e in behavior.examples}) >= 200
    for length in (len, lambda text: len(text.split())):
        positive, negative = ([length(getattr(e, side)) for e in behavior.examples] for side in SIDES)
        auroc = mannwhitneyu(positive, negative).statistic / len(behavior.examples) ** 2
        assert 0.45 <= auroc <= 0.55


@pytest.mark.parametrize("name", WRITTEN)
def test_no_opening_and_no_row_is_a_template(name: str) -> None:
    behavior = builtin(name)
    n = len(behavior.examples)
    for field, share in (("prompt", 0.04), ("positive", 0.05), ("negative", 0.05)):
        texts = [words(getattr(e, field)) for e in behavior.examples]
        opening, times = Counter(tuple(t[:2]) for t in texts).most_common(1)[0]
        assert times <= share * n, (field, opening, times)
        runs = Counter(run for t in texts for run in {tuple(t[i : i + 5]) for i in range(len(t) - 4)})
        assert all(times <= 3 for times in runs.values()), runs.most_common(1)


@pytest.mark.parametrize("name", WRITTEN)
def test_no_single_word_tells_the_sides_apart(name: str) -> None:
    """Shares of rows with a word differ by less than a quarter between the sides (styles differ in `of` and `to`)."""
    behavior = builtin(name)
    share = [_share(behavior, side) for side in SIDES]
    for word in share[0] | share[1]:
        assert abs(share[0][word] - share[1][word]) < 0.25 * len(behavior.examples), word


def _share(behavior: Behavior, side: str) -> Counter[str]:
    return Counter(w for e in behavior.examples for w in set(words(getattr(e, side))))


@pytest.mark.parametrize("name", WRITTEN)
def test_answers_join_their_prompts(name: str) -> None:
    for e in builtin(name).examples:
        assert e.prompt == e.prompt.strip()
        for answer in (e.positive, e.negative):
            assert answer[0] in " ,;:"
            assert answer.strip() == answer[answer[0] == " " :]
            assert answer[-1] in ".!?\"')…", e
