"""One server that another one stands in front of: what it offers, whether it is there, and asking it."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2

from trimtab.clients.replies import error_of, shown
from trimtab.errors import InputError, TrimtabError

MAX_BYTES: Final = 8 << 20
"""Of a list, of an error, or of one event of a stream."""
_REFUSED: Final = frozenset({400, 404, 405, 413, 415, 422})


class UpstreamError(TrimtabError):
    """A server did not answer, or said what is no answer; another one may do better.

    Args:
        message: what went wrong.
        busy: whether it asked to be left alone.
    """

    def __init__(self, message: str, *, busy: bool = False) -> None:
        super().__init__(message, code="busy" if busy else "endpoint-failed")


@dataclass(frozen=True)
class Offered:
    """What a server offers.

    Args:
        model: the name by which it answers unsteered.
        max_length: tokens of prompt and answer together.
        max_running: requests that share a batch; 1 if it does not say.
        messages: whether it takes chats.
        steerings: by artifact's id, the name by which requests ask for it there.
    """

    model: str
    max_length: int
    max_running: int
    messages: bool
    steerings: Mapping[str, str]


@dataclass(eq=False)
class UpstreamServer:
    """A server that speaks OpenAI's protocol with token ids: vLLM, with the plug-in or without, or `trimtab serve`.

    Args:
        url: its base, such as `http://host:8000/v1`.
        client: over which it is asked; with the key, and the time that it has for a connection and for each piece.

    Attributes:
        offered: what it said last; None until it has, and while it is not there.
        fault: why it is not there; empty while it is.
        running: requests that it is answering for us.
    """

    url: str
    client: httpx2.AsyncClient
    offered: Offered | None = None
    fault: str = ""
    running: int = field(default=0, init=False)

    async def look(self) -> Offered:
        """Ask what it offers.

        Raises:
            TrimtabError: it does not answer, or says what is no such list.
        """
        try:
            self.offered = await self._looked()
        except TrimtabError as error:
            self.lost(str(error))
            raise
        self.fault = ""
        return self.offered

    def lost(self, fault: str) -> None:
        """It is not there, until it is looked for again."""
        self.offered, self.fault = None, fault

    @asynccontextmanager
    async def posted(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[AsyncIterator[bytes]]:
        """The events of a streamed answer, each without the blank line behind it.

        Raises:
            InputError: the server refuses the request; with its field.
            UpstreamError: it did not answer, broke off, or is busy.
        """
        self.running += 1
        try:
            async with self.client.stream("POST", f"{self.url}{path}", json=body) as response:
                await self._check(response)
                kind = response.headers.get("content-type", "")
                if not kind.startswith("text/event-stream"):
                    raise UpstreamError(f"{self.url} answered with {shown(kind) or 'no type'}, not with events")
                yield self._events(response)
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise UpstreamError(f"{self.url}: {_named(error)}") from error
        finally:
            self.running -= 1

    async def _check(self, response: httpx2.Response) -> None:
        status = response.status_code
        if status == 200:
            return
        text = (await _limited(response, self.url)).decode(errors="replace")
        error = error_of(text)
        message = shown(str(error.get("message") or text)) or "no reason given"
        if status in _REFUSED:
            param = error.get("param")
            raise InputError(message, code="unsupported", field=param if isinstance(param, str) else None)
        raise UpstreamError(f"{self.url} answered HTTP {status}: {message}", busy=status in (429, 503))

    async def _events(self, response: httpx2.Response) -> AsyncIterator[bytes]:
        held = b""
        async for piece in response.aiter_bytes():
            *events, held = (held + piece.replace(b"\r\n", b"\n")).split(b"\n\n")
            for event in events:
                yield event
            if len(held) > MAX_BYTES:
                raise UpstreamError(f"{self.url} sent an event of more than {MAX_BYTES >> 20} MiB")
        if held.strip():
            yield held

    async def _looked(self) -> Offered:
        models, listed = await asyncio.gather(self._list("/models"), self._list("/steerings", missing=[]))
        for card in models:
            length = card.get("max_model_len")
            if isinstance(card.get("id"), str) and type(length) is int and length > 0:
                named = ((one.get("id"), one.get("name")) for one in listed if one.get("enabled", True))
                steerings = {id: name for id, name in named if isinstance(id, str) and isinstance(name, str)}
                running, messages = card.get("max_running"), card.get("messages", True)
                return Offered(card["id"], length, running if type(running) is int else 1, bool(messages), steerings)
        raise UpstreamError(
            f"{self.url}/models names no model with its max_model_len, as vLLM and trimtab serve do; is it another "
            "kind of server?"
        )

    async def _list(self, path: str, missing: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
        """The entries of a list; `missing` where the server has no such path."""
        try:
            async with self.client.stream("GET", f"{self.url}{path}") as response:
                body = await _limited(response, self.url)
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise UpstreamError(f"{self.url}: {_named(error)}") from error
        if response.status_code == 404 and missing is not None:
            return missing
        if response.status_code in (401, 403):
            raise UpstreamError(f"{self.url} asks for a key, or for another one (HTTP {response.status_code})")
        try:
            data = json.loads(body)["data"] if response.status_code == 200 else None
        except (ValueError, LookupError, TypeError, RecursionError):
            data = None
        if not isinstance(data, list) or not all(isinstance(one, dict) for one in data):
            said = shown(body.decode(errors="replace"))[:80]
            raise UpstreamError(f"{self.url}{path} answered HTTP {response.status_code} with no list: {said}")
        return data


async def _limited(response: httpx2.Response, url: str) -> bytes:
    body = b""
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > MAX_BYTES:
            raise UpstreamError(f"{url} answered with more than {MAX_BYTES >> 20} MiB")
    return body


def _named(error: Exception) -> str:
    """What went wrong on the way, in words: some of these errors have none."""
    if isinstance(error, httpx2.ConnectError):
        return f"no connection: {error}"
    if isinstance(error, httpx2.TimeoutException):
        return "no answer in time"
    return f"the connection broke off ({type(error).__name__})"
