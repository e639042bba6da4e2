"""Chat templates: every prompt holds its own text, and what a template cannot take is said."""

import re
from typing import Any

import pytest
from tests.models.tokenizer_families import byte_level, ending, sentence_piece

from trimtab.errors import InputError
from trimtab.models import Encoder
from trimtab.models.chat import NO_DATE, NO_OPENING, NO_SYSTEM, without_system
from trimtab.texts import Message, Rendered

MARKED = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
PARTS = (  # as vision models have it
    "{% for m in messages %}<|{{ m['role'] }}|>{% for part in m['content'] %}{% if part['type'] == 'image' %}<|image|>"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
FIRST_PART = "{% for m in messages %}<|{{ m['role'] }}|>{{ m.content[0].text.strip() }}{% endfor %}"
NO_SYSTEM_TURN = (  # as Gemma 2 has it
    "{{ bos_token }}"
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "<|{{ 'model' if m['role'] == 'assistant' else m['role'] }}|>{{ m['content'] | trim }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|model|>{% endif %}"
)
DEAF_TO_SYSTEM = (
    "{% for m in messages if m['role'] != 'system' %}<|{{ m['role'] }}|>{{ m['content'] }}{% endfor %}<|assistant|>"
)
INSTRUCTED = (  # as Llama 2 and Mistral have it: no opening, and a space before the answer
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}[INST] {{ m['content'] }} [/INST]"
    "{% elif m['role'] == 'assistant' %} {{ m['content'] }}{{ eos_token }}{% else %}"
    "{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"
)
UNOPENED = "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}<|end|>\n{% endfor %}"
SPACED = (  # as Vicuna has it: the space belongs to the answer
    "{% for m in messages %}{{ m['role'].upper() }}: {{ m['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
DATED = "{% if strftime_now is defined %}Today is {{ strftime_now('%d %b %Y') }}. {% endif %}" + MARKED
THOUGHTS = (
    "{% for m in messages %}{% set said = m['content'] %}{% if m['role'] == 'assistant' and '</think>' in said %}"
    "{% set said = said.split('</think>')[-1] %}{% endif %}<|{{ m['role'] }}|>{{ said }}{% endfor %}"
    "<|assistant|><think>\n"
)
LAST_ONLY = "<|user|>{{ messages[-1]['content'] }}<|assistant|>"

USER = [Message("user", "Where does the ferry leave?")]
TALK = [Message("user", "Hello there."), Message("assistant", "Hi, how can I help?"), *USER]
WITH_SYSTEM = [Message("system", "You are a harbour guide."), *TALK]


def encoder_for(template: Any, tokenizer: Any = None) -> Encoder:
    own = tokenizer or byte_level()
    own.chat_template = template
    return Encoder(own, 1024, chat_template=True)


def laid_out(template: Any, turns: list[Message], answer: str = "", context: str = "", tokenizer: Any = None) -> str:
    encoder = encoder_for(template, tokenizer)
    (row,) = encoder.encode([Rendered(context, "unused", answer, tuple(turns))])
    return str(encoder.tokenizer.decode(row.ids))


@pytest.mark.parametrize("turns", [USER, TALK, WITH_SYSTEM])
@pytest.mark.parametrize(
    "template",
    [MARKED, PARTS, FIRST_PART, NO_SYSTEM_TURN, DEAF_TO_SYSTEM, INSTRUCTED, UNOPENED, SPACED, DATED, THOUGHTS],
)
def test_every_rendered_prompt_holds_what_its_turns_say(template: str, turns: list[Message]) -> None:
    text = laid_out(template, turns)
    assert [turn.content for turn in turns if turn.content not in text] == []


@pytest.mark.parametrize("template", [NO_SYSTEM_TURN, DEAF_TO_SYSTEM, INSTRUCTED])
def test_a_system_turn_without_a_place_stands_before_the_first_users_words_and_it_is_said(template: str) -> None:
    encoder = encoder_for(template)
    (row,) = encoder.encode([Rendered("Be brief. ", "", "", tuple(WITH_SYSTEM))])
    assert "You are a harbour guide.\n\nBe brief. Hello there." in encoder.tokenizer.decode(row.ids)
    assert encoder.notes == (NO_SYSTEM,)
    other = encoder_for(template)
    other.encode([Rendered("", "", "", tuple(TALK))])
    assert other.notes == ()


def test_system_turns_go_to_the_user_turn_behind_them() -> None:
    a, b, c = Message("system", "A"), Message("user", "B"), Message("assistant", "C")
    assert without_system([a, b, c]) == [Message("user", "A\n\nB"), c]
    assert without_system([b, c, a, b]) == [b, c, Message("user", "A\n\nB")]
    assert without_system([b, c, a]) == [b, c, Message("user", "A")]
    assert without_system([a, a, b]) == [Message("user", "A\n\nA\n\nB")]


@pytest.mark.parametrize(
    ("template", "turns", "message"),
    [
        (LAST_ONLY, TALK, "leaves out what the assistant says, 'Hi, how can I help"),
        ("<|user|><|assistant|>", USER, "leaves out what the user says, 'Where does the ferry leave"),
        (
            NO_SYSTEM_TURN,
            [*USER, *USER],
            "refuses turns by user, user: Conversation roles must alt.*join neighbour",
        ),
        (NO_SYSTEM_TURN, TALK[1:], "refuses turns by assistant, user: Conversation roles must alternate"),
        ("{{ messages[0].nothing.there }}", USER, "refuses turns by user: .*leave the chat template off"),
        ("{{ messages[0]['content'] + 3 }}", USER, "refuses turns by user"),
        ("{% for %}", USER, "refuses turns by user"),
    ],
)
def test_a_template_that_cannot_take_the_turns_is_named_with_the_mend(
    template: str, turns: list[Message], message: str
) -> None:
    with pytest.raises(InputError, match=f"chat template {message}"):
        laid_out(template, turns)


def test_a_text_without_turns_is_checked_too() -> None:
    for template, kept in ((PARTS, True), ("<|user|><|assistant|>", False)):
        encoder, text = encoder_for(template), Rendered("", "Where does the ferry leave?", " At nine.")
        if kept:
            assert "Where does the ferry leave?" in encoder.decode(encoder.encode([text])[0].ids)
        else:
            with pytest.raises(InputError, match="leaves out what the user says"):
                encoder.encode([text])


def test_one_of_several_templates_is_taken_only_if_it_is_the_default() -> None:
    named = {"default": MARKED, "rag": LAST_ONLY}
    assert laid_out(named, TALK) == laid_out(MARKED, TALK)
    listed = [{"name": name, "template": text} for name, text in named.items()]
    assert laid_out(listed, TALK) == laid_out(MARKED, TALK)
    for several in ({"tool_use": MARKED, "rag": LAST_ONLY}, [{"name": "tool_use", "template": MARKED}, listed[1]]):
        with pytest.raises(InputError, match=r"several chat templates, 'tool_use', 'rag', and none is the default"):
            encoder_for(several)


def test_an_answer_stands_where_the_template_puts_it() -> None:
    for template, end in (
        (MARKED, "<|assistant|>At nine."),
        (INSTRUCTED, "[/INST] At nine."),
        (SPACED, "ASSISTANT: At nine."),
        (UNOPENED, "<|end|>\n<|assistant|>\nAt nine."),
    ):
        assert laid_out(template, USER, " At nine.").endswith(end)


def test_a_turn_that_the_template_does_not_open_is_opened_and_it_is_said() -> None:
    encoder = encoder_for(UNOPENED)
    (row,) = encoder.encode([Rendered("", "Where?", " At nine.")])
    assert encoder.decode(row.ids[: row.prompt_len]).endswith("<|assistant|>\n")
    assert encoder.decode(row.ids[row.prompt_len :]) == "At nine."
    assert encoder.notes == (NO_OPENING,)
    assert laid_out(INSTRUCTED, USER).endswith("[/INST]")


@pytest.mark.parametrize(
    ("template", "date"),
    [
        (DATED, "26 Jul 2024"),
        (DATED.replace("'%d %b %Y'", '"%Y-%m-%d"'), "2024-07-26"),
        ("{% set form = '%Y' + '-%m-%d' %}" + DATED.replace("'%d %b %Y'", "form"), "2024-07-26"),
    ],
)
def test_todays_date_is_one_that_stays(template: str, date: str) -> None:
    encoder = encoder_for({"default": template, "rag": LAST_ONLY})
    (row,) = encoder.encode([Rendered("", "Where?", "")])
    assert encoder.decode(row.ids).startswith(f"Today is {date}. <|user|>Where?")
    assert encoder.notes == (NO_DATE,)


def test_what_was_thought_before_may_be_left_out() -> None:
    turns = [USER[0], Message("assistant", "<think>Boats.</think>At nine."), Message("user", "Thanks.")]
    assert "Boats" not in laid_out(THOUGHTS, turns)


# ---- The first token -----------------------------------------------------------------------------------------------


def beginnings(template: str, **special: Any) -> list[int]:
    tokenizer = byte_level(**special)
    tokenizer.add_special_tokens({"extra_special_tokens": ["<|user|>", "<|assistant|>", "<|end|>"]})
    encoder = encoder_for(template, tokenizer)
    return list(encoder.encode([Rendered("", "Where?", "At nine.")])[0].ids[:2])


def test_nothing_goes_in_front_of_a_template_that_begins_with_a_special_token() -> None:
    user = 330
    assert beginnings(MARKED)[0] == user
    assert beginnings(MARKED, bos_token=None)[0] == user  # as Qwen's: no end-of-text token in front
    assert beginnings(MARKED, bos_token=None, eos_token=None)[0] == user


def test_a_template_that_brings_its_own_first_token_has_it_once() -> None:
    assert beginnings("{{ bos_token }}" + MARKED) == [1, 330]
    text = laid_out("{{ bos_token }}" + MARKED, USER, tokenizer=ending(byte_level()))
    assert text.count("<s>") == 1
    assert "</s>" not in text


def test_a_template_that_begins_with_words_has_the_beginning_of_text_token_in_front() -> None:
    assert beginnings(SPACED)[0] == 1
    assert beginnings(SPACED, bos_token=None)[0] not in (2, 330)


def test_a_plain_text_begins_with_the_best_token_that_there_is() -> None:
    text = [Rendered("", "Where?", "")]
    for special, first in (
        ({}, 1),
        ({"bos_token": None}, 2),
        ({"bos_token": None, "eos_token": None, "cls_token": "<pad>"}, 0),
    ):
        assert Encoder(byte_level(**special), 64).encode(text)[0].ids[0] == first
    with pytest.raises(InputError, match="neither a beginning- nor an end-of-text token"):
        Encoder(byte_level(bos_token=None, eos_token=None), 64)


def test_the_space_before_an_answer_is_the_templates_own_with_sentence_piece() -> None:
    encoder = encoder_for(INSTRUCTED, sentence_piece())
    (row,) = encoder.encode([Rendered("", "Where?", " the ferry")])
    answer = encoder.tokenizer.convert_ids_to_tokens(list(row.ids[row.prompt_len :]))
    assert re.fullmatch("▁the.*", "".join(answer))
    assert encoder.notes == ()
