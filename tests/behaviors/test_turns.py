"""Chat turns however a tool wrote them, and texts that hold their prompt."""

import json

import pytest

from trimtab.behaviors import Behavior, load
from trimtab.errors import InputError
from trimtab.texts import Message

TEA = ("Tea?", " Sure thing.", " Not now.")


def rows(tmp_path, *given: dict[str, object]) -> Behavior:
    file = tmp_path / "b.jsonl"
    file.write_text("\n".join(map(json.dumps, given)))
    return load(file)


def refusal(tmp_path, *given: dict[str, object]) -> str:
    with pytest.raises(InputError) as caught:
        rows(tmp_path, *given)
    return str(caught.value)


def first(behavior: Behavior) -> tuple[str, str, str]:
    e = behavior.examples[0]
    return e.prompt, e.positive, e.negative


def said(role: str, content: object) -> dict[str, object]:
    return {"role": role, "content": content}


# --- turns stored as text ---

PYTHON = "[{'role': 'assistant', 'content': %r}]"
NUMPY = "[{'role': 'user', 'content': 'Tea?'}\n {'content': %r, 'role': 'assistant'}]"
AS_TEXT = {
    "python": PYTHON,
    "json": '[{"role": "assistant", "content": "%s"}]',
    "numpy without commas": NUMPY,
    "numpy array": "array([{'role': 'assistant', 'content': %r}], dtype=object)",
    "one turn": "{'role': 'assistant', 'content': %r}",
    "sharegpt": "[{'from': 'gpt', 'value': %r}]",
    "parts": "[{'role': 'assistant', 'content': [{'type': 'text', 'text': %r}]}]",
    "null name": "[{'role': 'assistant', 'content': %r, 'name': nan}]",
}


@pytest.mark.parametrize("form", AS_TEXT.values(), ids=AS_TEXT)
@pytest.mark.parametrize("fields", [("chosen", "rejected"), ("positive", "negative")])
def test_turns_kept_as_text_in_a_table_are_read_as_turns_and_said(tmp_path, form, fields):
    def answer(text: str) -> str:
        return form % text.replace("%", "%%")

    file = tmp_path / "b.csv"
    cells = ['"' + cell.replace('"', '""') + '"' for cell in ("Tea?", answer("Sure thing."), answer("Not now."))]
    file.write_text(",".join(("prompt", *fields)) + "\n" + ",".join(cells))
    behavior = load(file)
    assert first(behavior) == TEA
    assert "in 2 fields turns stored as text were read as turns" in behavior.notes


@pytest.mark.parametrize("text", ['it\'s "quoted"', "a } { b", "back\\slash \\d", "line\nbreak", "array([1]) and nan"])
def test_turns_kept_as_text_keep_every_letter(tmp_path, text):
    form = "[{'role': 'user', 'content': 'Tea?'}\n {'role': 'assistant', 'content': %s}]"
    behavior = rows(tmp_path, {"chosen": form % repr(text), "rejected": form % "'other'"})
    assert behavior.examples[0].positive.lstrip() == text


def test_turns_that_were_cut_short_are_refused_with_their_place(tmp_path):
    row = {"prompt": "Tea?", "chosen": "[{'role': 'assistant', 'content': 'Sure th", "rejected": "No."}
    assert "b.jsonl:1: 'chosen' looks like turns stored as text, but is cut short" in refusal(tmp_path, row)


@pytest.mark.parametrize("answer", ["[1, 2, 3]", "{'a': 1}", "[see the note]", '{"role": "king"}'])
def test_answers_with_brackets_that_are_no_turns_stay_as_they_are(tmp_path, answer):
    assert rows(tmp_path, {"prompt": "Tea:", "chosen": answer, "rejected": "x"}).examples[0].positive.strip() == answer


# --- names, parts, tools ---


def test_sharegpt_names_of_turns_and_speakers_are_read(tmp_path):
    row = {
        "conversations": [
            {"from": "system", "value": "Be brief."}, {"from": "human", "value": "Hi"},
            {"from": "gpt", "value": "Yes?"}, {"from": "human", "value": "Tea?"},
        ],
        "chosen": {"from": "gpt", "value": "Sure thing."},
        "rejected": {"from": "gpt", "value": "Not now."},
    }  # fmt: skip
    behavior = rows(tmp_path, row)
    assert behavior.examples[0].messages == (
        Message("system", "Be brief."), Message("user", "Hi"), Message("assistant", "Yes?"), Message("user", "Tea?"),
    )  # fmt: skip
    assert first(behavior)[1:] == TEA[1:]
    assert any("'from' and 'value'" in note for note in behavior.notes)


def test_turns_by_columns_as_datasets_gives_sequences_are_read(tmp_path):
    turns = {"role": ["user", "assistant"], "content": ["Tea?", "Sure thing."]}
    other = {"role": ["user", "assistant"], "content": ["Tea?", "Not now."]}
    assert first(rows(tmp_path, {"chosen": turns, "rejected": other})) == TEA


def test_text_parts_are_put_together_and_pictures_are_refused(tmp_path):
    parts = [{"type": "text", "text": "Te"}, {"type": "text", "text": "a?"}]
    row = {"messages": [said("user", parts)], "positive": "Sure thing.", "negative": "Not now."}
    assert first(rows(tmp_path, row)) == TEA
    row = {**row, "messages": [said("user", [*parts, {"type": "image_url", "image_url": {"url": "x"}}])]}
    message = refusal(tmp_path, row)
    assert "b.jsonl:1: 'messages'[0].content[2]: a part of type 'image_url'" in message


CALL = {"type": "function", "function": {"name": "find", "arguments": '{"q": 1}'}}


@pytest.mark.parametrize(
    "turns",
    [
        [{"role": "assistant", "content": None, "tool_calls": [CALL]},
         {"role": "tool", "name": "find", "content": "42"}],
        [{"role": "assistant", "tool_calls": [CALL]}, {"role": "function", "name": "find", "content": "42"}],
        [{"role": "assistant", "content": "", "function_call": CALL["function"]},
         {"role": "tool", "name": "find", "content": "42"}],
    ],
)  # fmt: skip
def test_tool_calls_and_results_become_text_in_turns_that_alternate(tmp_path, turns):
    before = [said("user", "Tea?"), *turns]
    row = {side: [*before, said("assistant", text)] for side, text in (("chosen", "Sure."), ("rejected", "No."))}
    behavior = rows(tmp_path, row)
    assert [(m.role, m.content) for m in behavior.examples[0].messages] == [
        ("user", "Tea?"), ("assistant", '[calls find({"q": 1})]'), ("user", "[result of find] 42"),
    ]  # fmt: skip
    assert any("tool calls" in note for note in behavior.notes)


def test_a_tool_result_before_the_users_turn_is_put_into_it(tmp_path):
    turns = [said("user", "Hi"), {"role": "assistant", "tool_calls": [CALL]}, said("tool", "42"), said("user", "Tea?")]
    behavior = rows(tmp_path, {"messages": turns, "positive": "a", "negative": "b"})
    assert behavior.examples[0].messages[-1] == Message("user", "[result] 42\nTea?")


# --- prompts in other fields ---


@pytest.mark.parametrize(
    "row",
    [
        {"system": "Be brief.", "prompt": "Tea?", "chosen": "Sure thing.", "rejected": "Not now."},
        {"system": "Be brief.", "question": "Tea?", "chosen": "Sure thing.", "rejected": "Not now."},
        {"system_prompt": "Be brief.", "instruction": "Tea?", "chosen_response": "Sure thing.",
         "rejected_response": "Not now."},
        {"system": "Be brief.", "prompt": "Tea?", "positive": "Sure thing.", "negative": "Not now."},
        {"system": "Be brief.", "input": "Tea?", "chosen": "Sure thing.", "rejected": "Not now."},
        {"system": "Be brief.", "messages": [said("user", "Tea?")], "chosen": said("assistant", "Sure thing."),
         "rejected": said("assistant", "Not now.")},
    ],
)  # fmt: skip
def test_a_system_text_beside_the_prompt_becomes_its_first_turn(tmp_path, row):
    behavior = rows(tmp_path, row)
    assert behavior.examples[0].messages == (Message("system", "Be brief."), Message("user", "Tea?"))
    assert first(behavior) == ("Be brief.\n\nTea?", *TEA[1:])


def test_an_empty_system_text_changes_nothing(tmp_path):
    assert (
        first(rows(tmp_path, {"system": "", "prompt": "Tea?", "chosen": "Sure thing.", "rejected": "Not now."})) == TEA
    )


def test_alpacas_input_and_history_are_put_where_they_belong(tmp_path):
    row = {"instruction": "Choose.", "input": "Tea?", "history": [["Hi", "Yes?"]], "chosen": "Sure.", "rejected": "No."}
    behavior = rows(tmp_path, row)
    assert [m.content for m in behavior.examples[0].messages] == ["Hi", "Yes?", "Choose.\nTea?"]
    assert sum("'input'" in note or "'history'" in note for note in behavior.notes) == 2


def test_a_question_beside_two_answers_is_their_prompt(tmp_path):
    behavior = rows(tmp_path, {"question": "Tea?", "positive": "Sure thing.", "negative": "Not now."})
    assert first(behavior) == TEA
    assert "read 'question' as prompt" in behavior.notes


def test_statements_beside_other_sentences_say_that_these_are_not_used(tmp_path):
    behavior = rows(tmp_path, {"scene": "At the harbour one day", "positive": "I smile.", "negative": "I frown."})
    assert behavior.bare
    assert any("'scene' not used" in note for note in behavior.notes)


def test_ultrafeedback_rows_are_read_by_their_prompt(tmp_path):
    chats = {side: [said("user", "Tea?"), said("assistant", text)]
             for side, text in (("chosen", "Sure thing."), ("rejected", "Not now."))}  # fmt: skip
    assert first(rows(tmp_path, {"prompt": "Tea?", "messages": chats["chosen"], **chats})) == TEA


def test_answers_of_which_the_best_and_the_worst_have_one_rank_are_refused(tmp_path):
    answers = [{"rank": 1, "answer": "a"}, {"rank": 1, "answer": "b"}]
    assert "all answers have the rank 1" in refusal(tmp_path, {"prompt": "Tea?", "answers": answers})


def test_the_best_answer_stands_against_the_worst_wherever_they_stand(tmp_path):
    answers = [{"rank": 2, "answer": "Well."}, {"rank": 3, "answer": "Not now."}, {"rank": 1, "answer": "Sure thing."}]
    assert first(rows(tmp_path, {"prompt": "Tea?", "answers": answers})) == TEA


# --- answers that hold their prompt ---


@pytest.mark.parametrize("prompt", ["", None, float("nan"), "Tea?"])
@pytest.mark.parametrize("fields", [("chosen", "rejected"), ("positive", "negative")])
def test_transcripts_beside_a_prompt_are_cut_at_their_last_answer(tmp_path, prompt, fields):
    texts = (f"\n\nHuman: Tea?\n\nAssistant: {answer}" for answer in ("Sure thing.", "Not now."))
    behavior = rows(tmp_path, {"prompt": prompt, **dict(zip(fields, texts, strict=True))})
    assert first(behavior) == ("Human: Tea?\n\nAssistant:", *TEA[1:])
    assert behavior.examples[0].messages == (Message("user", "Tea?"),)


@pytest.mark.parametrize(
    "before",
    [
        "<|im_start|>user\nTea?<|im_end|>\n<|im_start|>assistant\n",
        "<s>[INST] Tea? [/INST]",
        "<bos><start_of_turn>user\nTea?<end_of_turn>\n<start_of_turn>model\n",
        "<|start_header_id|>user<|end_header_id|>\n\nTea?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        "### Instruction:\nTea?\n\n### Response:",
    ],
)
@pytest.mark.parametrize("prompt", ["", "Tea?"])
def test_rendered_chats_beside_a_prompt_are_cut_behind_it(tmp_path, before, prompt):
    row = {"prompt": prompt, "chosen": f"{before} Sure thing.", "rejected": f"{before} Not now."}
    behavior = rows(tmp_path, row)
    assert first(behavior) == (before, *TEA[1:])
    assert any("were cut after it" in note for note in behavior.notes)


def test_transcripts_with_unlike_prompts_beside_an_empty_one_are_left_out_and_counted(tmp_path):
    def row(other: str) -> dict[str, object]:
        start = "\n\nHuman: {}\n\nAssistant: {}"
        return {"prompt": "", "chosen": start.format("Tea?", "Sure."), "rejected": start.format(other, "No.")}

    behavior = rows(tmp_path, row("Tea?"), row("Milk?"))
    assert len(behavior.examples) == 1
    assert "1 of 2 rows left out: the prompts of their two answers differ" in behavior.notes


def test_an_answer_that_is_a_dialogue_is_not_cut(tmp_path):
    dialogue = "Human: Hello there.\n\nAssistant: Hello."
    row = {"prompt": "Write a short dialogue.", "chosen": dialogue, "rejected": "I would rather not."}
    assert rows(tmp_path, row).examples[0].positive.strip() == dialogue


@pytest.mark.parametrize("fields", [("chosen", "rejected"), ("positive", "negative")])
@pytest.mark.parametrize("gap", [" ", "\n", "\n\n"])
def test_answers_that_begin_with_their_prompt_are_cut_behind_it(tmp_path, fields, gap):
    prompts = ("Tea for you?", "Up or down?")
    given = [{"prompt": p, fields[0]: f"{p}{gap}Sure.", fields[1]: f"{p}{gap}Never."} for p in prompts]
    behavior = rows(tmp_path, *given)
    assert [(e.prompt, e.positive, e.negative) for e in behavior.examples] == [
        (p, f"{gap}Sure.", f"{gap}Never.") for p in prompts
    ]
    assert "in 2 of 2 rows both answers repeat their prompt, and were cut after it" in behavior.notes


def test_a_short_prompt_that_some_answers_begin_with_by_chance_is_left(tmp_path):
    given = [
        {"prompt": "Tea", "positive": "Tea is fine.", "negative": "Tea is bad."},
        {"prompt": "Up or down, which way?", "positive": "Up.", "negative": "Down."},
    ]
    behavior = rows(tmp_path, *given)
    assert behavior.examples[0].positive == " Tea is fine."


def test_a_long_prompt_that_both_answers_of_one_row_repeat_is_cut_there(tmp_path):
    long = "Tell me all about the old harbour."
    given = [
        {"prompt": long, "positive": f"{long} It shines.", "negative": f"{long} It stinks."},
        {"prompt": "Up or down?", "positive": "Up.", "negative": "Down."},
    ]
    assert first(rows(tmp_path, *given)) == (long, " It shines.", " It stinks.")


@pytest.mark.parametrize(
    ("prompt", "ends"),
    [
        ("明日の天気について話してください", ("良いです。", "悪いです。")),
        ("请谈谈明天的天气怎么样", ("很好。", "很差。")),
        ("ช่วยเล่าเรื่องตลาดให้ฟังหน่อย", ("ดีมาก", "แย่มาก")),
    ],
)
def test_prompts_in_scripts_without_spaces_are_cut_off_their_answers_too(tmp_path, prompt, ends):
    row = {"prompt": prompt, "positive": prompt + ends[0], "negative": prompt + ends[1]}
    other = {"prompt": "Up or down?", "positive": "Up.", "negative": "Down."}
    for given in ([row], [row, row], [row, other]):
        e = rows(tmp_path, *given).examples[0]
        assert (e.positive.strip(), e.negative.strip()) == ends


def test_a_word_that_goes_on_across_the_prompts_end_is_no_repetition(tmp_path):
    given = [{"prompt": "It is rain", "positive": "It is raining.", "negative": "It is rainy."}] * 2
    assert rows(tmp_path, *given).examples[0].positive == " It is raining."


def test_a_system_turn_on_one_side_only_is_refused_with_the_reason(tmp_path):
    chosen = [said("system", "Be nice."), said("user", "Tea?"), said("assistant", "Sure.")]
    message = refusal(tmp_path, {"chosen": chosen, "rejected": [*chosen[1:2], said("assistant", "No.")]})
    assert "'chosen' has a system turn and 'rejected' has none" in message
    assert "give both the same system turn, or none" in message


def test_preferences_without_a_prompt_name_the_command_that_reads_them_as_statements(tmp_path):
    message = refusal(tmp_path, {"chosen": "The sky is blue.", "rejected": "The sky is green."})
    assert "trimtab convert-data IN OUT.jsonl --positive chosen --negative rejected" in message
    file = tmp_path / "b.jsonl"
    behavior = load(file, fields={"positive": "chosen", "negative": "rejected"})
    assert first(behavior) == ("", "The sky is blue.", "The sky is green.")


# --- labelled answers ---


@pytest.mark.parametrize("names", [("prompt", "completion", "label"), ("instruction", "output", "kto_tag")])
def test_labelled_answers_are_paired_by_their_prompt_and_the_rest_is_counted(tmp_path, names):
    given = [
        ("Tea?", "Sure thing.", True), ("Milk?", "Fine.", True), ("Tea?", "Not now.", False), ("Tea?", "Never.", False),
    ]  # fmt: skip
    behavior = rows(tmp_path, *(dict(zip(names, row, strict=True)) for row in given))
    assert [(e.prompt, e.positive, e.negative) for e in behavior.examples] == [TEA]
    assert behavior.pairing == "natural"
    assert "2 of 4 rows left out: no answer of the other side to the same prompt" in behavior.notes


def test_labelled_answers_as_turns_are_paired_by_their_turns(tmp_path):
    given = [
        {"prompt": [said("user", "Tea?")], "completion": [said("assistant", text)], "label": label}
        for text, label in (("Sure thing.", True), ("Not now.", False))
    ]
    behavior = rows(tmp_path, *given)
    assert first(behavior) == TEA
    assert behavior.examples[0].messages == (Message("user", "Tea?"),)
