"""Duplicates, units, and the disjoint parts of a behavior."""

import os
import subprocess
import sys
from collections import Counter
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trimtab.behaviors import Behavior, Example, Part, clusters, deduplicate, load, normalise, split
from trimtab.behaviors.matching import matched
from trimtab.errors import InputError

PARTS = ("shots", "train", "dev", "eval", "replication")


def choice(n: int) -> Behavior:
    return Behavior(name="c", examples=[Example(f"Q{k}?", *((" (A)", " (B)")[:: 1 - 2 * (k % 2)])) for k in range(n)])


def text(n: int) -> Behavior:
    return Behavior(
        name="t", examples=[Example(f"Prompt {k}", f" good answer {k}", f" bad answer {k}") for k in range(n)]
    )


def bare(pairs: list[tuple[str, str]], pairing: str = "natural") -> Behavior:
    return Behavior(name="b", examples=[Example("", p, q) for p, q in pairs], pairing=pairing)


def sizes(splits) -> list[int]:
    return [len(getattr(splits, name)) for name in PARTS]


# --- normalise ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [(" Hello,  World! ", "hello, world"), ("“Straße”", "strasse"), ("(A)", "a"), ("!", "!"), ("C++", "c++"), ("", "")],
)
def test_normalise_sets_aside_case_white_space_and_outer_punctuation_only(text, expected):
    assert normalise(text) == expected


@given(st.text())
def test_normalise_is_idempotent_on_what_it_is_meant_for(text):
    assert normalise(f"  {normalise(text)} ") == normalise(normalise(text))


# --- deduplicate ---


def test_rows_equal_but_for_case_and_punctuation_are_one_row():
    behavior = Behavior(
        name="x",
        examples=[Example("A b?", " Yes", " No"), Example("a  B", " yes.", " NO"), Example("c", " No", " Yes")],
    )
    kept, n = deduplicate(behavior)
    assert n == 1
    assert [e.prompt for e in kept.examples] == ["A b?", "c"]
    assert "1 rows dropped" in kept.notes[-1]


def test_the_same_question_with_other_answers_is_no_duplicate():
    behavior = Behavior(name="x", examples=[Example("q", " (A)", " (B)"), Example("q", " (B)", " (A)")])
    assert deduplicate(behavior) == (behavior, 0)


def test_random_pairs_lose_texts_of_both_classes_and_are_matched_anew():
    behavior = bare([("p1", "n1"), ("P1.", "n2"), ("both", "n3"), ("p4", "both"), ("p5", "n5")], "random")
    kept, n = deduplicate(behavior)
    # gone: both from either class; n2 is matched with p4, n3 with a text that is used again
    pairs = [("p1", "n1"), ("p5", "n5"), ("p4", "n2"), ("p1", "n3")]
    assert [(e.positive, e.negative) for e in kept.examples] == pairs
    assert n == 2


def test_a_text_in_more_rows_than_others_of_its_class_is_dropped_from_them():
    behavior = bare([*((f"p{k}", "n") for k in range(6)), ("p6", "m"), ("p7", "l")], "random")
    kept, n = deduplicate(behavior)
    assert sorted(e.positive for e in kept.examples) == [f"p{k}" for k in range(8)]
    times = Counter(e.negative for e in kept.examples)
    assert (set(times), max(times.values()), n) == ({"n", "m", "l"}, 3, 3)


@given(
    st.lists(st.sampled_from("abcdefghijk"), min_size=1, max_size=30),
    st.lists(st.sampled_from("ijklmnopqrst"), min_size=1, max_size=30),
)
def test_unpaired_lists_use_each_text_of_one_class_as_often_as_the_others(positive, negative):
    examples, _ = matched("f", [(p, "") for p in positive], [(n, "") for n in negative])
    behavior = Behavior("x", examples, pairing="random")
    sides = [{getattr(e, side) for e in examples} for side in ("positive", "negative")]
    in_both = sides[0] & sides[1]
    if not (sides[0] - in_both and sides[1] - in_both):
        return
    kept, _ = deduplicate(behavior)
    wanted = sorted(len(side - in_both) for side in sides)
    assert len(kept.examples) == min(wanted[1], 4 * wanted[0])
    for side, texts in zip(("positive", "negative"), sides, strict=True):
        times = Counter(getattr(e, side) for e in kept.examples)
        assert max(times.values()) <= -(-len(kept.examples) // len(times))
        assert set(times) <= texts - in_both
        if wanted[1] <= 4 * wanted[0]:
            assert set(times) == texts - in_both
    assert deduplicate(kept) == (kept, 0)


def test_rows_with_an_explicit_group_are_never_taken_apart():
    examples = [Example("", "p", "n", "g"), Example("", "p", "m", "g"), Example("", "q", "n", "h")]
    kept, n = deduplicate(Behavior(name="x", examples=examples, pairing="random"))
    assert [(e.positive, e.negative) for e in kept.examples] == [("p", "n")]
    assert n == 4


def test_nothing_left_is_an_input_error():
    with pytest.raises(InputError, match="both classes"):
        deduplicate(bare([("a", "A!")], "random"))


# --- units ---


def test_rows_with_the_same_question_share_a_unit_and_others_do_not():
    prompts = ["one?", "two?", "ONE", "three?", "four?"]
    behavior = Behavior(name="x", examples=[Example(p, " Yes", " No") for p in prompts])
    assert clusters(behavior) == ["#1", "#2", "#1", "#4", "#5"]


def test_an_explicit_group_is_the_unit():
    behavior = Behavior(name="x", examples=[Example(f"{k}?", " Yes", " No", "g" if k < 2 else "") for k in range(4)])
    assert clusters(behavior) == ["g", "g", "#3", "#4"]


def test_a_shared_prompt_joins_grouped_and_ungrouped_rows_and_two_groups():
    rows = [("one?", "g"), ("ONE", ""), ("two?", "h"), ("two", "g"), ("three?", "k")]
    behavior = Behavior(name="x", examples=[Example(p, " Yes", " No", g) for p, g in rows])
    assert clusters(behavior) == ["g", "g", "g", "g", "k"]


def test_a_shared_statement_joins_grouped_rows_unless_more_than_half_of_the_rows_hold_it():
    rows = [("a", "no", "g"), ("A.", "no", "h"), ("b", "no", "i"), ("c", "c", "j")]
    behavior = Behavior(name="x", examples=[Example("", *row) for row in rows])
    assert clusters(behavior) == ["g", "g", "i", "j"]


def test_explicit_groups_that_look_like_found_units_stay_apart_from_them():
    groups = ["#3", "##2", "", "", "#3"]
    behavior = Behavior(name="x", examples=[Example(f"{k}?", " Yes", " No", g) for k, g in enumerate(groups)])
    assert clusters(behavior) == ["#3", "##2", "###3", "###4", "#3"]


def test_bare_statements_are_chained_by_the_statements_they_share():
    behavior = bare([("a", "b"), ("c", "d"), ("B.", "e"), ("f", "E")])
    assert clusters(behavior) == ["#1", "#2", "#1", "#1"]


def test_a_prompt_of_more_than_half_of_the_rows_is_a_frame_and_answers_tell_the_units():
    rows = [Example("Write:", f" good {k % 3}", f" bad {k}") for k in range(6)] + [Example("Other:", " good 0", " x")]
    assert clusters(Behavior(name="x", examples=rows)) == ["#1", "#2", "#3", "#1", "#2", "#3", "#1"]


# --- split ---


def test_a_thousand_choice_rows_split_as_in_the_paper():
    assert sizes(split(choice(1000))) == [5, 250, 100, 500, 0]


def test_evaluation_takes_what_training_leaves_up_to_five_hundred_rows():
    assert sizes(split(text(500))) == [5, 150, 60, 285, 0]
    assert split(text(500)).notes == ()
    splits = split(text(1000))
    assert sizes(splits) == [5, 150, 60, 500, 0]
    assert splits.notes == ("285 of 1000 rows are in no part",)


def test_half_of_the_evaluation_rows_is_kept_back_for_replication_when_asked_for():
    assert sizes(split(text(500), replication=True)) == [5, 150, 60, 143, 142]
    assert sizes(split(text(500), evaluation=100, replication=True)) == [5, 150, 60, 100, 0]


def test_smaller_sets_shrink_in_proportion():
    assert sizes(split(choice(430))) == [5, 125, 50, 250, 0]
    assert sizes(split(text(250))) == [5, 75, 30, 140, 0]


@pytest.mark.parametrize("make", [choice, text])
def test_the_smallest_set_still_has_two_rows_in_each_needed_part(make):
    splits = split(make(8))
    assert sizes(splits) == [0, 2, 2, 4, 0]


@pytest.mark.parametrize("make", [choice, text])
def test_few_questions_are_not_spent_on_solved_examples_and_more_of_them_leave_no_part_smaller(make):
    few = [sizes(split(make(n))) for n in range(8, 16)]
    assert [row[0] for row in few] == [0] * 8
    assert [sum(row) for row in few] == list(range(8, 16))
    assert all((np.diff(part) >= 0).all() for part in zip(*few, strict=True))
    assert few[3] == [0, 3, 2, 6, 0]
    assert sizes(split(make(16)))[0] == 5
    assert sizes(split(make(11), n_shots=1))[0] == 0
    assert sizes(split(make(12), n_shots=1))[0] == 1


def test_too_few_questions_say_how_many_are_needed():
    with pytest.raises(InputError, match=r"7 different questions in 7 rows; at least 8"):
        split(choice(7))


def test_explicit_sizes_are_honoured_with_dev_at_two_fifths_of_train():
    splits = split(text(500), train=100, evaluation=300)
    assert sizes(splits) == [5, 100, 40, 300, 0]
    assert not any("wanted" in note for note in splits.notes)


def test_an_explicit_evaluation_size_is_kept_while_the_others_shrink():
    splits = split(text(205), evaluation=130)
    assert len(splits.eval) == 130
    assert sizes(splits)[1:3] == [50, 20]


def test_sizes_that_cannot_be_had_are_shrunk_and_noted():
    splits = split(choice(105), train=50, evaluation=500)
    assert f"wanted 500 evaluation rows, the set has only {len(splits.eval)}" in splits.notes
    assert sum(sizes(splits)) <= 105
    assert len(splits.eval) > 8 * len(splits.train)


@pytest.mark.parametrize("wrong", [{"train": 1}, {"evaluation": 0}, {"n_shots": -1}])
def test_impossible_sizes_are_input_errors(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        split(choice(100), **wrong)


def test_no_shots_means_an_empty_part():
    assert sizes(split(choice(100), n_shots=0))[0] == 0


def test_the_same_seed_gives_the_same_parts_and_another_seed_others():
    behavior = choice(200)
    assert split(behavior, seed=3) == split(behavior, seed=3)
    assert split(behavior, seed=3).train != split(behavior, seed=4).train


def test_parts_do_not_depend_on_the_hash_seed():
    code = (
        "from trimtab.behaviors import *\n"
        "b = Behavior(name='x', examples=[Example(f'q{k%40}', f' good {k}', f' bad {k}') for k in range(90)])\n"
        "print([e.positive for e in split(b).eval.examples])"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(digests) == 1


def test_a_question_larger_than_every_part_cannot_crowd_out_the_others():
    rows = [Example("big?", f" good thing {k}", f" bad thing {k}") for k in range(50)]
    rows += [Example(f"q{k}?", f" well{k}", f" ill{k}") for k in range(60)]
    splits = split(Behavior(name="x", examples=rows), train=30, evaluation=20)
    assert all(len(set(getattr(splits, name).clusters)) >= 2 for name in ("train", "dev", "eval"))
    assert len({e.prompt for e in splits.shots.examples}) == 5
    assert any("in no part" in note for note in splits.notes)


@pytest.mark.parametrize("seed", range(5))
def test_one_question_in_a_hundred_rows_leaves_every_part_its_units(seed):
    rows = [Example("big?", f" good thing {k}", f" bad thing {k}") for k in range(100)]
    rows += [Example(f"q{k}?", f" well{k}", f" ill{k}") for k in range(300)]
    splits = split(Behavior(name="x", examples=rows), seed=seed)
    for part, limit in ((splits.train, 13), (splits.dev, 5), (splits.eval, 24)):
        counts = Counter(part.clusters)
        assert max(counts.values()) <= limit  # a tenth of what 400 rows would have given to it
        assert len(counts) >= 0.85 * len(part)
    assert len(splits.train) + len(splits.dev) + len(splits.eval) >= 300


@st.composite
def behaviors(draw) -> Behavior:
    n = draw(st.integers(12, 90))
    repeated = draw(st.booleans())
    questions = draw(st.lists(st.integers(0, 40), min_size=n, max_size=n)) if repeated else list(range(n))
    kind = draw(st.sampled_from(["choice", "text", "bare", "group"]))
    rows = []
    for k, q in enumerate(questions):
        answers = (" (A)", " (B)") if kind == "choice" else (f" good {k}", f" bad {k}")
        if kind == "bare":
            rows.append(Example("", f"good {q}", f"bad {k}"))
        else:
            rows.append(
                Example(f"question {q if kind != 'group' else k}", *answers, f"g{q}" if kind == "group" else "")
            )
    return Behavior(name="x", examples=rows, pairing=draw(st.sampled_from(["natural", "random"])))


@settings(max_examples=150, deadline=None)
@given(
    behaviors(),
    st.integers(0, 6),
    st.none() | st.integers(2, 100),
    st.none() | st.integers(2, 100),
    st.integers(0, 2**32 - 1),
)
def test_no_unit_and_no_row_is_ever_in_two_parts(behavior, n_shots, train, evaluation, seed):
    n = len(set(clusters(behavior)))
    if n < 8:
        with pytest.raises(InputError, match="different questions"):
            split(behavior, n_shots=n_shots)
        return
    splits = split(behavior, n_shots=n_shots, train=train, evaluation=evaluation, seed=seed)
    parts = [getattr(splits, name) for name in PARTS]
    assert {f.name for f in fields(splits)} == {*PARTS, "notes"}
    earlier: set[str] = set()
    for part in parts:
        assert isinstance(part, Part)
        assert len(part.examples) == len(part.clusters)
        assert not earlier & set(part.clusters)
        earlier |= set(part.clusters)
    known = dict(zip(map(id, behavior.examples), clusters(behavior), strict=True))
    dealt = [id(e) for part in parts for e in part.examples]
    assert len(dealt) == len(set(dealt))
    assert [known[i] for i in dealt] == [unit for part in parts for unit in part.clusters]
    for part in parts:
        assert all(len({*part.clusters[:n]}) == min(n, len({*part.clusters})) for n in range(len(part) + 1))
    assert len(splits.shots) == (n_shots if n >= n_shots + 11 else 0)
    assert all(len(set(part.clusters)) >= 2 for part in (splits.train, splits.dev, splits.eval))
    assert train is None or len(splits.train) <= train
    assert evaluation is None or len(splits.eval) <= evaluation


@st.composite
def mixtures(draw) -> Behavior:
    """Rows with and without groups, whose prompts (or statements) repeat within and between the groups."""
    n = draw(st.integers(20, 80))
    bare, labels = draw(st.booleans()), draw(st.booleans())
    common = st.sampled_from(["Frame:", "frame"]) if draw(st.booleans()) else st.nothing()
    question = st.integers(0, 60).map("Q {}?".format) | st.integers(0, 60).map("q {}".format)
    group = st.sampled_from(["", "", "#1", "#7", "##2"]) | st.integers(0, 40).map("g{}".format)
    rows = []
    for k in range(n):
        asked, other = draw(question | common), draw(question)
        plus, minus = (asked, f"{other}!") if bare else (" (A)", " (B)") if labels else (f" good {k}", f" bad {k}")
        rows.append(Example("" if bare else asked, plus, minus, draw(group)))
    return Behavior(name="x", examples=rows)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mixtures(), st.integers(0, 2**32 - 1))
def test_no_prompt_but_a_frame_and_no_group_is_ever_in_two_parts(behavior, seed):
    try:
        splits = split(behavior, n_shots=1, seed=seed)
    except InputError as error:
        assert "different questions" in str(error)  # noqa: PT017 (too many rows were joined to split them)
        splits = None
    names = clusters(behavior)
    holders: dict[tuple[str, str], list[int]] = {}
    for i, e in enumerate(behavior.examples):
        texts = {normalise(t) for t in ((e.positive, e.negative) if behavior.bare else (e.prompt,))}
        for key in [("text", t) for t in texts] + ([("group", e.group)] if e.group else []):
            holders.setdefault(key, []).append(i)
    whole = {key: rows for key, rows in holders.items() if key[0] == "group" or 2 * len(rows) <= len(names)}
    assert all(len({names[i] for i in rows}) == 1 for rows in whole.values())
    if splits:
        part = {id(e): name for name in PARTS for e in getattr(splits, name).examples}
        result = [
            {part[id(behavior.examples[i])] for i in rows if id(behavior.examples[i]) in part}
            for rows in whole.values()
        ]
        assert all(len(parts) <= 1 for parts in result)


@pytest.mark.data
def test_questions_repeated_in_a_published_set_never_stand_in_two_parts(data_dir):
    behavior = load(data_dir / "mwe/xrisk/one-box-tendency.jsonl")
    splits = split(behavior)
    prompts = [{normalise(e.prompt) for e in getattr(splits, name).examples} for name in PARTS]
    assert sum(map(len, prompts)) == len(set.union(*prompts))
    kept, n = deduplicate(behavior)
    assert len(kept.examples) + n == 1000
    assert len(set(clusters(kept))) < 820  # 810 unique questions, and fewer without case and punctuation
