"""What lint finds, each measure against an independent computation."""

import math
import os
import random
import subprocess
import sys
from itertools import product

import pytest

from trimtab.behaviors import Behavior, Example, Finding, builtin, builtin_names, lint, load


def choice(answers: list[str], prompts: list[str] | None = None) -> Behavior:
    other = {" (A)": " (B)", " (B)": " (A)", " Yes": " No", " No": " Yes"}
    prompts = prompts or [f"Unrelated {'abcdefghij'[k % 10]}{k} topic?" for k in range(len(answers))]
    rows = [Example(p, a, other[a], source=f"f:{k}") for k, (p, a) in enumerate(zip(prompts, answers, strict=True), 1)]
    return Behavior(name="c", examples=rows)


def bare(pairs: list[tuple[str, str]], pairing: str = "natural") -> Behavior:
    rows = [Example("", p, q, source=f"f:{k}") for k, (p, q) in enumerate(pairs, 1)]
    instructions = {"positive_instruction": "Be b.", "negative_instruction": "Be no b."}
    return Behavior(name="b", examples=rows, pairing=pairing, **instructions)


def find(behavior: Behavior, code: str) -> Finding | None:
    findings = [finding for finding in lint(behavior) if finding.code == code]
    assert len(findings) <= 1
    return findings[0] if findings else None


def brute_auroc(positive: list[int], negative: list[int]) -> float:
    wins = sum((p > q) + 0.5 * (p == q) for p, q in product(positive, negative))
    return wins / (len(positive) * len(negative))


def words(rng: random.Random, n: int) -> str:
    return " ".join("".join(rng.choices("bcdfghklmnprst", k=6)) for _ in range(n))


def test_a_sound_behavior_has_no_findings():
    rng = random.Random(0)
    pairs = [(words(rng, 8), words(rng, 8)) for _ in range(120)]
    assert lint(bare(pairs)) == []


def test_findings_come_with_the_worst_first():
    severities = [f.severity for f in lint(bare([("same", "same"), ("same", "same"), ("a b c", "d")]))]
    assert severities == sorted(severities, key=["error", "warning", "info"].index)
    assert {"error", "warning", "info"} <= set(severities)


# --- repetitions ---


def test_exact_duplicates_are_counted_and_named_by_their_later_rows():
    finding = find(choice([" (A)", " (B)", " (A)"], ["tea or milk?", "up or down", "Tea or  milk"]), "duplicate")
    assert finding is not None
    assert (finding.severity, finding.n, finding.rows) == ("warning", 1, ("f:3",))
    assert finding.value == pytest.approx(1 / 3)


def test_duplicates_of_random_pairs_are_sought_within_each_class():
    finding = find(bare([("one a", "two b"), ("one a", "three c"), ("four d", "two b")], "random"), "duplicate")
    assert finding is not None
    assert finding.n == 2
    assert finding.value == pytest.approx(2 / 6)


def test_near_duplicates_are_named_with_the_number_of_questions_that_is_left():
    base = [f"w{k}a w{k}b w{k}c w{k}d w{k}e w{k}f" for k in range(8)]
    rows = [(f"{text} {end}", f"{text} not {end}") for text in base for end in ("indeed", "truly", "as ever")]
    finding = find(bare(rows), "near-duplicate")
    assert finding is not None
    assert (finding.n, finding.value) == (24, 1.0)
    assert "8 independent questions" in finding.message


def test_a_frame_around_every_prompt_does_not_make_rows_alike():
    frame = "Is the following statement something you would say to a friend?\n{}\nChoices: Yes or No.\n\nAnswer:"
    prompts = [frame.format(said) for said in ("I like tea", "You hate war", "They sing well")]
    assert find(choice([" Yes", " No", " Yes"], prompts), "near-duplicate") is None


def test_exact_duplicates_are_not_reported_as_near_duplicates_again():
    assert find(bare([("a b c d e f", "g h"), ("a b c d e f", "g h"), ("x", "y")]), "near-duplicate") is None


# --- leakage ---


def test_equal_answers_are_an_error_that_names_the_rows():
    finding = find(bare([("a", "b"), ("c", " c")]), "same-answers")
    assert finding is not None
    assert (finding.severity, finding.rows, finding.n) == ("error", ("f:2",), 1)


def test_answers_that_differ_in_case_alone_are_no_leakage():
    codes = {f.code for f in lint(bare([("HELLO THERE", "hello there"), ("GOOD DAY", "good day")]))}
    assert not codes & {"same-answers", "both-classes"}


def test_a_statement_in_both_classes_is_an_error():
    finding = find(bare([("x is", "y is"), ("z is", "x is")]), "both-classes")
    assert finding is not None
    assert (finding.severity, finding.rows, finding.n) == ("error", ("f:1", "f:2"), 1)


def test_labels_that_stand_in_both_classes_after_different_prompts_are_no_leakage():
    assert find(choice([" (A)", " (B)"]), "both-classes") is None


def test_the_same_question_answered_both_ways_is_an_error():
    assert find(choice([" (A)", " (B)"], ["tea?", "tea?"]), "both-classes") is not None


def test_an_answer_that_stands_in_its_prompt_is_found_by_whole_words():
    rows = [
        Example("They say 'green tea', or coffee?", " Green tea.", " Coffee it is", source="f:1"),
        Example("The teapot is hot", " Tea", " It is a pot, sir", source="f:2"),
    ]
    finding = find(Behavior(name="x", examples=rows), "answer-in-prompt")
    assert finding is not None
    assert finding.rows == ("f:1",)


# --- bias ---


def test_length_auroc_equals_the_brute_force_count():
    rng = random.Random(2)
    pairs = [(words(rng, rng.randint(4, 12)), words(rng, rng.randint(1, 9))) for _ in range(60)]
    behavior = bare(pairs)
    for unit, length in (("words", lambda t: len(t.split())), ("characters", len)):
        finding = find(behavior, f"length-{unit}")
        assert finding is not None
        assert finding.value == pytest.approx(brute_auroc([length(p) for p, _ in pairs], [length(q) for _, q in pairs]))
        assert finding.severity == "warning"
        assert "match the pairs by length, and see the length AUROC" in finding.message


@pytest.mark.parametrize(
    ("longer", "said"),
    [(20, "longer in words"), (0, None), (60, "strongly longer in words"), (-60, "strongly shorter")],
)
def test_length_bias_is_graded(longer, said):
    rng = random.Random(3)
    n = [(8, 4) if k < longer else (4, 8) if k < -longer else (5, 5) for k in range(100)]
    finding = find(bare([(words(rng, p), words(rng, q)) for p, q in n]), "length-words")
    assert (finding is None) == (said is None)
    assert said is None or said in finding.message


def test_position_bias_has_the_share_of_first_labels_as_auroc_and_a_binomial_p():
    finding = find(choice([" (A)"] * 30 + [" (B)"] * 10), "answer-position")
    p = 2 * sum(math.comb(40, k) for k in range(30, 41)) / 2**40
    assert finding is not None
    assert finding.value == pytest.approx(0.75)
    assert "30 of 40" in finding.message
    assert f"p {p:.1g}" in finding.message


def test_balanced_labels_are_no_finding():
    for labels in ([" (A)", " (B)"], [" Yes", " No"]):
        codes = {f.code for f in lint(choice(labels * 30))}
        assert not codes & {"answer-position", "answer-token", "one-sided"}


def test_token_bias_is_told_apart_from_position_bias():
    finding = find(choice([" No"] * 35 + [" Yes"] * 5), "answer-token")
    assert finding is not None
    assert finding.value == pytest.approx(5 / 40)
    assert "'Yes' in 5 of 40" in finding.message


def test_one_answer_for_every_row_is_an_error():
    finding = [f for f in lint(choice([" Yes"] * 20)) if f.code == "one-sided"]
    assert [f.severity for f in finding] == ["error", "error"]
    assert "' Yes'" not in finding[0].message
    assert "'Yes'" in finding[0].message


# --- rows and questions ---


def test_blank_prompts_over_long_rows_and_few_questions_are_found():
    rows = [Example(" ", " one thing", " two things", source="f:1"), Example("Q", " a" * 2001, " b", source="f:2")]
    behavior = Behavior(name="x", examples=rows)
    blank, long, few = (find(behavior, code) for code in ("blank-prompt", "long-row", "few-clusters"))
    assert blank is not None
    assert (blank.severity, blank.rows) == ("error", ("f:1",))
    assert long is not None
    assert (long.severity, long.rows, long.value) == ("warning", ("f:2",), 2002.0)
    assert few is not None
    assert (few.severity, few.value) == ("info", 2.0)


def test_a_shared_prompt_opening_is_information_with_the_whole_opening():
    rng = random.Random(4)
    prompts = [f"Question: Tell me now about {words(rng, 3)}" for _ in range(10)] + [words(rng, 6) for _ in range(10)]
    finding = find(choice([" (A)", " (B)"] * 10, prompts), "template-prompt")
    assert finding is not None
    assert (finding.severity, finding.n, finding.value) == ("info", 10, 0.5)
    assert "'Tell me now about'" in finding.message


def test_a_shared_answer_opening_is_a_warning_for_its_class_only():
    rng = random.Random(5)
    pairs = [((f"I am sorry {words(rng, 4)}" if k < 5 else words(rng, 7)), words(rng, 7)) for k in range(20)]
    finding = find(bare(pairs), "template-positive")
    assert finding is not None
    assert (finding.severity, finding.n, finding.rows[:2]) == ("warning", 5, ("f:1", "f:2"))
    assert find(bare(pairs), "template-negative") is None


def test_instructions_derived_from_the_name_are_shown_with_the_way_to_give_others():
    finding = find(Behavior(name="tea_pairs", examples=[Example("", "a", "b")]), "derived-instructions")
    assert finding is not None
    assert finding.severity == "info"
    for said in ("'You are tea pairs.'", "'You are not tea pairs.'", "header", "as arguments"):
        assert said in finding.message
    assert find(bare([("a", "b")]), "derived-instructions") is None


def test_shipped_builtins_have_instructions_of_their_own():
    assert not any(builtin(name).instructions_derived for name in builtin_names())


def test_at_most_five_rows_are_named():
    finding = find(bare([("same", "same")] * 9), "same-answers")
    assert finding is not None
    assert (finding.n, len(finding.rows)) == (9, 5)


def test_reading_and_linting_load_no_torch():
    code = (
        "import sys; from trimtab.behaviors import *; from trimtab.behaviors import lint\n"
        "rows = [Example(f'q {k}', f' good {k}', f' bad {k}') for k in range(20)]\n"
        "lint(Behavior(name='x', examples=rows)); split(Behavior(name='x', examples=rows))\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- published data ---


@pytest.mark.data
@pytest.mark.slow
def test_persona_statements_show_the_length_bias_they_are_known_for(data_dir):
    counts = {"strong": 0, "all": 0}
    for file in sorted((data_dir / "mwe/persona").glob("*.jsonl")):
        behavior = load(file, view="statements")
        lengths = [[len(getattr(e, side).split()) for e in behavior.examples] for side in ("positive", "negative")]
        value = mann_whitney_auroc(*lengths)
        finding = find(behavior, "length-words")
        assert (finding is None) == (0.45 <= value <= 0.55)
        assert finding is None or finding.value == pytest.approx(value)
        counts["all"] += 1
        counts["strong"] += max(value, 1 - value) > 0.7
    assert counts == {"strong": 40, "all": 69}


def mann_whitney_auroc(positive: list[int], negative: list[int]) -> float:
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(positive, negative).statistic) / (len(positive) * len(negative))


@pytest.mark.data
def test_repeated_questions_of_a_published_set_are_found(data_dir):
    finding = find(load(data_dir / "mwe/xrisk/one-box-tendency.jsonl"), "duplicate")
    assert finding is not None
    assert finding.n >= 190  # 810 unique questions of 1,000, and fewer without case and punctuation


@pytest.mark.data
def test_balanced_published_choices_show_no_label_bias(data_dir):
    for file in ("mwe/persona/anti-immigration.jsonl", "mwe/xrisk/wealth-seeking-inclination.jsonl"):
        codes = {f.code for f in lint(load(data_dir / file))}
        assert not codes & {"answer-position", "answer-token", "one-sided"}
