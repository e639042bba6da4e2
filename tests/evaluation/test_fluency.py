"""Repetition and variety against brute force, changes against means by hand."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.errors import InputError
from trimtab.evaluation import distinct, fluency, longest_repetition, repeated, words

TEXTS = st.lists(st.sampled_from(["a", "b", "c", "."]), max_size=14).map(" ".join)
PLAIN = "we walked down to the old harbour and watched ferries come in one by one"
BASE = [f"{PLAIN} {word}" for word in "abcdefghijkl"]
LOOPS = [" ".join([word, *["the cat sat"] * (3 + k % 4)]) for k, word in enumerate("abcdefghijkl")]


def test_a_word_is_a_run_of_letters_or_one_sign_or_one_mark_without_case() -> None:
    assert words("It's 3 o'clock, Ärger…") == ["it", "'", "s", "3", "o", "'", "clock", ",", "ärger", "…"]
    assert words("好好学习 ok!!") == ["好", "好", "学", "习", "ok", "!", "!"]
    assert words(" \n") == []


@given(TEXTS, st.integers(1, 4))
def test_shares_of_ngrams_are_those_counted_one_by_one(text: str, n: int) -> None:
    tokens = text.split()
    counted = Counter(" ".join(tokens[i : i + n]) for i in range(len(tokens)) if i + n <= len(tokens))
    if not counted:
        assert np.isnan(distinct(text, n))
        assert np.isnan(repeated(text, n))
        return
    seen_before = sum(times - 1 for times in counted.values())
    assert repeated(text, n) == pytest.approx(seen_before / counted.total())
    assert distinct(text, n) == pytest.approx(len(counted) / counted.total())


def brute_force(tokens: list[str]) -> float:
    longest = 0 if tokens else float("nan")
    for start in range(len(tokens)):
        for size in range(1, len(tokens)):
            times = 1
            while tokens[start + times * size : start + (times + 1) * size] == tokens[start : start + size]:
                times += 1
            if times > 1:
                longest = max(longest, times * size)
    return longest


@given(TEXTS)
def test_the_longest_repetition_is_what_trying_every_block_finds(text: str) -> None:
    assert longest_repetition(text) == pytest.approx(brute_force(text.split()), nan_ok=True)


def test_longest_repetitions_known_by_eye() -> None:
    assert longest_repetition("The cat, the cat, the cat") == 6
    assert longest_repetition("no no no no") == 4
    assert longest_repetition("!!!!!!!") == 7
    assert longest_repetition("each word but once") == 0


def test_a_change_is_the_mean_difference_prompt_by_prompt() -> None:
    result = fluency(BASE, LOOPS)
    for name, measure in {
        "words": lambda text: len(words(text)),
        "repeated_3": lambda text: repeated(text, 3),
        "repeated_4": lambda text: repeated(text, 4),
        "distinct_1": lambda text: distinct(text, 1),
        "distinct_2": lambda text: distinct(text, 2),
        "longest_repetition": longest_repetition,
    }.items():
        change = getattr(result, name)
        before, after = ([measure(text) for text in side] for side in (BASE, LOOPS))
        assert (change.n, change.n_missing, change.reason) == (12, 0, None)
        assert change.base == pytest.approx(np.mean(before))
        assert change.steered == pytest.approx(np.mean(after))
        assert change.difference.value == pytest.approx(np.mean(np.subtract(after, before)))
        assert change.difference.low <= change.difference.value <= change.difference.high
    assert result.repeated_3.difference is not None
    assert result.repeated_3.difference.low > 0.4


def test_swapped_sides_turn_the_sign_and_the_same_texts_change_nothing() -> None:
    mixed = [b if i % 3 else a for i, (a, b) in enumerate(zip(BASE, LOOPS, strict=True))]
    there, back, none = fluency(BASE, mixed), fluency(mixed, BASE), fluency(mixed, mixed)
    assert there.distinct_2.difference is not None
    assert back.distinct_2.difference is not None
    assert there.distinct_2.difference.value == pytest.approx(-back.distinct_2.difference.value)
    assert none.distinct_2.difference is not None
    assert none.distinct_2.difference.value == 0


def test_repeats_of_a_template_widen_the_interval() -> None:
    mixed = [b if i % 2 else a for i, (a, b) in enumerate(zip(BASE, LOOPS, strict=True))]
    own = fluency(BASE * 4, mixed * 4).words.difference
    shared = fluency(BASE * 4, mixed * 4, [str(i % 12) for i in range(48)]).words.difference
    assert own is not None
    assert shared is not None
    assert shared.high - shared.low > 1.5 * (own.high - own.low)


def test_texts_too_short_for_a_figure_are_left_out_and_counted() -> None:
    result = fluency([*BASE[:10], "", "two words"], [*BASE[:9], "", "x", "now three words"])
    assert (result.words.n, result.words.n_missing) == (12, 0)
    assert (result.distinct_1.n, result.distinct_1.n_missing) == (10, 2)
    assert (result.repeated_3.n, result.repeated_3.n_missing) == (9, 3)
    nothing = fluency(["one", "two", "three"], BASE[:3]).repeated_4
    assert (nothing.n, nothing.n_missing, nothing.base, nothing.difference) == (0, 3, None, None)
    assert nothing.reason is not None
    assert "too short" in nothing.reason


def test_one_unit_is_no_measurement() -> None:
    change = fluency(BASE, LOOPS, ["the same"] * 12).words
    assert change.difference is None
    assert change.reason is not None
    assert "fewer than 2 clusters" in change.reason


def test_the_perplexity_ratio_is_the_geometric_mean_over_prompts() -> None:
    rng = np.random.default_rng(0)
    before, after = -rng.uniform(1, 3, 12), -rng.uniform(2, 4, 12)
    result = fluency(BASE, LOOPS, log_prob_base=before, log_prob_steered=after)
    ratio = result.perplexity_ratio
    assert ratio is not None
    assert ratio.value == pytest.approx(np.prod(np.exp(-after) / np.exp(-before)) ** (1 / 12))
    assert ratio.low < ratio.value < ratio.high
    assert result.log_prob.base == pytest.approx(before.mean())
    after[3] = np.nan
    assert fluency(BASE, LOOPS, log_prob_base=before, log_prob_steered=after).log_prob.n_missing == 1


def test_without_log_probabilities_perplexity_is_not_measured() -> None:
    result = fluency(BASE, LOOPS)
    assert result.perplexity_ratio is None
    assert result.log_prob.reason is not None


def test_the_same_seed_gives_the_same_figures() -> None:
    assert fluency(BASE, LOOPS, seed=3) == fluency(BASE, LOOPS, seed=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base": "text"}, "base: give a list"),
        ({"steered": [1] * 12}, "steered: give a list"),
        ({"steered": LOOPS[:3]}, "12 base and 3 steered"),
        ({"clusters": ["a"]}, "12 labels"),
        ({"log_prob_base": [-1.0] * 12}, "one side only"),
        ({"log_prob_base": [-1.0] * 11, "log_prob_steered": [-1.0] * 12}, "log_prob_base: shape"),
        ({"log_prob_base": [-1.0] * 12, "log_prob_steered": [-1.0] * 11 + [0.5]}, "log_prob_steered: 0.5 in row 11"),
        ({"log_prob_base": ["x"] * 12, "log_prob_steered": [-1.0] * 12}, "not an array"),
        ({"log_prob_base": [-np.inf] * 12, "log_prob_steered": [-1.0] * 12}, "finite"),
    ],
)
def test_input_that_does_not_fit_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        fluency(**{"base": BASE, "steered": LOOPS, **options})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="at least 1 word"):
        distinct("a b", 0)
