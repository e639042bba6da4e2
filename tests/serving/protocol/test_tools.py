"""Functions in a chat: what the model is told, the grammar as llguidance itself reads it, and calls read back."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from trimtab.errors import InputError
from trimtab.serving.protocol import ChatRequest
from trimtab.serving.protocol.tools import CallReader, Read, grammar_of, turns
from trimtab.texts import Message

ADD = {
    "type": "object",
    "properties": {"a": {"$ref": "#/$defs/n"}, "b": {"$ref": "#/$defs/n"}},
    "required": ["a", "b"],
    "additionalProperties": False,
    "$defs": {"n": {"type": "integer"}},
}
TOOLS = [
    {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": ADD, "strict": True}},
    {"type": "function", "function": {"name": "now"}},
]
CALL = '<tool_call>{"name": "add", "arguments": {"a": 1, "b": 2}}</tool_call>'
NOW = '<tool_call>{"name": "now", "arguments": {}}</tool_call>'


def chat(*messages: dict[str, Any], **fields: Any) -> ChatRequest:
    given = messages or ({"role": "user", "content": "1 + 2?"},)
    return ChatRequest.model_validate({"model": "m", "messages": list(given), "tools": TOOLS, **fields})


def accepted(asked: ChatRequest, text: str) -> bool:
    """Whether llguidance lets a model write this text, letter by letter, and end there."""
    llguidance = pytest.importorskip("llguidance")
    tokenizer = llguidance.LLTokenizer("byte")
    grammar = str(grammar_of(asked))
    assert llguidance.LLMatcher.validate_grammar(grammar, tokenizer) == ""
    matcher = llguidance.LLMatcher(tokenizer, grammar)
    tokens = tokenizer.tokenize_str(text)
    return bool(matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting())


def test_the_model_is_told_of_the_functions_first() -> None:
    (about, question) = turns(chat())
    assert question == Message("user", "1 + 2?")
    assert about.role == "system"
    assert json.dumps({"name": "add", "description": "Adds.", "parameters": ADD}) in about.content
    assert '<tool_call>{"name": …, "arguments": …}</tool_call>' in about.content
    brief = {"role": "system", "content": "Be brief."}
    first = turns(chat(brief, {"role": "user", "content": "x"}))[0]
    assert first.content == f"Be brief.\n\n{about.content}"
    assert turns(chat(tool_choice="none")) == (question,)


def test_earlier_calls_and_what_they_returned_are_told_in_their_places() -> None:
    made = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'}}
    told = turns(
        chat(
            {"role": "user", "content": "1 + 2?"},
            {"role": "assistant", "content": None, "tool_calls": [made]},
            {"role": "tool", "tool_call_id": "c1", "content": "3"},
        )
    )
    assert told[2:] == (Message("assistant", CALL), Message("user", "<tool_response>3</tool_response>"))


JSON = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object", "properties": {}}}}


@pytest.mark.parametrize(
    ("fields", "text", "fits"),
    [
        ({}, "Three, I think.\nYes.", True),
        ({}, CALL, True),
        ({}, NOW, True),
        ({}, CALL.replace("2", '"two"'), False),
        ({}, CALL.replace("add", "sub"), False),
        ({}, CALL + CALL, False),
        ({"tool_choice": "required"}, CALL, True),
        ({"tool_choice": "required"}, "Three.", False),
        ({"tool_choice": {"type": "function", "function": {"name": "now"}}}, NOW, True),
        ({"tool_choice": {"type": "function", "function": {"name": "now"}}}, CALL, False),
        ({"response_format": JSON}, "{}", True),
        ({"response_format": JSON}, CALL, True),
        ({"response_format": JSON}, "Three.", False),
        ({"response_format": JSON, "tools": None}, "{}", True),
        ({"response_format": JSON, "tools": None}, CALL, False),
        ({"response_format": {"type": "json_object"}, "tools": None}, '{"any": [1, null]}', True),
        ({"response_format": {"type": "json_object"}, "tools": None}, "[1]", False),
        ({"response_format": {"type": "json_object"}, "tools": None}, '{ "spaces": 1}', False),
        ({"structured_outputs": {"grammar": 'start: "yes" | "no"'}, "tools": None}, "no", True),
        ({"structured_outputs": {"grammar": 'start: "yes" | "no"'}, "tools": None}, "maybe", False),
    ],
)
def test_an_answer_is_what_was_asked_for(fields: dict[str, Any], text: str, fits: bool) -> None:
    assert accepted(chat(**fields), text) == fits


def test_functions_that_may_not_be_called_ask_for_no_grammar() -> None:
    assert grammar_of(chat(tool_choice="none")) is None


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"tool_choice": "auto", "tools": None}, "tool_choice"),
        ({"structured_outputs": {"grammar": 'start: "a"'}}, "structured_outputs"),
        (
            {"structured_outputs": {"grammar": 'start: "a"'}, "response_format": JSON, "tools": None},
            "structured_outputs",
        ),
        ({"parallel_tool_calls": False, "tools": None}, "parallel_tool_calls"),
        ({"tool_choice": {"type": "function", "function": {"name": "sub"}}}, "tool_choice"),
        ({"tools": [TOOLS[1], TOOLS[1]]}, "tools"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as raised:
        grammar_of(chat(**fields))
    assert raised.value.field == field


@pytest.mark.parametrize(
    "turn",
    [
        {"role": "tool", "content": "3"},
        {"role": "user", "content": "x", "tool_call_id": "c1"},
        {"role": "assistant", "content": None},
        {"role": "user", "content": "x", "tool_calls": [{"id": "c", "type": "function", "function": {}}]},
    ],
)
def test_turns_that_do_not_fit_their_role_are_refused(turn: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        chat(turn)
    with pytest.raises(ValidationError):
        chat(parallel_tool_calls=True)


def read(text: str, cuts: list[int], calls: bool = True) -> tuple[Read, list[Read]]:
    """What a text reads as when it comes in these pieces, together and one by one."""
    reader, ends = CallReader(calls), sorted(min(cut, len(text)) for cut in cuts)
    pieces = [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]
    reads = [*(reader.feed(piece) for piece in pieces), reader.end()]
    names = [one.name for one in reads if one.name]
    assert names == ([reader.name] if reader.name else [])
    joined = Read("".join(one.text for one in reads), reader.name, "".join(one.arguments for one in reads))
    return joined, reads


@given(st.lists(st.integers(0, 80), max_size=6))
def test_a_call_reads_the_same_however_it_is_cut(cuts: list[int]) -> None:
    assert read(CALL, cuts)[0] == Read("", "add", '{"a": 1, "b": 2}')
    assert read(CALL[:50], cuts)[0].arguments + CALL[50:] == CALL[CALL.index('{"a"') :]
    for text in ("Three.", "<", "<tool", "<tools> are fine", ""):
        assert read(text, cuts)[0] == Read(text)
    assert read(CALL, cuts, calls=False)[0] == Read(CALL)


def test_text_and_arguments_come_as_early_as_they_can() -> None:
    assert read("Three.", [1])[1] == [Read("T"), Read("hree."), Read()]
    long = CALL.replace("1", "1" * 100)
    assert len(read(long, [120])[1][0].arguments) > 50
