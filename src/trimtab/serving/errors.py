"""Errors as HTTP tells them: the status of each, and the body in the shape of OpenAI's API."""

from collections.abc import Iterable, Mapping
from math import ceil
from typing import Any, Final

from trimtab.errors import Code, InputError, TrimtabError
from trimtab.texts import shown

# What is not 400 for errors of the caller's input, and not 503 for the others.
_STATUS: Final[Mapping[Code, int]] = {"no-such-file": 404, "busy": 503}
_TYPES: Final[Mapping[int, str]] = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
# The engine's words for fields that clients know by other names.
_FIELDS: Final[Mapping[str, str]] = {"strength": "steering.strength"}
_MOST: Final = 1000  # characters of a message, which may name what the client sent
# Of a union's place pydantic also names the branch that it tried.
_BRANCHES: Final = frozenset({"str", "int", "float", "bool", "body"})


class HttpError(TrimtabError):
    """A request that is not answered.

    Args:
        message: what is wrong, and what to do.
        status: of the answer.
        word: `code` of the body: a word of OpenAI's, or of `trimtab.errors`.
        param: the field of the body that is wrong.
        retry_after: seconds after which trying again may help.
        beside: further fields of the body.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        word: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        beside: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(shown(message, _MOST), field=None if param is None else shown(param, _MOST))
        self.status = status
        self.word = word
        self.retry_after = retry_after
        self.beside = dict(beside or {})

    @property
    def headers(self) -> dict[str, str]:
        """Of the answer."""
        return {} if self.retry_after is None else {"retry-after": str(max(1, ceil(self.retry_after)))}

    @property
    def body(self) -> dict[str, Any]:
        """Of the answer, as `{"error": {"message", "type", "param", "code"}}`."""
        kind = _TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": str(self), "type": kind, "param": self.field, "code": self.word}, **self.beside}


def http_error(error: TrimtabError, request_id: str) -> HttpError:
    """An error of the library for the client.

    Faults of the input are told as they are; the engine's are told in its words, with the request's id.
    """
    if isinstance(error, HttpError):
        return error
    if isinstance(error, InputError):
        return HttpError(str(error), status=_STATUS.get(error.code, 400), word=error.code, param=_param(error.field))
    return HttpError(
        f"request {request_id}: the engine failed: {error}; try again",
        status=503,
        word=error.code,
        param=error.field,
        retry_after=1.0,
    )


def invalid_body(faults: Iterable[Mapping[str, Any]]) -> HttpError:
    """The first fault that pydantic found in a body; shows no value, which may be long or private."""
    fault = next(iter(faults))
    kind, message = fault["type"], str(fault["msg"])
    if kind == "json_invalid":
        why = fault.get("ctx", {}).get("error", message)
        return HttpError(f"the body is not valid JSON: {why}", status=400, word="invalid_json")
    place = [str(part) for part in fault["loc"] if not _branch(part)]
    param = ".".join(place) or None
    if kind == "extra_forbidden":
        text, word = f"{param} is not supported by this server; leave it out", "unsupported_parameter"
    elif kind == "missing":
        text, word = f"{param or 'a JSON body'} is missing", "missing_parameter"
    else:
        message = message.removeprefix("Value error, ")
        text, word = f"{param or 'the body'}: {message[:1].lower()}{message[1:]}", "invalid_value"
    return HttpError(text, status=400, word=word, param=param)


def _branch(part: object) -> bool:
    return isinstance(part, str) and (part in _BRANCHES or "[" in part)


def _param(field: str | None) -> str | None:
    if field is None:
        return None
    first, dot, rest = field.partition(".")
    return _FIELDS.get(first, first) + dot + rest
