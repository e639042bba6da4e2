"""Controls: the same texts, and nothing that the labels could mean."""

from collections import Counter

import pytest

from trimtab.behaviors import Behavior, Example, builtin, by_length, clusters, lint, shuffled
from trimtab.errors import InputError


def paired(n: int, groups: int = 0) -> Behavior:
    rows = [Example(f"Prompt {i}", f"yes {i}", f"no {i}", group=f"g{i % groups}" if groups else "") for i in range(n)]
    return Behavior("b", rows)


def turned(before: Behavior, after: Behavior) -> list[bool]:
    """Whether each row's answers have been exchanged; every row must hold the same two."""
    out = []
    for a, b in zip(before.examples, after.examples, strict=True):
        assert a.prompt == b.prompt
        assert {a.positive, a.negative} == {b.positive, b.negative}
        out.append(a.positive != b.positive)
    return out


def test_half_of_the_rows_are_exchanged_and_the_seed_says_which() -> None:
    b = paired(100)
    exchanged = turned(b, shuffled(b, seed=1))
    assert sum(exchanged) == 50
    assert exchanged == turned(b, shuffled(b, seed=1))
    assert exchanged != turned(b, shuffled(b, seed=2))
    # over seeds every row is exchanged about half of the time: 400 draws, five standard errors
    often = Counter(i for seed in range(400) for i, was in enumerate(turned(b, shuffled(b, seed))) if was)
    assert all(abs(often[i] / 400 - 0.5) < 5 * 0.025 for i in range(100))


def test_rows_of_one_question_keep_together() -> None:
    b = paired(60, groups=6)
    exchanged = turned(b, shuffled(b))
    by_cluster = {
        unit: {was for u, was in zip(clusters(b), exchanged, strict=True) if u == unit} for unit in set(clusters(b))
    }
    assert all(len(seen) == 1 for seen in by_cluster.values())
    assert sum(seen == {True} for seen in by_cluster.values()) == 3


def test_unpaired_texts_are_dealt_anew() -> None:
    b = Behavior("b", [Example("", f"p{i}", f"n{i}") for i in range(200)], pairing="random")
    after = shuffled(b)
    assert sorted(t for e in after.examples for t in (e.positive, e.negative)) == sorted(
        t for e in b.examples for t in (e.positive, e.negative)
    )
    moved = sum(e.positive.startswith("n") for e in after.examples)
    assert 70 <= moved <= 130


def test_a_single_unit_cannot_be_shuffled() -> None:
    with pytest.raises(InputError, match="single cluster"):
        shuffled(paired(5, groups=1))


def test_by_length_the_longer_answer_is_the_positive_one_and_lint_knows_it() -> None:
    rows = [("a b c", "a b"), ("a", "a b"), ("abc", "ab"), ("a b", "c d")]
    b = Behavior("b", [Example(f"P{i}", p, n) for i, (p, n) in enumerate(rows)])
    after = by_length(b)
    assert [(e.positive, e.negative) for e in after.examples] == [("a b c", "a b"), ("a b", "a"), ("abc", "ab")]
    findings = {f.code: f for f in lint(after)}
    assert findings["length-words"].severity == "info"
    assert findings["length-words"].message.startswith("on purpose")
    plain = {f.code: f.severity for f in lint(Behavior("b", after.examples))}
    assert plain["length-words"] == "warning"


@pytest.mark.parametrize(
    "behavior",
    [
        Behavior("b", [Example("", "longer", "short")], pairing="random"),
        Behavior("b", [Example("Q", " Yes", " No")]),
        Behavior("b", [Example("Q", "a b", "c d")]),
    ],
    ids=["unpaired", "labels", "one length"],
)
def test_by_length_needs_pairs_of_texts_of_unlike_length(behavior: Behavior) -> None:
    with pytest.raises(InputError):
        by_length(behavior)


def test_the_built_in_controls_are_made_from_other_built_ins() -> None:
    assert sum(turned(builtin("sentiment"), builtin("shuffled"))) == len(builtin("sentiment").examples) // 2
    assert all(len(e.positive.split()) >= len(e.negative.split()) for e in builtin("length-only").examples)
    assert builtin("length-only").name == "length-only"
