"""The seven prompt types, letter by letter (Braun et al. 2505.22637; docs/methods.md)."""

import pytest

from trimtab.behaviors import Behavior, Example, PromptType, Side, not_measured, render, render_bare, shared_statement

CHOICE = Behavior(
    name="likes-tea",
    examples=[
        Example("Question: tea?\n\nAnswer:", " (A)", " (B)"),
        Example("Question: coffee?\n\nAnswer:", " (B)", " (A)"),
    ],
    positive_instruction="Love tea.",
    negative_instruction="Hate tea.",
)
SHOTS = [Example(f"Question: s{k}?\n\nAnswer:", " (A)", " (B)") for k in range(1, 6)]
WORDS = Behavior(name="agrees", examples=[Example("Agree?", " Yes", " No"), Example("Sure?", " No", " Yes")])
BARE = Behavior(name="kind", examples=[Example("", "I help you.", "I hurt you."), Example("", "I give.", "I take.")])


def text(behavior: Behavior, side: Side, prompt_type: PromptType, example: int = 0) -> str:
    shots = SHOTS if prompt_type.shots else ()
    rendered = render(behavior, behavior.examples[example], side, prompt_type, shots)
    return rendered.context + rendered.prompt + rendered.answer


def test_the_seven_types_are_all_non_empty_subsets_of_prefilled_instruction_and_shots():
    subsets = {(t.prefilled, t.instruction, t.shots) for t in PromptType}
    assert len(PromptType) == len(subsets) == 7
    assert (False, False, False) not in subsets


def test_the_fullest_type_is_instruction_then_five_shots_then_question_then_answer():
    shots = "".join(f"Question: s{k}?\n\nAnswer: (A)\n\n" for k in range(1, 6))
    assert (
        text(CHOICE, "positive", PromptType.PREFILLED_INSTRUCTION_FIVE_SHOT)
        == f"Love tea.\n\n{shots}Question: tea?\n\nAnswer: (A"
    )


def test_the_negative_context_has_the_negative_instruction_shot_answers_and_answer():
    shots = "".join(f"Question: s{k}?\n\nAnswer: (B)\n\n" for k in range(1, 6))
    assert (
        text(CHOICE, "negative", PromptType.PREFILLED_INSTRUCTION_FIVE_SHOT)
        == f"Hate tea.\n\n{shots}Question: tea?\n\nAnswer: (B"
    )


@pytest.mark.parametrize("example", [0, 1])
def test_prefilled_drops_the_closing_bracket_so_that_the_letter_is_last(example):
    row = CHOICE.examples[example]
    for side in ("positive", "negative"):
        assert text(CHOICE, side, PromptType.PREFILLED, example) == row.prompt + getattr(row, side)[:-1]


@pytest.mark.parametrize("prompt_type", [t for t in PromptType if not t.prefilled])
def test_without_prefill_both_sides_end_in_the_same_text_with_the_bracket_opened(prompt_type):
    ends = {text(CHOICE, side, prompt_type) for side in ("positive", "negative")}
    assert len(ends) == 2
    assert all(end.endswith("Question: tea?\n\nAnswer: (") for end in ends)
    shared = {render(CHOICE, CHOICE.examples[0], side, prompt_type, SHOTS).answer for side in ("positive", "negative")}
    assert shared == {" ("}, "the bracket belongs to the answer's turn, so that a chat template puts it there"


@pytest.mark.parametrize("prompt_type", list(PromptType))
def test_context_holds_exactly_what_the_type_names(prompt_type):
    context = render(CHOICE, CHOICE.examples[0], "positive", prompt_type, SHOTS).context
    assert ("Love tea.\n\n" in context) == prompt_type.instruction
    assert ("Question: s1?" in context) == prompt_type.shots
    assert context == "" or context.endswith("\n\n")


def test_yes_and_no_are_kept_whole_and_nothing_is_appended_to_the_prompt():
    assert text(WORDS, "positive", PromptType.PREFILLED) == "Agree? Yes"
    assert text(WORDS, "negative", PromptType.PREFILLED) == "Agree? No"
    assert text(WORDS, "negative", PromptType.INSTRUCTION) == "You are not agrees.\n\nAgree?"


def test_instructions_are_derived_from_the_name_when_none_is_given():
    assert (
        Behavior(name="power-seeking_ai", examples=WORDS.examples).instruction("positive")
        == "You are power seeking ai."
    )


def test_a_bare_statement_is_the_answer_in_every_type():
    for prompt_type in PromptType:
        rendered = render(BARE, BARE.examples[0], "negative", prompt_type, BARE.examples)
        assert (rendered.prompt, rendered.answer, rendered.bare) == ("", "I hurt you.", True)


def test_bare_shots_show_the_statements_of_their_side():
    rendered = render(BARE, BARE.examples[0], "negative", PromptType.PREFILLED_FIVE_SHOT, BARE.examples[1:])
    assert rendered.context == "I take.\n\n"


def test_shared_statements_serve_both_sides_and_come_from_the_classes_by_turns():
    shared = shared_statement(BARE, BARE.examples)
    assert [(e.positive, e.negative) for e in shared] == [("I help you.", "I help you."), ("I take.", "I take.")]


def test_shared_statements_leave_behaviors_with_prompts_alone():
    assert shared_statement(CHOICE, CHOICE.examples) == list(CHOICE.examples)


def test_the_evaluation_text_is_prompt_and_answer_and_nothing_else():
    rendered = render_bare(CHOICE.examples[0], "negative")
    assert (rendered.context, rendered.prompt, rendered.answer) == ("", "Question: tea?\n\nAnswer:", " (B)")


def test_one_prompt_for_all_rows_is_not_measured_without_prefill():
    framed = Behavior(
        name="x", examples=[Example("Say:", " yes please", " no way"), Example("Say:", " gladly so", " never")]
    )
    reasons = {t: not_measured(framed, t) for t in PromptType}
    assert {t for t, reason in reasons.items() if reason} == {t for t in PromptType if not t.prefilled}
    assert all("same prompt" in reason for reason in reasons.values() if reason)


@pytest.mark.parametrize("behavior", [CHOICE, BARE])
def test_varying_prompts_and_bare_statements_are_measured_in_every_type(behavior):
    assert all(not_measured(behavior, t) is None for t in PromptType)
