"""Ask a chat model on any server that speaks OpenAI's protocol."""

import json
import os
import random
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar

import httpx2

from trimtab.errors import Code, InputError, TrimtabError

Turn = Mapping[str, str]  # role, content

_MAX_BYTES = 8 << 20  # of an answer
_MAX_WAIT = 120.0  # seconds, whatever the server asks for
_RETRY_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL)
# Parameters that some servers do not accept, and what to send instead (None: nothing).
_REPLACEMENTS: Mapping[str, str | None] = {"max_tokens": "max_completion_tokens", "temperature": None, "seed": None}


class EndpointError(TrimtabError):
    """The server did not give a usable answer in any attempt."""

    default: ClassVar[Code] = "endpoint-failed"


class _RetryError(Exception):  # not final: the request is sent again
    def __init__(self, why: str, wait: float | None = None) -> None:
        super().__init__(why)
        self.wait = wait


@dataclass(frozen=True)
class Endpoint:
    """A chat model on a server.

    Args:
        url: the server's base, such as `https://host/v1`; `/chat/completions` is added.
        model: its name on the server.
        key: sent as a bearer token; empty for none.
        timeout: seconds to wait for a connection, and for each piece of an answer.
        attempts: how often a request is sent before it is given up.
        pause: called with the seconds to wait between attempts.

    Raises:
        InputError: an invalid URL, or a key that would be sent unencrypted.
    """

    url: str
    model: str
    key: str = field(default="", repr=False)
    timeout: float = 60.0
    attempts: int = 6
    pause: Callable[[float], None] = field(default=time.sleep, repr=False, compare=False)
    _client: httpx2.Client = field(init=False, repr=False, compare=False)
    _unsupported: set[str] = field(init=False, repr=False, compare=False, default_factory=set)

    def __post_init__(self) -> None:
        try:
            url = httpx2.URL(self.url)
        except (httpx2.InvalidURL, TypeError) as error:
            raise InputError(
                f"endpoint {self.url!r} is not a URL: {error}", code="invalid-endpoint", field="endpoint.url"
            ) from None
        if url.scheme not in ("http", "https") or not url.host:
            raise InputError(
                f"endpoint {self.url!r}: give the server's base URL, such as https://host/v1",
                code="invalid-endpoint",
                field="endpoint.url",
            )
        if url.userinfo or url.query or url.fragment:
            raise InputError(
                f"endpoint {url.host}: give the base URL alone, and the key by an environment variable",
                code="invalid-endpoint",
                field="endpoint.url",
            )
        if self.key and url.scheme == "http" and url.host not in _LOOPBACK:
            raise InputError(
                f"endpoint {self.url}: the key would be sent unencrypted; use https",
                code="invalid-endpoint",
                field="endpoint.url",
            )
        if not self.model.strip():
            raise InputError(
                "an endpoint needs the name of a model on its server",
                code="missing-value",
                field="endpoint.model",
            )
        if not self.timeout > 0:
            raise InputError(
                f"a timeout of {self.timeout} seconds; it must be above 0",
                code="out-of-range",
                field="endpoint.timeout",
            )
        if self.attempts < 1:
            raise InputError(
                f"{self.attempts} attempts; at least 1 is needed", code="out-of-range", field="endpoint.attempts"
            )
        headers = {"authorization": f"Bearer {self.key}"} if self.key else {}
        client = httpx2.Client(timeout=self.timeout, headers=headers)
        object.__setattr__(self, "_client", client)

    @property
    def identity(self) -> str:
        """Model and server, for the record."""
        return f"{self.model} at {self.url.rstrip('/')}"

    def chat(self, turns: Sequence[Turn], *, seed: int, max_tokens: int, temperature: float = 1.0) -> str:
        """The model's next turn, without its reasoning; safe to call from several threads.

        Args:
            turns: roles and contents.
            seed: sent to the server, which may ignore it.
            max_tokens: upper limit of the answer.
            temperature: of sampling.

        Raises:
            InputError: the server refuses the request: key, model, URL or a parameter.
            EndpointError: no usable answer in `attempts` attempts.
        """
        request = {
            "model": self.model,
            "messages": [dict(turn) for turn in turns],
            "max_tokens": max_tokens,
            "temperature": temperature,
            "seed": seed,
        }
        why = ""
        for attempt in range(self.attempts):
            try:
                return self._once(request)
            except _RetryError as error:
                why = str(error)
                wait = error.wait
            if attempt + 1 < self.attempts:
                spread = 0.5 + random.random() / 2  # noqa: S311 - so that many clients do not come at once
                self.pause(min(_MAX_WAIT, wait if wait is not None else spread * 2**attempt))
        raise EndpointError(
            f"{self.identity}: no usable answer in {self.attempts} attempts; the last one: {why}; "
            "try again later, or with fewer requests at a time; what was written is kept",
            field="parallel",
        )

    def _once(self, request: Mapping[str, Any]) -> str:
        """One request, and at once another for each parameter that the server turns out not to support.

        Unsupported parameters are remembered for all further calls.
        """
        while True:
            sent = _with_replacements(request, self._unsupported)
            status, headers, body = self._post(sent)
            if status == 200:
                return _content(body)
            error = _error(body)
            parameter = str(error.get("param") or "")
            if not (status == 400 and parameter in sent and parameter in _REPLACEMENTS):
                break
            self._unsupported.add(parameter)
        message = _shown(str(error.get("message") or body))
        if status in _RETRY_STATUSES and error.get("code") != "insufficient_quota":
            raise _RetryError(f"HTTP {status} {message}", _retry_after(headers))
        where, fix = _fix(status)
        raise InputError(
            f"{self.identity} refuses the request (HTTP {status}): {message or 'no reason given'}{fix}",
            code="endpoint-refused",
            field=where,
        )

    def _post(self, request: Mapping[str, Any]) -> tuple[int, Mapping[str, str], str]:
        """Status, headers and text of the answer; at most `_MAX_BYTES` are read."""
        parts, size = [], 0
        try:
            with self._client.stream("POST", f"{self.url.rstrip('/')}/chat/completions", json=request) as response:
                for part in response.iter_bytes():
                    parts.append(part)
                    size += len(part)
                    if size > _MAX_BYTES:
                        raise _RetryError(f"an answer of more than {_MAX_BYTES >> 20} MiB")
                return response.status_code, response.headers, b"".join(parts).decode(errors="replace")
        except httpx2.TimeoutException:
            raise _RetryError(f"no answer within {self.timeout:g} seconds") from None
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise _RetryError(f"{type(error).__name__}: {error}") from None


def key_from(variable: str) -> str:
    """The key that an environment variable holds; empty if it is not set.

    Raises:
        InputError: the variable holds something that cannot be a key.
    """
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise InputError(
            f"the environment variable {variable} does not hold a key, but spaces or control characters; "
            "set it to the key alone",
            code="invalid-input",
            field="key_env",
        )
    return key


def _with_replacements(request: Mapping[str, Any], unsupported: Collection[str]) -> dict[str, Any]:
    """The request without unsupported parameters, and with what the server accepts instead of them."""
    sent = {name: value for name, value in request.items() if name not in unsupported}
    for name in (name for name in request if name in unsupported):
        if (instead := _REPLACEMENTS[name]) is not None:
            sent[instead] = request[name]
    return sent


def _content(body: str) -> str:
    """The text of a chat completion."""
    try:
        text = json.loads(body)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise _RetryError(
            f"an answer that is not a chat completion ({type(error).__name__}): {_shown(body)[:80]}"
        ) from None
    if not isinstance(text, str):
        raise _RetryError("a completion without text")
    text = _THOUGHT.sub("", text).strip()
    if not text:
        raise _RetryError("an empty completion")
    if "\0" in text or text != text.encode(errors="ignore").decode():
        raise _RetryError("a completion that is not text: it contains a null character or half a surrogate pair")
    return text


def _error(body: str) -> Mapping[str, Any]:
    """The error that a server reports: `{"error": {…}}`, `{"error": "…"}`, `{"message": "…"}` or nothing."""
    try:
        error = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    error = error.get("error", error) if isinstance(error, dict) else {}
    return error if isinstance(error, dict) else {"message": error}


def _shown(text: str) -> str:
    """The beginning of a server's message, without control characters."""
    words = " ".join(text[:1000].split())[:300]
    return "".join(c if c.isprintable() else "?" for c in words)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait as the server wishes, given as a number or as a date."""
    wish = headers.get("retry-after", "").strip()
    try:
        return max(0.0, float(wish))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(wish).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


def _fix(status: int) -> tuple[str | None, str]:
    """The field at fault, and what to do."""
    if status in (401, 403):
        return "key_env", "; check the key in the environment variable that holds it"
    if status == 404:
        return "endpoint", "; check the URL (it usually ends in /v1) and the name of the model"
    return ("endpoint.url", "; give the URL that it redirects to") if 300 <= status < 400 else (None, "")
