"""The field `steering` over vLLM's HTTP: read from requests, and what was applied written into answers.

A layer of ASGI around vLLM's routes. A request that says nothing of steering passes as it is, byte by byte, and so does
its answer.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from trimtab.errors import InputError, TrimtabError
from trimtab.integrations.vllm.offer import FIELD, Offer, asked_steering, selected_tokens
from trimtab.serving.cards import steering_card
from trimtab.serving.errors import http_error
from trimtab.serving.protocol.listing import SteeringList
from trimtab.serving.resolution import Resolved

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

ANSWERED: Final = ("/v1/chat/completions", "/v1/completions")
"""The routes that read the field `steering`."""
_CHAT: Final = ANSWERED[0]


class SteeredAnswers:
    """The layer.

    Args:
        app: what is inside of it.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._state: Any = None

    def serve(self, state: Any) -> None:
        """Say where `trimtab`, the offer and what is known of the seam, will stand once the server has started."""
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        found = getattr(self._state, "trimtab", None) if scope["type"] == "http" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        offer, seam = found
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if scope["method"] == "GET" and path == "/v1/steerings":
            await _answer(send, 200, _listed(offer))
        elif scope["method"] == "GET" and path == "/v1/models":
            await self._app(scope, receive, Rewriting(send, lambda body: _with_models(body, offer, seam), dict))
        elif scope["method"] == "POST" and _is_json(scope):
            await self._posted(offer, path, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _posted(self, offer: Offer, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _body(receive)
        if body is None:  # the client has gone
            return
        try:
            steered = read(offer, path, body)
        except TrimtabError as error:
            told = http_error(error, "")
            await _answer(send, told.status, told.body)
            return
        if steered is None:
            await self._app(scope, _again(body, receive), send)
            return
        length = str(len(steered.body)).encode()
        headers = [(name, length if name == b"content-length" else value) for name, value in scope["headers"]]
        await self._app(
            {**scope, "headers": headers}, _again(steered.body, receive), Rewriting(send, steered.whole, steered.event)
        )


@dataclass(frozen=True)
class Steered:
    """A request that asks for a steering.

    Args:
        body: for vLLM.
        resolved: what it asks for.
        per_prompt: answers to each prompt.
        prompts: how many there are.
    """

    body: bytes
    resolved: Resolved
    per_prompt: int
    prompts: int

    def whole(self, said: dict[str, Any]) -> dict[str, Any]:
        """An answer with the field `trimtab`."""
        return {**said, "trimtab": self._applied(said.get("usage"))}

    def event(self, said: dict[str, Any]) -> dict[str, Any]:
        """An event of a stream: with the field, if it ends a choice or counts the tokens of all."""
        choices = said.get("choices")
        if not choices:
            return self.whole(said) if said.get("usage") else said
        ends = any(choice.get("finish_reason") is not None for choice in choices)
        return {**said, "trimtab": self._applied(None)} if ends else said

    def _applied(self, usage: Mapping[str, Any] | None) -> dict[str, Any]:
        steering, selected = self.resolved.steering, None
        if usage is not None:
            counts = (self.prompts, usage["prompt_tokens"], self.per_prompt, usage.get("completion_tokens") or 0)
            selected = selected_tokens(steering.scope, *counts) if any(steering.strength.values()) else 0
        return {
            "steering": self.resolved.name,
            "artifact": steering.artifact,
            "strength": dict(steering.strength),
            "scope": steering.scope,
            "decisions": dict(self.resolved.decisions),
            "departures": list(self.resolved.departures),
            "selected": selected,
        }


def read(offer: Offer, path: str, body: bytes) -> Steered | None:
    """What a posted body asks of steering; None where it says nothing of it.

    Raises:
        InputError: it asks for what there is not, on a route that does not steer, or beside what cannot be steered.
    """
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        return None  # vLLM says what is wrong with it
    if not isinstance(asked, dict):
        return None
    model, at, name = asked["model"].partition("@") if isinstance(asked.get("model"), str) else (None, "", "")
    named = name if at and name in offer.registry.loaded else None
    if asked.get(FIELD) is None and named is None:
        return None
    if path not in ANSWERED:
        raise InputError(
            f"{FIELD} is read by {' and '.join(ANSWERED)} alone; leave it out here", code="unsupported", field=FIELD
        )
    extra = asked.get("vllm_xargs") or {}
    for other, there in (
        ("use_beam_search", bool(asked.get("use_beam_search"))),
        ("vllm_xargs", not isinstance(extra, dict) or FIELD in extra),
    ):
        if there:
            raise InputError(
                f"{other} does not go together with the field {FIELD}; leave one of them out",
                code="conflicting-arguments",
                field=other,
            )
    given = asked_steering(asked.get(FIELD) or {}).model_dump(exclude_unset=True)
    if named is not None:
        if given.get("name") not in (None, named):
            raise InputError(
                f"the model names the steering {named!r} and the field {FIELD} {given['name']!r}; name one",
                code="conflicting-arguments",
                field="steering.name",
            )
        given["name"], asked["model"] = named, model
    resolved = offer.resolved(given, chat=path == _CHAT)
    spec = {"name": resolved.name, "strength": dict(resolved.steering.strength), "scope": resolved.steering.scope}
    asked.pop(FIELD, None)
    asked["vllm_xargs"] = {**extra, FIELD: json.dumps(spec)}
    n, prompt = asked.get("n"), asked.get("prompt")
    prompts = len(prompt) if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int) else 1
    return Steered(json.dumps(asked).encode(), resolved, n if isinstance(n, int) else 1, prompts)


@dataclass
class Rewriting:
    """Passes an answer on, with its JSON body, or the JSON of each of its events, rewritten.

    Args:
        send: to the client.
        whole: makes the body that is sent of the one that vLLM says.
        event: the same of each event of a stream.
    """

    send: Send
    whole: Callable[[dict[str, Any]], dict[str, Any]]
    event: Callable[[dict[str, Any]], dict[str, Any]]
    _start: dict[str, Any] | None = field(default=None, init=False)
    _kind: str = field(default="", init=False)
    _held: bytes = field(default=b"", init=False)

    async def __call__(self, message: dict[str, Any]) -> None:
        """A message of ASGI."""
        if message["type"] == "http.response.start":
            kinds = [value for name, value in message["headers"] if name.lower() == b"content-type"]
            kind = kinds[0].decode("latin-1").partition(";")[0].strip() if kinds else ""
            self._kind = kind if message["status"] == 200 else ""
            if self._kind == "application/json":
                self._start = message  # its length is not known yet
                return
        elif message["type"] == "http.response.body":
            if self._kind == "application/json":
                await self._whole(message)
                return
            if self._kind == "text/event-stream":
                message = {**message, "body": self._events(message.get("body", b""), message.get("more_body", False))}
        await self.send(message)

    async def _whole(self, message: dict[str, Any]) -> None:
        self._held += message.get("body", b"")
        if message.get("more_body", False):
            return
        assert self._start is not None
        body = _dumped(self.whole(json.loads(self._held)))
        others = [(name, value) for name, value in self._start["headers"] if name.lower() != b"content-length"]
        headers = [*others, (b"content-length", str(len(body)).encode())]
        await self.send({**self._start, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    def _events(self, piece: bytes, more: bool) -> bytes:
        """The events that are complete by now."""
        *events, self._held = (self._held + piece).split(b"\n\n")
        if not more and self._held:
            events, self._held = [*events, self._held], b""
        return b"".join(self._event(event) + b"\n\n" for event in events)

    def _event(self, event: bytes) -> bytes:
        data = event.removeprefix(b"data: ")
        if data == event or not data.startswith(b"{"):  # a comment, or the last one's [DONE]
            return event
        said = json.loads(data)
        new = self.event(said)
        return event if new is said else b"data: " + _dumped(new)


def _listed(offer: Offer) -> dict[str, Any]:
    cards = [steering_card(one, enabled=True) for one in offer.steerings.values()]
    return SteeringList(data=cards, faults=dict(offer.faults)).model_dump(mode="json")


def _with_models(body: dict[str, Any], offer: Offer, seam: Mapping[str, Any]) -> dict[str, Any]:
    """vLLM's list of models, each with every steering beside it, and what carries the seam."""
    models: list[dict[str, Any]] = body.get("data", [])
    steered = [{**one, "id": f"{one['id']}@{name}"} for one in models for name in offer.steerings]
    return {**body, "data": [*models, *steered], "trimtab": dict(seam)}


def _is_json(scope: Scope) -> bool:
    kinds = [value for name, value in scope["headers"] if name == b"content-type"]
    return any(b"json" in kind.lower() for kind in kinds)


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None if the client went before its end."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


def _again(body: bytes, receive: Receive) -> Receive:
    """A body that is handed on once, and then whatever the client does."""
    handed = False

    async def received() -> dict[str, Any]:
        nonlocal handed
        if handed:
            return await receive()
        handed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return received


async def _answer(send: Send, status: int, body: dict[str, Any]) -> None:
    content = _dumped(body)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def _dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
