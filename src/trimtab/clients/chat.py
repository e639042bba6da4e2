"""Ask a chat model behind any server that speaks OpenAI's protocol."""

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

_MOST_BYTES = 8 << 20  # of an answer
_LONGEST_WAIT = 120.0  # seconds, whatever the server asks for
_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL)
# What some servers do not take, and what they take instead (None: nothing).
_INSTEAD: Mapping[str, str | None] = {"max_tokens": "max_completion_tokens", "temperature": None, "seed": None}


class EndpointError(TrimtabError):
    """The server did not give a usable answer, however often it was asked."""

    default: ClassVar[Code] = "endpoint-failed"


class _Again(Exception):  # noqa: N818 - not an error yet: the request is sent once more
    def __init__(self, why: str, wait: float | None = None) -> None:
        super().__init__(why)
        self.wait = wait


@dataclass(frozen=True)
class Endpoint:
    """A chat model behind a server.

    Args:
        url: the server's base, such as `https://host/v1`; `/chat/completions` is added.
        model: the name that the server knows it by.
        key: sent as a bearer token; empty for none.
        timeout: seconds to wait for a connection, and for each piece of an answer.
        attempts: how often a request is sent before it is given up.
        pause: waits that many seconds between attempts.

    Raises:
        InputError: no such URL, or a key that would travel unencrypted.
    """

    url: str
    model: str
    key: str = field(default="", repr=False)
    timeout: float = 60.0
    attempts: int = 6
    pause: Callable[[float], None] = field(default=time.sleep, repr=False, compare=False)
    _client: httpx2.Client = field(init=False, repr=False, compare=False)
    _refused: set[str] = field(init=False, repr=False, compare=False, default_factory=set)

    def __post_init__(self) -> None:
        try:
            url = httpx2.URL(self.url)
        except (httpx2.InvalidURL, TypeError) as error:
            raise InputError(
                f"endpoint {self.url!r} is no URL: {error}", code="invalid-endpoint", field="endpoint.url"
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
                f"endpoint {self.url}: the key would travel unencrypted; use https",
                code="invalid-endpoint",
                field="endpoint.url",
            )
        if not self.model.strip():
            raise InputError(
                "an endpoint needs the name of a model, as its server knows it",
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
        """The model's next turn, without its thoughts; safe to call from several threads.

        Args:
            turns: roles and contents.
            seed: handed to the server, which may or may not honour it.
            max_tokens: upper limit of the answer.
            temperature: of sampling.

        Raises:
            InputError: the server refuses the request: key, model, URL or a parameter.
            EndpointError: no usable answer in `attempts` attempts.
        """
        asked = {
            "model": self.model,
            "messages": [dict(turn) for turn in turns],
            "max_tokens": max_tokens,
            "temperature": temperature,
            "seed": seed,
        }
        why = ""
        for attempt in range(self.attempts):
            try:
                return self._once(asked)
            except _Again as error:
                why = str(error)
                wait = error.wait
            if attempt + 1 < self.attempts:
                spread = 0.5 + random.random() / 2  # noqa: S311 - so that many clients do not come at once
                self.pause(min(_LONGEST_WAIT, wait if wait is not None else spread * 2**attempt))
        raise EndpointError(
            f"{self.identity}: no usable answer in {self.attempts} attempts; the last one: {why}; "
            "try again later, or with fewer requests at a time; what was written is kept",
            field="parallel",
        )

    def _once(self, asked: Mapping[str, Any]) -> str:
        """One request, and at once another for each parameter that the server turns out not to take.

        What it does not take is remembered for all further calls.
        """
        while True:
            sent = _exchanged(asked, self._refused)
            status, headers, body = self._post(sent)
            if status == 200:
                return _content(body)
            said = _error(body)
            refused = str(said.get("param") or "")
            if not (status == 400 and refused in sent and refused in _INSTEAD):
                break
            self._refused.add(refused)
        message = _shown(str(said.get("message") or body))
        if status in _AGAIN and said.get("code") != "insufficient_quota":
            raise _Again(f"HTTP {status} {message}", _retry_after(headers))
        where, fix = _mend(status)
        raise InputError(
            f"{self.identity} refuses (HTTP {status}): {message or 'no reason given'}{fix}",
            code="endpoint-refused",
            field=where,
        )

    def _post(self, asked: Mapping[str, Any]) -> tuple[int, Mapping[str, str], str]:
        """Status, headers and text of the answer; at most `_MOST_BYTES` are read."""
        parts, size = [], 0
        try:
            with self._client.stream("POST", f"{self.url.rstrip('/')}/chat/completions", json=asked) as response:
                for part in response.iter_bytes():
                    parts.append(part)
                    size += len(part)
                    if size > _MOST_BYTES:
                        raise _Again(f"an answer of more than {_MOST_BYTES >> 20} MiB")
                return response.status_code, response.headers, b"".join(parts).decode(errors="replace")
        except httpx2.TimeoutException:
            raise _Again(f"no answer within {self.timeout:g} seconds") from None
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise _Again(f"{type(error).__name__}: {error}") from None


def key_from(variable: str) -> str:
    """The key that an environment variable holds; empty if it is not set.

    Raises:
        InputError: the variable holds what cannot be a key.
    """
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise InputError(
            f"the environment variable {variable} holds no key: spaces or control characters",
            code="invalid-input",
            field="key_env",
        )
    return key


def _exchanged(asked: Mapping[str, Any], refused: Collection[str]) -> dict[str, Any]:
    """The request without refused parameters, and with what the server takes instead of them."""
    sent = {name: value for name, value in asked.items() if name not in refused}
    for name in (name for name in asked if name in refused):
        if (instead := _INSTEAD[name]) is not None:
            sent[instead] = asked[name]
    return sent


def _content(body: str) -> str:
    """The text of a chat completion."""
    try:
        text = json.loads(body)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise _Again(f"an answer that is no chat completion ({type(error).__name__}): {_shown(body)[:80]}") from None
    if not isinstance(text, str):
        raise _Again("a completion without text")
    text = _THOUGHT.sub("", text).strip()
    if not text:
        raise _Again("an empty completion")
    if "\0" in text or text != text.encode(errors="ignore").decode():
        raise _Again("a completion that is no text: a NUL byte or half a surrogate pair")
    return text


def _error(body: str) -> Mapping[str, Any]:
    """What an error says of itself: `{"error": {…}}`, `{"error": "…"}`, `{"message": "…"}` or nothing."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    said = said.get("error", said) if isinstance(said, dict) else {}
    return said if isinstance(said, dict) else {"message": said}


def _shown(text: str) -> str:
    """The beginning of what a server says, without what could steer a terminal."""
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


def _mend(status: int) -> tuple[str | None, str]:
    """The field at fault, and what to do."""
    if status in (401, 403):
        return "key_env", "; check the key in the environment variable that holds it"
    if status == 404:
        return "endpoint", "; check the URL (it usually ends in /v1) and the name of the model"
    return ("endpoint.url", "; give the URL that it leads to") if 300 <= status < 400 else (None, "")
