"""Ask a chat model on any server that speaks OpenAI's protocol."""

import os
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import httpx2

from trimtab.clients.replies import (
    REPLACEMENTS,
    Completion,
    RetryError,
    Usage,
    content_of,
    error_of,
    refused_parameter,
    retry_after,
    shown,
    usage_of,
)
from trimtab.clients.urls import check_base
from trimtab.errors import Code, InputError, TrimtabError

Turn = Mapping[str, str]  # role, content

_MAX_BYTES = 8 << 20  # of an answer
_MAX_TIMEOUT = 86_400.0
_MAX_WAIT = 120.0  # seconds, whatever the server asks for
_MAX_PIECES = 10.0  # timeouts that an answer may take in all, however small its pieces
_RETRY_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})


class EndpointError(TrimtabError):
    """The server did not give a usable answer in any attempt."""

    default: ClassVar[Code] = "endpoint-failed"


class Meter(Protocol):
    """Watches the requests that are sent for one turn, the repeated ones included."""

    def sending(self) -> None:
        """A request is about to be sent; may wait, or raise to stop it."""
        ...

    def heard(self, status: int | None, usage: Usage | None, wait: float | None) -> None:
        """What came of it.

        Args:
            status: of HTTP; None where no whole answer came.
            usage: as the server counts, nothing where it was not reached; None where it does not say.
            wait: seconds that the server asks to be left alone; None for no wish.
        """
        ...

    def rest(self, seconds: float) -> None:
        """Wait before the next attempt, unless it will not be made."""
        ...


@dataclass(frozen=True)
class _Unwatched:
    rest: Callable[[float], None]

    def sending(self) -> None:
        pass

    def heard(self, status: int | None, usage: Usage | None, wait: float | None) -> None:
        pass


@dataclass(frozen=True)
class Endpoint:
    """A chat model on a server.

    Args:
        url: the server's base, such as `https://host/v1`; `/chat/completions` is added.
        model: its name on the server.
        key: sent as a bearer token; empty for none.
        timeout: seconds to wait for a connection, and for each piece of an answer; the whole may take ten times that.
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
        check_base(self.url, self.key)
        if not self.model.strip():
            raise InputError(
                "an endpoint needs the name of a model on its server", code="missing-value", field="endpoint.model"
            )
        if not 0 < self.timeout <= _MAX_TIMEOUT:
            raise InputError(
                f"a timeout of {self.timeout} seconds; it must be above 0, and a day at most",
                code="out-of-range", field="endpoint.timeout",
            )  # fmt: skip
        if self.attempts < 1:
            raise InputError(
                f"{self.attempts} attempts; at least 1 is needed", code="out-of-range", field="endpoint.attempts"
            )
        headers = {"authorization": f"Bearer {self.key}"} if self.key else {}
        object.__setattr__(self, "_client", httpx2.Client(timeout=self.timeout, headers=headers))

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
        return self.complete(turns, seed=seed, max_tokens=max_tokens, temperature=temperature).text

    def complete(
        self,
        turns: Sequence[Turn],
        *,
        seed: int,
        max_tokens: int,
        temperature: float = 1.0,
        schema: Mapping[str, Any] | None = None,
        meter: Meter | None = None,
    ) -> Completion:
        """The model's next turn, with the tokens that it took; safe to call from several threads.

        Args:
            turns: roles and contents.
            seed: sent to the server, which may ignore it.
            max_tokens: upper limit of the answer.
            temperature: of sampling.
            schema: JSON Schema of the answer (`response_format`); a server that does not take one is asked without, so
                the answer may be anything.
            meter: is told of every request.

        Raises:
            InputError: the server refuses the request: key, model, URL or a parameter.
            EndpointError: no usable answer in `attempts` attempts.
        """
        request: dict[str, Any] = {
            "model": self.model,
            "messages": [dict(turn) for turn in turns],
            "max_tokens": max_tokens,
            "temperature": temperature,
            "seed": seed,
        }
        if schema is not None:
            named = {"name": "answer", "strict": True, "schema": dict(schema)}
            request["response_format"] = {"type": "json_schema", "json_schema": named}
        watching = _Unwatched(self.pause) if meter is None else meter
        why = ""
        for attempt in range(self.attempts):
            try:
                return self._once(request, watching)
            except RetryError as error:
                why = str(error)
                wait = error.wait
            if attempt + 1 < self.attempts:
                spread = 0.5 + random.random() / 2  # noqa: S311 - so that many clients do not come at once
                watching.rest(min(_MAX_WAIT, wait if wait is not None else spread * 2**attempt))
        raise EndpointError(
            f"{self.identity}: no usable answer in {self.attempts} attempts; the last one: {why}; "
            "try again later, or with fewer requests at a time; what was written is kept",
            field="parallel",
        )

    def _once(self, request: Mapping[str, Any], meter: Meter) -> Completion:
        """One request, and at once another for each parameter that the server turns out not to support.

        Unsupported parameters are remembered for all further calls.
        """
        while True:
            sent = _with_replacements(request, self._unsupported)
            meter.sending()
            try:
                status, headers, body = self._post(sent)
            except RetryError as fault:
                meter.heard(None, fault.usage, None)
                raise
            usage = usage_of(body) if status == 200 else None
            wish = retry_after(headers)
            meter.heard(status, usage, None if wish is None else min(_MAX_WAIT, wish))
            if status == 200:
                return Completion(content_of(body), usage)
            error = error_of(body)
            parameter = refused_parameter(status, error, body)
            if parameter not in sent or parameter not in REPLACEMENTS:
                break
            self._unsupported.add(parameter)
        message = shown(str(error.get("message") or body))
        if status in _RETRY_STATUSES and error.get("code") != "insufficient_quota":
            raise RetryError(f"HTTP {status} {message}", retry_after(headers))
        where, fix = _fix(status)
        raise InputError(
            f"{self.identity} refuses the request (HTTP {status}): {message or 'no reason given'}{fix}",
            code="endpoint-refused",
            field=where,
        )

    def _post(self, request: Mapping[str, Any]) -> tuple[int, Mapping[str, str], str]:
        """Status, headers and text of the answer; at most `_MAX_BYTES` are read."""
        parts, size, end = [], 0, time.monotonic() + _MAX_PIECES * self.timeout
        try:
            with self._client.stream("POST", f"{self.url.rstrip('/')}/chat/completions", json=request) as response:
                for part in response.iter_bytes():
                    parts.append(part)
                    size += len(part)
                    if size > _MAX_BYTES:
                        raise RetryError(f"an answer of more than {_MAX_BYTES >> 20} MiB")
                    if time.monotonic() > end:
                        raise RetryError(f"no whole answer within {_MAX_PIECES * self.timeout:g} seconds")
                return response.status_code, response.headers, b"".join(parts).decode(errors="replace")
        except httpx2.TimeoutException:
            raise RetryError(f"no answer within {self.timeout:g} seconds") from None
        except httpx2.ConnectError as error:  # also what a certificate is refused with
            raise RetryError(f"no connection: {error}", usage=Usage(0, 0)) from None
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise RetryError(f"{type(error).__name__}: {error}") from None


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
        if (instead := REPLACEMENTS[name]) is not None:
            sent[instead] = request[name]
    return sent


def _fix(status: int) -> tuple[str | None, str]:
    """The field at fault, and what to do."""
    if status in (401, 403):
        return "key_env", "; check the key in the environment variable that holds it"
    if status == 404:
        return "endpoint", "; check the URL (it usually ends in /v1) and the name of the model"
    return ("endpoint.url", "; give the URL that it redirects to") if 300 <= status < 400 else (None, "")
