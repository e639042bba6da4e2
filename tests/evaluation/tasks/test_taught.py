"""What a steering is fitted to, made of a task's own units."""

import json
from collections import Counter

import pytest

import trimtab as tt
from trimtab.errors import InputError
from trimtab.evaluation.tasks import BBQ, BehaviorTask, Preferences, Toxicity, TruthfulQA


def bbq_row(number: int, ambiguous: bool, template: int = 1) -> dict:
    """Two old and young people; where the context tells, it was the young one."""
    context = "An old man and a boy met." + ("" if ambiguous else " The boy forgot his keys.")
    return {
        "example_id": number, "question_index": str(template), "question_polarity": "neg", "category": "Age",
        "context_condition": "ambig" if ambiguous else "disambig", "context": context, "question": "Who forgot?",
        "additional_metadata": {"stereotyped_groups": ["old"]}, "label": 2 if ambiguous else 1,
        "answer_info": {"ans0": ["The man", "old"], "ans1": ["The boy", "nonOld"], "ans2": ["Unknown", "unknown"]},
        "ans0": "The man", "ans1": "The boy", "ans2": "Unknown",
    }  # fmt: skip


def test_true_answers_are_matched_with_false_ones_of_the_same_question(tmp_path):
    row = {"question": "Is it?", "mc1_targets": {"Yes.": 1, "No.": 0}}
    row["mc2_targets"] = {"Yes.": 1, "Of course.": 1, "Sure.": 1, "No.": 0, "Never.": 0, "Not at all.": 0}
    (tmp_path / "mc_task.json").write_text(json.dumps([row]))
    task = TruthfulQA.load(str(tmp_path / "mc_task.json"))
    behavior = task.behavior("truthful")
    assert [(e.positive, e.negative) for e in behavior.examples] == [(" Yes.", " No."), (" Of course.", " Never.")]
    prompt = task.units[0].texts[0]
    assert {e.prompt for e in behavior.examples} == {prompt.prompt}  # as the task asks, without its preamble
    assert {e.group for e in behavior.examples} == {task.units[0].cluster}
    assert task.primary == "mc2"


def test_bbq_teaches_the_right_answer_and_neither_unknown_nor_a_group_as_such(write):
    task = BBQ.load(write("Age.jsonl", [bbq_row(k, k < 4) for k in range(8)]))
    pairs = [(e.positive, e.negative) for e in task.behavior("fair").examples]
    assert pairs[:4] == [(" Unknown", " The man")] * 4  # the biased answer is the wrong one
    assert Counter(pairs[4:]) == {(" The boy", " The man"): 2, (" The boy", " Unknown"): 2}
    assert [unit.texts[0].prompt for unit in task.units] == [e.prompt for e in task.behavior("fair").examples]


def test_bbq_teaches_ambiguous_contexts_alone_where_it_is_asked_to(write):
    file = write("Age.jsonl", [bbq_row(k, k < 4) for k in range(8)])
    task = BBQ.load(file, taught="ambiguous")
    assert [e.positive for e in task.behavior("fair").examples] == [" Unknown"] * 4
    with pytest.raises(InputError, match="no row has an ambiguous context"):
        task.part(task.units[4:]).behavior("fair")
    with pytest.raises(InputError, match="taught"):
        BBQ.load(file, taught="none")


def test_harmless_texts_are_the_wanted_side_of_toxicity(write):
    rows = [{"text": f"Text {k} of its kind.", "label": k % 2} for k in range(6)]
    behavior = Toxicity.load(write("texts.jsonl", rows)).behavior("harmless")
    assert behavior.bare
    assert behavior.pairing == "random"
    assert {e.positive for e in behavior.examples} == {f"Text {k} of its kind." for k in (0, 2, 4)}


def test_continuations_teach_nothing_and_say_so(write):
    rows = [{"text": f"Text {k} is one of many in its own kind of set.", "label": k % 2} for k in range(60)]
    task = Toxicity.load(write("texts.jsonl", rows), form="continuations")
    with pytest.raises(InputError, match="no right and wrong answers in this form"):
        task.behavior("harmless")


def test_the_higher_rated_answer_is_the_wanted_one(write):
    rated = {"correctness": 4, "coherence": 4, "complexity": 1}
    rows = [{"prompt": "Tea?", "response": "Why?", "helpfulness": 1, "verbosity": 1, **rated},
            {"prompt": "Tea?", "response": "Gladly.", "helpfulness": 4, "verbosity": 0, **rated}]  # fmt: skip
    file = write("rated.jsonl", rows)
    for taught, wanted in (("helpfulness", "Gladly."), ("verbosity", "Why?")):
        task = Preferences.load(file, taught=taught)
        (example,) = task.behavior("mine").examples
        assert (example.positive, task.primary) == (wanted, taught)
    with pytest.raises(InputError, match="no pair differs in coherence"):
        Preferences.load(file, taught="coherence").behavior("mine")


def test_a_part_of_a_behavior_teaches_its_own_examples():
    examples = [tt.Example(f"Greet guest {k}.", " Welcome.", " Go away.") for k in range(5)]
    task = BehaviorTask(tt.Behavior("mine", examples))
    part = task.part(task.units[3:]).behavior("other")
    assert part.name == "other"
    assert [e.prompt for e in part.examples] == ["Greet guest 3.", "Greet guest 4."]
