"""Near-duplicates: against a brute-force search, and as the units of splits."""

import math
import random
from collections import Counter

import numpy as np
import pytest

from trimtab.behaviors import Behavior, Example, builtin, builtin_names, clusters, split
from trimtab.behaviors.duplicates import aligned, resemblances
from trimtab.behaviors.likeness import near_duplicates, variants

OPENINGS = ("", "Well, ", "Honestly, ", "As far as I know, ", "In short, ")
ENDINGS = ("", " indeed", " or so they say", " as always", " for once")


def brute(texts: list[list[str]], alike: float) -> list[int]:
    """First place of each text's cluster, by walking from text to text."""
    stands = Counter(word for text in texts for word in set(text))
    weight = {word: min(1.0, math.log(len(texts) / n) / math.log(4)) for word, n in stands.items()}

    def index(a: list[str], b: list[str]) -> float:
        union = sum(weight[w] for w in {*a, *b})
        return sum(weight[w] for w in {*a} & {*b}) / union if union else 0.0

    first = [-1] * len(texts)
    for start in range(len(texts)):
        if first[start] >= 0:
            continue
        waiting = [start]
        while waiting:
            i = waiting.pop()
            if first[i] < 0:
                first[i] = start
                waiting += [j for j in range(len(texts)) if first[j] < 0 and index(texts[i], texts[j]) >= alike]
    return first


@pytest.mark.parametrize("alike", [0.5, 0.6])
@pytest.mark.parametrize("seed", range(4))
def test_clusters_agree_with_a_brute_force_walk(alike: float, seed: int):
    rng = random.Random(seed)
    texts = [rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(0, 9)) for _ in range(300)]
    assert near_duplicates(texts, alike).tolist() == brute(texts, alike)


def light_variants(n: int, each: int, seed: int = 0) -> list[tuple[str, str]]:
    rng = random.Random(seed)
    base = [tuple(" ".join(f"w{rng.randrange(10_000)}" for _ in range(9)) for _ in range(2)) for _ in range(n)]
    forms = [(o, e) for o in OPENINGS for e in ENDINGS]
    return [
        (forms[k % 25][0] + p + forms[k % 25][1], forms[k % 25][0] + q + forms[k % 25][1])
        for p, q in base
        for k in range(each)
    ]


def pairs(rows: list[tuple[str, str]], pairing: str = "natural", prompts: list[str] | None = None) -> Behavior:
    given = prompts or [""] * len(rows)
    return Behavior("b", [Example(t, p, q) for t, (p, q) in zip(given, rows, strict=True)], pairing=pairing)


@pytest.mark.parametrize(("n", "each"), [(4, 25), (8, 25), (12, 20), (20, 10), (40, 6)])
def test_light_variants_of_a_few_pairs_are_as_many_units_as_pairs(n: int, each: int):
    rows = light_variants(n, each)
    assert len(set(clusters(pairs(rows)))) == n
    prompts = [f"Question {k} about x{k} y{k} z{k}?" for k in range(len(rows))]
    assert len(set(clusters(pairs(rows, prompts=prompts)))) == n  # own prompts do not make them independent


def test_paraphrases_of_a_question_are_one_unit_though_the_answers_differ():
    prompts = [
        f"What is the {kind} of land{k} called{end}?"
        for k in range(20)
        for kind in ("capital",)
        for end in ("", " today")
    ]
    rows = [(f" p{k} q{k} r{k} s{k}", f" t{k} u{k} v{k} w{k}") for k in range(40)]
    assert len(set(clusters(pairs(rows, prompts=prompts)))) == 20


def test_rows_in_japanese_that_differ_in_an_ending_are_one_unit():
    things = [
        "朝の天気予報",
        "祖母の手料理",
        "駅前の古本屋",
        "雨上がりの庭",
        "昨日見た映画",
        "隣町の図書館",
        "海沿いの坂道",
    ]
    rows = [(f"{t}は素晴らしかった{e}。", f"{t}はひどかった{e}。") for t in things for e in ("", "よ", "ね", "です")]
    assert len(set(clusters(pairs(rows)))) == len(things)


def test_a_template_around_different_things_makes_no_near_duplicates():
    things = ["soup", "garden", "train", "hotel", "speech", "museum", "picnic", "bridge", "violin", "market", "ferry"]
    rows = [(f"I think the {t} is a delight to see.", f"I think the {t} is a misery to see.") for t in things]
    assert len(set(clusters(pairs(rows)))) == len(things)


@pytest.mark.parametrize("name", builtin_names())
def test_built_in_behaviors_hold_no_near_duplicates(name: str):
    behavior = builtin(name)
    assert len(set(clusters(behavior))) == len(behavior.examples)


def test_short_answers_that_recur_are_no_near_duplicates():
    prompts = [f"a{k} b{k} c{k}?" for k in range(60)]
    rows = [(" a cat", " a dog") if k % 3 else (" a horse", " a cow") for k in range(60)]
    assert len(set(clusters(pairs(rows, prompts=prompts)))) == 60


# --- unpaired lists ---


def lists(seed: int) -> Behavior:
    """Two lists, one with clusters of 9, 5 and 3, the other with clusters of 4 and 4, in random order."""
    rng = random.Random(seed)

    def text() -> list[str]:
        return [f"w{rng.randrange(100_000)}" for _ in range(8)]

    def side(sizes: tuple[int, ...]) -> list[str]:
        out = []
        for size in (*sizes, *[1] * (40 - sum(sizes))):
            base = text()
            out += [" ".join([*base, f"v{rng.randrange(100_000)}"]) for _ in range(size)]
        rng.shuffle(out)
        return out

    return pairs(list(zip(side((9, 5, 3)), side((4, 4)), strict=True)), "random")


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_lists_are_matched_so_that_a_cluster_makes_one_unit_and_no_chains(seed: int, turned: bool):
    behavior = lists(seed)
    if turned:  # the negative list has the larger clusters
        behavior = pairs([(e.negative, e.positive) for e in behavior.examples], "random")
    result = aligned(behavior)
    sizes = sorted(Counter(clusters(result)).values(), reverse=True)
    assert sizes[:3] == [9, 5, 3]
    assert sum(sizes) == 40
    assert sizes[3:] == [1] * 23
    for side in ("positive", "negative"):
        assert sorted(getattr(e, side) for e in result.examples) == sorted(getattr(e, side) for e in behavior.examples)
    assert len(set(clusters(behavior))) < len(set(clusters(result)))


def test_lists_without_near_duplicates_stay_as_they_are():
    behavior = pairs([(f"a{k} b{k} c{k}", f"d{k} e{k} f{k}") for k in range(30)], "random")
    assert aligned(behavior) is behavior


def test_no_near_duplicate_of_a_training_text_stands_in_another_part():
    result = aligned(lists(1))
    parts = split(result, n_shots=2, seed=3)
    clusters = resemblances(result)
    at = {(e.positive, e.negative): i for i, e in enumerate(result.examples)}
    where: dict[tuple[int, int], set[str]] = {}
    for name in ("shots", "train", "dev", "eval"):
        for e in getattr(parts, name).examples:
            for side, first in enumerate(clusters):
                where.setdefault((side, int(first[at[e.positive, e.negative]])), set()).add(name)
    assert all(len(names) == 1 for names in where.values())


# --- one sentence ---


def test_variants_of_one_sentence_are_found_though_every_row_holds_it():
    texts = [f"it will all be fine in the end {k}".split() for k in range(20)] + [
        ["quite", "another", str(k)] for k in range(5)
    ]
    assert variants(texts, 0.6).tolist() == [True] * 20 + [False] * 5


def test_variants_of_nothing_are_none():
    assert not variants([[], []], 0.6).any()
    assert np.array_equal(near_duplicates([[], []], 0.5), [0, 1])
