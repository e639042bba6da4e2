"""The protocol between a server, which takes requests, and an engine, which runs the model.

An engine runs many requests at once, each with its own steering or none, and streams their answers. It may live in the
same process, in another, or behind a URL: everything that is passed is made of plain values, can be pickled, and needs
no torch. Its methods belong to one event loop.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Literal, Protocol

from trimtab.errors import InputError
from trimtab.interventions.facts import ModelFacts
from trimtab.interventions.request_steering import RequestSteering
from trimtab.interventions.scopes import Scope
from trimtab.interventions.scoring import AnswerScore, ScoreRequest
from trimtab.texts import Message

Finish = Literal["stop", "length", "cancelled"]
"""Why an answer ended: the model or a stop text ended it; it reached its maximum length; it was cancelled."""


@dataclass(frozen=True)
class Capabilities:
    """What an engine can do, so that a request it cannot carry out is rejected before it is sent.

    Args:
        model: which model it runs; None if it does not say.
        max_length: tokens of prompt and answer together.
        max_running: how many requests share one batch; 1 if they run one after the other.
        edits: kinds of edits that it can run, as artifacts name them; empty if it only runs unsteered.
        scopes: the scopes it supports.
        conditions: whether it evaluates an attribute's condition on the prompt.
        messages: whether it takes chat turns besides token ids.
        note: what to know about how it runs, such as why requests run one after the other; empty if nothing.
        dtype: in which the model computes, such as `bfloat16`; empty if it does not say.
        scores: whether it scores given answers.

    Example:
        >>> from trimtab.interventions import Capabilities
        >>> Capabilities(model=None, max_length=2048, scopes=frozenset({"all"})).max_running
        1
    """

    model: ModelFacts | None
    max_length: int
    max_running: int = 1
    edits: frozenset[str] = frozenset()
    scopes: frozenset[Scope] = frozenset()
    conditions: bool = False
    messages: bool = False
    note: str = ""
    dtype: str = ""
    scores: bool = False


@dataclass(frozen=True)
class Sampling:
    """How an answer's tokens are chosen, and how many.

    Args:
        max_tokens: the most tokens an answer may have.
        temperature: 0 always takes the likeliest token.
        top_p: sample only from the likeliest tokens that together have this probability.
        top_k: sample only from this many of the likeliest tokens; 0 for all.
        seed: of this request's random draws, whatever else is in its batch; None for any.
        stop: texts that end the answer; they are not part of it.
        top_logprobs: for how many of the likeliest tokens each step returns log-probabilities.
        logit_bias: by token id, added to its logit.
        presence_penalty: taken from the logits of tokens that the answer holds already.
        frequency_penalty: taken from them as often as the answer holds them.
        grammar: what the answer must be, as a grammar of llguidance in JSON; None for any text.

    Raises:
        InputError: a number is out of range.

    Example:
        >>> from trimtab.interventions import Sampling
        >>> Sampling(max_tokens=20, temperature=0).top_p
        1.0
    """

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    top_logprobs: int = 0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    grammar: str | None = None

    def __post_init__(self) -> None:
        for name, fits, wanted in (
            ("max_tokens", self.max_tokens >= 1, "1 or more"),
            ("temperature", self.temperature >= 0 and isfinite(self.temperature), "0 or a finite number above"),
            ("top_p", 0 < self.top_p <= 1, "above 0 and at most 1"),
            ("top_k", self.top_k >= 0, "0 or more"),
            ("top_logprobs", self.top_logprobs >= 0, "0 or more"),
            ("presence_penalty", abs(self.presence_penalty) <= 2, "between -2 and 2"),
            ("frequency_penalty", abs(self.frequency_penalty) <= 2, "between -2 and 2"),
            (
                "logit_bias",
                all(abs(b) <= 100 for b in self.logit_bias.values()),
                "between -100 and 100 for every token",
            ),
        ):
            if not fits:
                raise InputError(f"{name} {getattr(self, name)!r} must be {wanted}", code="out-of-range", field=name)
        if not all(self.stop):
            raise InputError("a stop text is empty; leave it out")


@dataclass(frozen=True)
class Request:
    """A request for one answer; several answers to one prompt take several requests.

    Args:
        id: unique among the engine's unfinished requests.
        prompt: token ids, or chat turns that the engine renders with its template.
        sampling: how the answer's tokens are chosen.
        steering: None leaves the model as it is, bit for bit.
        explain: whether events say of each token what the edits did to it.
        streamed: whether each token is wanted as it comes; if not, events behind the first hold several.

    Raises:
        InputError: no id, or an empty prompt.

    Example:
        >>> from trimtab.interventions import Request, Sampling
        >>> request = Request("a", prompt=(1, 504, 2455), sampling=Sampling(max_tokens=20))
        >>> request.steering is None
        True
    """

    id: str
    prompt: tuple[int, ...] | tuple[Message, ...]
    sampling: Sampling
    steering: RequestSteering | None = None
    explain: bool = False
    streamed: bool = True

    def __post_init__(self) -> None:
        if not self.id:
            raise InputError("a request needs an id")
        if not self.prompt:
            raise InputError(f"request {self.id!r}: the prompt is empty")


@dataclass(frozen=True)
class EditSummary:
    """What the edits did to the tokens that were run for an event; the first event's include the prompt's.

    Means over several events are averages weighted by `selected`.

    Args:
        selected: number of tokens in scope.
        touched: how many of them an edit changed.
        gates: for each attribute with gates, their mean over the selected tokens and the sites, from 0 (shut) to 1.
        edit_size_ratio: mean over the selected tokens of ‖f(h) − h‖ / ‖h‖, for each token at the site where it is
            largest.
        left_alone: attributes that did not act, since the prompt does not meet their condition.
        measured: False where the engine says which tokens were in scope and no more: the other figures are 0 then, and
            mean nothing.

    Example:
        >>> from trimtab.interventions import EditSummary
        >>> EditSummary(selected=12, touched=3, gates={"warm": 0.25}).gates["warm"]
        0.25
    """

    selected: int
    touched: int
    gates: Mapping[str, float] = field(default_factory=dict)
    edit_size_ratio: float = 0.0
    measured: bool = True
    left_alone: tuple[str, ...] = ()


@dataclass(frozen=True)
class TokenEdit:
    """What the edits did to one token.

    Args:
        token: its id.
        selected: whether it was in scope.
        gates: as in `EditSummary`, of this token.
        edit_size_ratio: ‖f(h) − h‖ / ‖h‖ at the site where it is largest; 0 outside the scope.

    Example:
        >>> from trimtab.interventions import TokenEdit
        >>> TokenEdit(504, selected=True, edit_size_ratio=0.1).gates
        {}
    """

    token: int
    selected: bool
    gates: Mapping[str, float] = field(default_factory=dict)
    edit_size_ratio: float = 0.0


@dataclass(frozen=True)
class Event:
    """A piece of an answer.

    Args:
        request: id of the request.
        text: the next part of the answer; the texts of all events joined are the answer. It may lag behind the tokens:
            an incomplete character waits for its remaining bytes, and a possible stop text for the tokens that decide.
        tokens: ids generated since the previous event.
        logprobs: log-probability of each of these tokens under the steered model, in nats.
        top_logprobs: for each of these tokens, log-probabilities of the likeliest tokens by id; empty if not requested.
        edits: what the edits did; None without a steering.
        token_edits: what they did to each token that was run for the event, where the request asks to be explained.
        prompt_tokens: in the first event, the number of tokens before the answer, template and prompt prefix included.
        finish: in the last event only, why the answer ended.

    Example:
        >>> from trimtab.interventions import Event
        >>> events = [Event("a", "Good ", (11,)), Event("a", "day", (12,), finish="stop")]
        >>> "".join(event.text for event in events), events[-1].finish
        ('Good day', 'stop')
    """

    request: str
    text: str = ""
    tokens: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    top_logprobs: tuple[Mapping[int, float], ...] = ()
    edits: EditSummary | None = None
    token_edits: tuple[TokenEdit, ...] = ()
    prompt_tokens: int | None = None
    finish: Finish | None = None


class Engine(Protocol):
    """Runs requests, many at once.

    Guarantees:

    - Requests are independent: sharing a batch changes no answer (except for float rounding across batch shapes), and a
      reader that is slow or gone delays nobody else; events it has not read yet are kept for it.
    - A request keeps the artifact it began with, which is fixed by its id at `submit`.
    - Its events come in order; only the last one has `finish`.
    - Scoring changes no answer in flight, and takes at most about half of the time while there are any.

    Example:
        >>> import asyncio
        >>> from trimtab.interventions import Event, Request, Sampling
        >>> class Parrot:  # an engine needs `capabilities`, `submit`, `score`, `cancel` and `close`
        ...     async def submit(self, request):
        ...         yield Event(request.id, "Hello", finish="stop")
        >>> async def answer(engine, request):
        ...     return "".join([event.text async for event in engine.submit(request)])
        >>> asyncio.run(answer(Parrot(), Request("a", (1,), Sampling(max_tokens=5))))
        'Hello'
    """

    async def capabilities(self) -> Capabilities:
        """What it can do; also serves as a health check.

        Raises:
            TrimtabError: it does not answer.
        """
        ...

    def submit(self, request: Request) -> AsyncIterator[Event]:
        """Accept a request immediately, and return the stream of its events.

        Raises:
            InputError: at the first step of the stream, before any event: an id already in use, an unknown artifact or
                attribute, a prompt that is too long, or something that `capabilities` rules out.
            TrimtabError: at any step: the engine failed, and the request has ended.
        """
        ...

    async def score(self, request: ScoreRequest) -> tuple[AnswerScore, ...]:
        """Score given answers, a few at a time between the passes that answer requests.

        Returns:
            One for each text, in their order.

        Raises:
            InputError: the engine does not score (see `capabilities`); an unknown artifact or attribute; a text that is
                too long or has nothing to score.
            TrimtabError: the engine failed.
        """
        ...

    async def cancel(self, id: str) -> None:
        """End a request soon and free its resources; its stream ends with `finish="cancelled"`.

        Does nothing if it has already ended or is unknown. Call it also when a stream is no longer read.
        """
        ...

    async def close(self) -> None:
        """Cancel running requests, free the model, and accept no more; a second call does nothing."""
        ...
