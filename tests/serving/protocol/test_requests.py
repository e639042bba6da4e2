"""What a body may hold, what the engine is asked for, and what is refused by the name of its field."""

import json
from typing import Any, get_type_hints

import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsBase as ChatParams
from openai.types.completion_create_params import CompletionCreateParamsBase as CompletionParams
from pydantic import ValidationError

from trimtab.errors import InputError
from trimtab.interventions import Sampling
from trimtab.serving.errors import invalid_body
from trimtab.serving.protocol import ChatRequest, CompletionRequest
from trimtab.serving.protocol.sampling import prompts, sampling, wants_logprobs
from trimtab.serving.protocol.tools import turns
from trimtab.texts import Message

CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
TEXT = {"model": "m", "prompt": "Hello"}


def chat(**fields: Any) -> ChatRequest:
    return ChatRequest.model_validate({**CHAT, **fields})


def completion(**fields: Any) -> CompletionRequest:
    return CompletionRequest.model_validate({**TEXT, **fields})


def refused(kind: type[ChatRequest | CompletionRequest], body: Any) -> dict[str, Any]:
    with pytest.raises(ValidationError) as raised:
        kind.model_validate(body)
    return dict(invalid_body(raised.value.errors(include_url=False)).body["error"])


def test_every_sampling_field_reaches_the_engine() -> None:
    asked = chat(
        n=2, stop=["a", "b"], seed=7, temperature=0.5, top_p=0.9, top_k=40, max_completion_tokens=30, logprobs=True,
        top_logprobs=3, logit_bias={"17": -100, "4": 2.5}, presence_penalty=0.5, frequency_penalty=-1, user="u",
    )  # fmt: skip
    expected = Sampling(
        max_tokens=30, temperature=0.5, top_p=0.9, top_k=40, seed=8, stop=("a", "b"), top_logprobs=3,
        logit_bias={17: -100.0, 4: 2.5}, presence_penalty=0.5, frequency_penalty=-1.0,
    )  # fmt: skip
    assert sampling(asked, 50, 100, choice=1) == expected
    assert sampling(completion(stop="x", max_tokens=5, logprobs=2), 50, 100, 0) == Sampling(
        5, stop=("x",), top_logprobs=2
    )


def test_defaults_are_openais_and_null_stands_for_them() -> None:
    names = (*ChatRequest.model_fields, "model", "messages")
    nulls = {name: None for name in names if name not in CHAT}
    assert sampling(chat(**nulls), 50, 100, 0) == sampling(chat(), 50, 100, 0) == Sampling(max_tokens=50)
    assert sampling(completion(), 50, 100, 0) == Sampling(max_tokens=16)
    assert sampling(completion(), 50, 8, 0).max_tokens == sampling(chat(), 50, 8, 0).max_tokens == 8


def test_answers_to_one_request_draw_with_seeds_of_their_own() -> None:
    seeds = [sampling(chat(seed=2**63 - 1), 9, 9, choice).seed for choice in range(3)]
    assert seeds == [2**63 - 1, 0, 1]
    assert sampling(chat(), 9, 9, 1).seed is None


def test_json_is_asked_for_as_a_grammar() -> None:
    assert sampling(chat(response_format={"type": "text"}), 9, 9, 0).grammar is None
    spaced = {"x-guidance": {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}}
    grammar = sampling(chat(response_format={"type": "json_object"}), 9, 9, 0).grammar
    assert json.loads(str(grammar)) == {"grammars": [{"json_schema": {"type": "object", **spaced}}]}
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": True}}
    grammar = sampling(chat(response_format=form), 9, 9, 0).grammar
    assert json.loads(str(grammar)) == {"grammars": [{"json_schema": {**schema, **spaced}}]}


def test_turns_are_joined_from_their_parts_and_developers_speak_as_system() -> None:
    parts = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts}]
    assert turns(chat(messages=messages)) == (Message("system", "Be brief."), Message("user", "one two"))


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a", ["a"]),
        (["a", "b"], ["a", "b"]),
        ([1, 2], [(1, 2)]),
        ([[1, 2], [3]], [(1, 2), (3,)]),
    ],
)
def test_prompts_are_texts_or_token_ids(prompt: Any, expected: list[Any]) -> None:
    assert prompts(completion(prompt=prompt)) == expected


def test_log_probabilities_are_given_where_they_are_asked_for() -> None:
    assert [wants_logprobs(chat(logprobs=value)) for value in (None, False, True)] == [False, False, True]
    assert [wants_logprobs(completion(logprobs=value)) for value in (None, 0, 2)] == [False, True, True]


def test_every_field_of_openais_that_is_not_honoured_is_refused_by_name() -> None:
    for kind, params, body in ((ChatRequest, ChatParams, CHAT), (CompletionRequest, CompletionParams, TEXT)):
        known = set(get_type_hints(params)) - set(kind.model_fields)
        assert known  # tools, audio, echo, …
        for name in known:
            error = refused(kind, {**body, name: {}})
            assert (error["param"], error["code"]) == (name, "unsupported_parameter")
            assert error["message"] == f"{name} is not supported by this server; leave it out"
    assert refused(ChatRequest, {**CHAT, "steering": {"strenght": 1}})["param"] == "steering.strenght"
    assert refused(ChatRequest, {**CHAT, "stream_options": {"odd": 1}})["param"] == "stream_options.odd"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "function", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": None}]}, "messages.0"),
        ({"messages": [{"role": "user", "content": "a\0b"}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": "x", "name": "n"}]}, "messages.0.name"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"n": 0}, "n"),
        ({"n": True}, "n"),
        ({"seed": -1}, "seed"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": ""}, "stop"),
        ({"stop": ["a", 1]}, "stop"),
        ({"logit_bias": {"word": 1}}, "logit_bias.word"),
        ({"logit_bias": {"5": 101}}, "logit_bias.5"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"steering": {"strength": {"a": float("inf")}}}, "steering.strength"),
        ({"steering": {"scope": "some"}}, "steering.scope"),
        ({"steering": "warm"}, "steering"),
        ({"response_format": {"type": "yaml"}}, "response_format"),
        ({"stream": "yes"}, "stream"),
    ],
)
def test_a_bad_value_is_refused_with_its_place_and_without_itself(fields: dict[str, Any], param: str) -> None:
    error = refused(ChatRequest, {**CHAT, **fields})
    assert error["type"] == "invalid_request_error"
    assert str(error["param"]).startswith(param)
    assert error["message"].startswith(param)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (chat(max_tokens=5, max_completion_tokens=6), "max_tokens"),
        (chat(max_tokens=101), "max_tokens"),
        (chat(max_completion_tokens=101), "max_completion_tokens"),
        (chat(top_logprobs=2), "top_logprobs"),
        (chat(stream_options={"include_usage": True}), "stream_options"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(asked: ChatRequest, field: str) -> None:
    with pytest.raises(InputError) as raised:
        sampling(asked, 50, 100, 0)
    assert raised.value.field == field
    assert field in str(raised.value)


def test_an_empty_prompt_is_refused() -> None:
    for prompt in ("", ["a", ""]):
        with pytest.raises(InputError, match="prompt: an empty text"):
            prompts(completion(prompt=prompt))
    assert refused(CompletionRequest, {**TEXT, "prompt": []})["param"] == "prompt"
    assert refused(CompletionRequest, {"model": "m"})["message"] == "prompt is missing"
