"""Functions that the model may call, and JSON that it must write: told in the chat, held to by a grammar.

Calls are written as Hermes and Qwen models do, whatever the model's own template knows of tools:
`<tool_call>{"name": "f", "arguments": {…}}</tool_call>`, answered in `<tool_response>…</tool_response>`.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from trimtab.errors import InputError
from trimtab.serving.protocol.requests import ChatRequest, Function, JsonBySchema, JsonObject, ToolChoice, Turn
from trimtab.texts import Message

BEGIN: Final = "<tool_call>"
_HEAD: Final = re.compile(BEGIN + r'\{"name": "([^"]+)", "arguments": ')
_TAIL: Final = "}</tool_call>"
_ABOUT: Final = (
    "You may call a function. The functions, in JSON:\n{functions}\n"
    'To call one, answer with nothing but <tool_call>{{"name": …, "arguments": …}}</tool_call>. What it returns comes '
    "back between <tool_response> and </tool_response>."
)
# As json.dumps writes it: where any white space is allowed, an unsure model may write that alone to the end.
_SPACING: Final = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_NOTHING: Final[dict[str, Any]] = {"type": "object", "properties": {}, "additionalProperties": False}


def may_call(asked: ChatRequest) -> bool:
    """Whether an answer may be a call."""
    return bool(asked.tools) and asked.tool_choice != "none"


def turns(asked: ChatRequest) -> tuple[Message, ...]:
    """The chat as the engine takes it; the first turn tells of the functions."""
    messages = [_message(turn) for turn in asked.messages]
    if may_call(asked):
        listed = "\n".join(_listed(tool.function) for tool in asked.tools or ())
        about = _ABOUT.format(functions=listed)
        if messages[0].role == "system":
            messages[0] = Message("system", f"{messages[0].content}\n\n{about}")
        else:
            messages.insert(0, Message("system", about))
    return tuple(messages)


def grammar_of(asked: ChatRequest) -> str | None:
    """What an answer must be, as a grammar of llguidance in JSON; None for any text.

    Raises:
        InputError: a choice without functions, or of one that is not among them; two of one name; a
            grammar beside them.
    """
    form = asked.response_format
    schema: dict[str, Any] | None = None
    if isinstance(form, JsonObject):
        schema = {"type": "object"} if form.value is None else form.value
    elif isinstance(form, JsonBySchema):
        schema = form.json_schema.definition
    functions = _callable(asked)
    if asked.structured_outputs is not None:
        if functions or schema is not None:
            raise InputError(
                "structured_outputs holds the whole answer; leave out response_format and tools",
                code="conflicting-arguments",
                field="structured_outputs",
            )
        return json.dumps({"grammars": [{"lark_grammar": asked.structured_outputs.grammar}]})
    if functions:
        free = not (asked.tool_choice == "required" or isinstance(asked.tool_choice, ToolChoice))
        return json.dumps({"grammars": [{"lark_grammar": "\n".join(_lark(functions, schema, free))}]})
    return None if schema is None else json.dumps({"grammars": [{"json_schema": _spaced(schema)}]})


@dataclass(frozen=True)
class Read:
    """What a piece of an answer adds: text; or a call's name, once, and more of its arguments."""

    text: str = ""
    name: str | None = None
    arguments: str = ""


class CallReader:
    """Reads an answer piece by piece as text or as a call; keeps back what may still turn out to be either.

    Args:
        calls: whether it may be a call; without, all is text.
    """

    def __init__(self, calls: bool) -> None:
        self.name: str | None = None
        self._text = not calls
        self._kept = ""

    def feed(self, piece: str) -> Read:
        """Take in the next piece."""
        self._kept += piece
        if self._text:
            return Read(text=self._taken(len(self._kept)))
        if self.name is not None:
            return Read(arguments=self._taken(len(self._kept) - len(_TAIL)))
        head = _HEAD.match(self._kept)
        if head:
            self.name = head[1]
            self._taken(head.end())
            return Read(name=self.name, arguments=self._taken(len(self._kept) - len(_TAIL)))
        if self._kept.startswith(BEGIN) or BEGIN.startswith(self._kept):
            return Read()
        self._text = True
        return Read(text=self._taken(len(self._kept)))

    def end(self) -> Read:
        """What was kept back, now that nothing follows."""
        rest = self._taken(len(self._kept))
        return Read(text=rest) if self.name is None else Read(arguments=rest.removesuffix(_TAIL))

    def _taken(self, n: int) -> str:
        n = max(n, 0)
        taken, self._kept = self._kept[:n], self._kept[n:]
        return taken


def _message(turn: Turn) -> Message:
    content = turn.content
    text = content if isinstance(content, str) else "".join(part.text for part in content or ())
    if turn.role == "tool":
        return Message("user", f"<tool_response>{text}</tool_response>")
    for call in turn.tool_calls or ():
        text += f"{BEGIN}{_opening(call.function.name)}{call.function.arguments}{_TAIL}"
    return Message("system" if turn.role == "developer" else turn.role, text)


def _listed(function: Function) -> str:
    told = {"name": function.name, "description": function.description, "parameters": function.parameters or _NOTHING}
    return json.dumps({name: value for name, value in told.items() if value is not None}, ensure_ascii=False)


def _callable(asked: ChatRequest) -> list[Function]:
    """The functions that an answer may call."""
    functions = [tool.function for tool in asked.tools or ()]
    names = [function.name for function in functions]
    for given, field in ((asked.tool_choice, "tool_choice"), (asked.parallel_tool_calls, "parallel_tool_calls")):
        if given is not None and not functions:
            raise InputError(f"{field} belongs to tools, which are missing", code="missing-value", field=field)
    if len(set(names)) < len(names):
        raise InputError("tools: two functions have the same name", code="repeated-name", field="tools")
    if isinstance(asked.tool_choice, ToolChoice):
        name = asked.tool_choice.function.name
        if name not in names:
            raise InputError(
                f"tool_choice: there is no function {name!r}; there is {', '.join(names)}",
                code="unknown-choice",
                field="tool_choice",
            )
        return [function for function in functions if function.name == name]
    return functions if may_call(asked) else []


def _lark(functions: list[Function], schema: dict[str, Any] | None, free: bool) -> Iterator[str]:
    """A call of one of the functions; or, where the answer is free to be none, text or what fits the schema."""
    calls = [f"call_{i}" for i in range(len(functions))]
    yield f"start: {' | '.join(['text', *calls] if free else calls)}"
    if free:
        yield r"text: /[^<](.|\n)*/" if schema is None else f"text: %json {json.dumps(_spaced(schema))}"
    for call, function in zip(calls, functions, strict=True):
        head = json.dumps(BEGIN + _opening(function.name))
        yield f"{call}: {head} {call}_arguments {json.dumps(_TAIL)}"
        yield f"{call}_arguments: %json {json.dumps(_spaced(function.parameters or _NOTHING))}"


def _opening(name: str) -> str:
    return f'{{"name": "{name}", "arguments": '


def _spaced(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "x-guidance": _SPACING}
