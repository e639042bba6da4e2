"""From an engine's request to the body for an upstream server, and from what it says back to events."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from trimtab.clients.replies import shown
from trimtab.errors import InputError, TrimtabError
from trimtab.interventions import EditSummary, Event, Finish, Request, TokenEdit
from trimtab.serving.engines.upstream_server import UpstreamError
from trimtab.texts import Message

CHAT, COMPLETION = "/chat/completions", "/completions"
_FINISHED: Final[Mapping[str, Finish]] = {"stop": "stop", "length": "length", "tool_calls": "stop"}
_BY_ID: Final = "token_id:"


def path_of(request: Request) -> str:
    """The route that answers a request."""
    return CHAT if isinstance(request.prompt[0], Message) else COMPLETION


def body_of(request: Request, model: str, steering: str | None, logprobs: bool = True) -> dict[str, Any]:
    """The body for a request.

    Args:
        request: for the engine.
        model: the server's name for it.
        steering: the server's name for the request's steering.
        logprobs: whether log-probabilities are asked for.

    Raises:
        InputError: it asks for what cannot be passed on.
    """
    drawn = request.sampling
    body: dict[str, Any] = {
        "model": model,
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_token_ids": True,
        "max_tokens": drawn.max_tokens,
        "temperature": drawn.temperature,
        "top_p": drawn.top_p,
        "presence_penalty": drawn.presence_penalty,
        "frequency_penalty": drawn.frequency_penalty,
    }
    if drawn.top_k:
        body["top_k"] = drawn.top_k
    if drawn.seed is not None:
        body["seed"] = drawn.seed
    if drawn.stop:
        body["stop"] = list(drawn.stop)
    if drawn.grammar is not None:
        body |= _held(drawn.grammar)
    if drawn.logit_bias:
        body["logit_bias"] = {str(token): bias for token, bias in drawn.logit_bias.items()}
    chat = path_of(request) == CHAT
    if logprobs:
        body["return_tokens_as_token_ids"] = True
        body |= {"logprobs": True, "top_logprobs": drawn.top_logprobs} if chat else {"logprobs": drawn.top_logprobs}
    if chat:
        turns = [turn for turn in request.prompt if isinstance(turn, Message)]
        body["messages"] = [{"role": turn.role, "content": turn.content} for turn in turns]
    else:
        body["prompt"] = list(request.prompt)
    if request.steering is not None:
        asked = {"name": steering, "strength": dict(request.steering.strength), "scope": request.steering.scope}
        body["steering"] = {**asked, "explain": True} if request.explain else asked
    return body


def _held(grammar: str) -> dict[str, Any]:
    """The field by which vLLM and `trimtab serve` hold an answer to a grammar, in Lark.

    Raises:
        InputError: it is neither a schema nor in Lark.
    """
    try:
        (one,) = json.loads(grammar)["grammars"]
        lark = f"start: %json {json.dumps(one['json_schema'])}" if "json_schema" in one else one["lark_grammar"]
        return {"structured_outputs": {"grammar": lark}}
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(
            "this grammar cannot be passed on to an upstream server: it must be one JSON schema, or one in Lark",
            code="unsupported",
            field="grammar",
        ) from error


@dataclass
class Reading:
    """Reads the events of one answer.

    Args:
        request: that is answered.
        server: for messages.
    """

    request: Request
    server: str
    _finish: Finish | None = field(default=None, init=False)
    _applied: Mapping[str, Any] | None = field(default=None, init=False)
    _prompt_tokens: int | None = field(default=None, init=False)

    def event(self, data: bytes) -> Event | None:
        """What a server's event says; None where that comes with the end.

        Raises:
            InputError: the server refuses the request after all.
            UpstreamError: it is no event of an answer, or tells of a failure.
        """
        said = self._json(data)
        if said is None:
            return None
        applied = said.get("trimtab")
        explained = _explained(applied)
        if isinstance(applied, dict) and "artifact" in applied:
            self._applied = applied
        usage = said.get("usage")
        if isinstance(usage, dict) and type(usage.get("prompt_tokens")) is int:
            self._prompt_tokens = usage["prompt_tokens"]
        choices = said.get("choices")
        if not choices:
            return Event(self.request.id, token_edits=explained) if explained else None
        try:
            text, tokens, logprobs, tops, finish = _choice(choices[0])
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise UpstreamError(
                f"{self.server} sent an event without text and token ids: {shown(data.decode(errors='replace'))[:120]}"
            ) from error
        if finish is not None:
            if finish not in _FINISHED:
                raise UpstreamError(f"{self.server} ended the answer: {shown(finish)}")
            self._finish = _FINISHED[finish]
        if not (text or tokens or explained):
            return None
        return Event(self.request.id, text, tokens, logprobs, tops, token_edits=explained)

    def end(self) -> Event:
        """The last event, once the server has said everything.

        Raises:
            UpstreamError: it has not.
            TrimtabError: it did not steer as it was asked to.
        """
        if self._finish is None:
            raise UpstreamError(f"{self.server} broke the answer off")
        edits = None if self.request.steering is None else self._edits()
        return Event(self.request.id, edits=edits, prompt_tokens=self._prompt_tokens, finish=self._finish)

    def _edits(self) -> EditSummary:
        asked, said = self.request.steering, self._applied or {}
        assert asked is not None
        wanted = {"artifact": asked.artifact, "strength": dict(asked.strength), "scope": asked.scope}
        wrong = [name for name, value in wanted.items() if said.get(name) != value]
        if wrong:
            raise TrimtabError(
                f"{self.server} did not steer as it was asked to: it says {said.get(wrong[0])!r} of {wrong[0]}, not "
                f"{wanted[wrong[0]]!r}",
                code="inert-steering",
                field="steering",
            )
        selected, touched = said.get("selected") or 0, said.get("touched")
        if touched is None:
            return EditSummary(selected, 0, measured=False)
        left_alone = tuple(said.get("left_alone") or ())
        ratio = said.get("edit_size_ratio") or 0.0
        return EditSummary(selected, touched, dict(said.get("gates") or {}), ratio, left_alone=left_alone)

    def _json(self, event: bytes) -> dict[str, Any] | None:
        data = b"\n".join(line[5:].strip() for line in event.split(b"\n") if line.startswith(b"data:"))
        if not data or data == b"[DONE]":
            return None
        try:
            said = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise UpstreamError(f"{self.server} sent an event that is no JSON: {_start(data)}") from error
        if not isinstance(said, dict):
            raise UpstreamError(f"{self.server} sent an event that is no object: {_start(data)}")
        if said.get("error") is not None:
            told = said["error"].get("message") if isinstance(said["error"], dict) else said["error"]
            raise UpstreamError(f"{self.server} failed: {shown(str(told))}")
        return said


def _choice(
    choice: Mapping[str, Any],
) -> tuple[str, tuple[int, ...], tuple[float, ...], tuple[dict[int, float], ...], str | None]:
    """Text, token ids, log-probabilities, the likeliest tokens, and why the answer ended."""
    text = (choice["delta"].get("content") if "delta" in choice else choice["text"]) or ""
    tokens = tuple(map(_whole, choice.get("token_ids") or ()))
    if text and not isinstance(text, str):
        raise TypeError("the text is none")
    logprobs, tops = _logprobs(choice.get("logprobs") or {})
    if logprobs and len(logprobs) != len(tokens):
        raise ValueError("as many log-probabilities as tokens")
    finish = choice.get("finish_reason")
    return text, tokens, logprobs, tops, None if finish is None else str(finish)


def _logprobs(said: Mapping[str, Any]) -> tuple[tuple[float, ...], tuple[dict[int, float], ...]]:
    if "content" in said:  # a chat's
        entries = said["content"] or ()
        tops = tuple({_id(top["token"]): float(top["logprob"]) for top in one["top_logprobs"] or ()} for one in entries)
        return tuple(float(one["logprob"]) for one in entries), tops
    likeliest = said.get("top_logprobs") or [{} for _ in said.get("token_logprobs") or ()]
    tops = tuple({_id(token): float(value) for token, value in (one or {}).items()} for one in likeliest)
    return tuple(map(float, said.get("token_logprobs") or ())), tops


def _explained(applied: Any) -> tuple[TokenEdit, ...]:
    if not isinstance(applied, dict) or not applied.get("explained"):
        return ()
    return tuple(
        TokenEdit(one["token"], one["selected"], dict(one["gates"]), one["edit_size_ratio"])
        for choice in applied["explained"]
        for one in choice["tokens"]
    )


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError("a token id is a whole number")
    return value


def _id(name: str) -> int:
    """The id in `token_id:7`, as `return_tokens_as_token_ids` has tokens named."""
    return int(name.removeprefix(_BY_ID))


def _start(data: bytes) -> str:
    return shown(data.decode(errors="replace"))[:80]
