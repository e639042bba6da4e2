"""Chat turns in the shapes that tools write: other names, content parts, tool calls, and turns stored as text."""

import ast
import json
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping

from trimtab.errors import InputError
from trimtab.phrases import Phrase

_ROLES = {
    "human": "user", "prompter": "user", "user": "user", "gpt": "assistant", "assistant": "assistant",
    "chatgpt": "assistant", "bot": "assistant", "bard": "assistant", "model": "assistant", "ai": "assistant",
    "system": "system", "developer": "system", "function_call": "call",
    "tool": "result", "function": "result", "observation": "result", "ipython": "result", "function_response": "result",
}  # fmt: skip
_KEYS = (("role", "content"), ("from", "value"))
_MAX_TEXT = 10_000_000  # characters; a longer cell is not examined for turns

AS_TEXT = Phrase("turns stored as text were read as turns")
RENAMED = Phrase("turns with 'from' and 'value' were read as role and content")
PARTS = Phrase("the text parts of a turn were joined without separators")
TOOLS = Phrase("tool calls and their results were written into the turns as text, since a prompt is text only")


def plain_turns(value: object, where: str, counts: Counter[str]) -> object:
    """A value whose turns, if it contains any, are a list of `{"role": …, "content": text}`.

    Args:
        value: the content of a field that may contain turns.
        where: the place and the field, for errors.
        counts: counts what was done, by `AS_TEXT`, `RENAMED`, `PARTS` and `TOOLS`.

    Returns:
        the list; or the value unchanged if it is not made of turns.

    Raises:
        InputError: turns that cannot be read, such as pictures.
    """
    done: Counter[str] = Counter()
    if isinstance(value, str):
        if not looks_like_turns(value):
            return value
        value = _read_text(value, where)
        done[AS_TEXT] = 1
    turns = _listed(value)
    if turns is None:
        return value
    plain = [_turn(turn, f"{where}[{k}]", done) for k, turn in enumerate(turns)]
    counts.update(done.keys())
    return _merged(plain) if done[TOOLS] else plain


def _listed(value: object) -> list[Mapping[str, object]] | None:
    """A list of turns from one turn, a list of them, or the lists of their parts; None if it is none of these."""
    if isinstance(value, Mapping):
        if isinstance(value.get("messages"), list):
            return _listed(value["messages"])
        for role, content in _KEYS:
            if role in value and content in value:
                roles, contents = value[role], value[content]
                if not isinstance(roles, list):
                    return [value]
                if isinstance(contents, list) and len(contents) == len(roles):  # as datasets gives a Sequence of turns
                    return [{role: r, content: c} for r, c in zip(roles, contents, strict=True)]
        return None
    if isinstance(value, list) and value and all(map(_is_turn, value)):
        return list(value)
    return None


def _is_turn(turn: object) -> bool:
    if not isinstance(turn, Mapping):
        return False
    return any(set(keys) <= set(turn) for keys in _KEYS) or ("role" in turn and bool(_calls(turn)))


def _turn(turn: Mapping[str, object], where: str, done: Counter[str]) -> dict[str, object]:
    role_key, content_key = next((keys for keys in _KEYS if keys[0] in turn), _KEYS[0])
    role, content = turn.get(role_key), turn.get(content_key)
    if role_key == "from":
        done[RENAMED] = 1
    kind = _ROLES.get(role.strip().casefold()) if isinstance(role, str) else None
    if isinstance(content, list) and content and all(isinstance(part, Mapping) for part in content):
        content = "".join(_part(part, f"{where}.content[{k}]") for k, part in enumerate(content))
        done[PARTS] = 1
    calls = _calls(turn)
    if calls:
        done[TOOLS] = 1
        if content is None or isinstance(content, str):
            content = "\n".join([*([content] if content else []), *calls])
    if kind == "call":
        done[TOOLS] = 1
        return {"role": "assistant", "content": f"[calls {content}]"}
    if kind == "result":
        done[TOOLS] = 1
        name = turn.get("name")
        return {"role": "user", "content": f"[result{f' of {name}' if isinstance(name, str) else ''}] {content}"}
    return {"role": kind or role, "content": content}


def _part(part: Mapping[str, object], where: str) -> str:
    kind, text = part.get("type", "text"), part.get("text")
    if kind in ("text", "input_text", "output_text") and isinstance(text, str):
        return text
    raise InputError(f"{where}: a part of type {kind!r}; only text can be compared, so remove the row")


def _calls(turn: Mapping[str, object]) -> list[str]:
    """The calls of a turn as text, `[calls name(arguments)]`."""
    calls = turn.get("tool_calls") or ([turn["function_call"]] if turn.get("function_call") else [])
    return [_call(call) for call in calls if isinstance(call, Mapping)] if isinstance(calls, list) else []


def _call(call: Mapping[str, object]) -> str:
    inner = call.get("function")
    named = inner if isinstance(inner, Mapping) else call
    arguments = named.get("arguments", "")
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False, default=str)
    return f"[calls {named.get('name', 'a tool')}({text})]"


def _merged(turns: list[dict[str, object]]) -> list[dict[str, object]]:
    """Consecutive turns of one role merged, since chat templates want roles to alternate."""
    merged: list[dict[str, object]] = []
    for turn in turns:
        last = merged[-1] if merged else {}
        if last.get("role") == turn["role"] and isinstance(last["content"], str) and isinstance(turn["content"], str):
            merged[-1] = {"role": turn["role"], "content": f"{last['content']}\n{turn['content']}"}
        else:
            merged.append(turn)
    return merged


# --- turns that a table stores as text ---


def looks_like_turns(text: str) -> bool:
    """Text such as `[{'role': 'user', 'content': …}]`: Python's or NumPy's, or JSON."""
    start = text.lstrip()[:40]
    if not re.match(r"(array\(\s*)?\[?\s*(array\(\s*\[\s*)?\{", start) or len(text) > _MAX_TEXT:
        return False
    return any(
        re.search(rf"""['"]{role}['"]\s*:""", text) and re.search(rf"""['"]{content}['"]\s*:""", text)
        for role, content in _KEYS
    )


def _read_text(text: str, where: str) -> object:
    """The value behind the text.

    Raises:
        InputError: it cannot be read: cut short, or broken.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about invalid escapes in the texts
        try:
            value: object = ast.literal_eval(_as_python(text.strip()))
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            raise InputError(
                f"{where} looks like turns stored as text, but is cut short or broken: {text.strip()[:60]!r}; "
                "write the file with json.dumps of the turns, or as JSONL"
            ) from None
    return value


_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)


def _as_python(text: str) -> str:
    """NumPy's way to print a list of dicts, without commas between them and in `array(…)`, as Python's."""
    return "".join(_outside(piece) if bare else piece for piece, bare in _pieces(text))


def _outside(code: str) -> str:
    code = re.sub(r"\}\s*\{", "}, {", code)
    code = re.sub(r"\barray\(", "(", code)
    code = re.sub(r",\s*dtype=object\s*\)", ")", code)
    return re.sub(r"\bnan\b", "None", re.sub(r"\bnull\b", "None", code))


def _pieces(text: str) -> Iterator[tuple[str, bool]]:
    """The text in pieces, alternately outside (True) and inside (False) quotation marks."""
    at = 0
    for match in _QUOTED.finditer(text):
        yield text[at : match.start()], True
        yield match.group(), False
        at = match.end()
    yield text[at:], True
