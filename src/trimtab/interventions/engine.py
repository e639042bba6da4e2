"""What carries out requests: the protocol between whoever answers people and whatever runs the model.

An engine runs many requests at once, each with its own steering or none, and streams what comes of them. It may live in
the same process, in another, or behind a URL: everything that passes is made of plain values, can be pickled, and needs
no torch. Its methods belong to one event loop.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Literal, Protocol

from trimtab.errors import InputError
from trimtab.interventions.facts import ModelFacts
from trimtab.interventions.scopes import Scope, checked_scopes
from trimtab.texts import Message

Finish = Literal["stop", "length", "cancelled"]
"""Why an answer ended: the model or a stop text ended it; it is as long as it may be; somebody cancelled it."""


@dataclass(frozen=True)
class Capabilities:
    """What an engine can do, so that what it cannot is refused by name before it is asked.

    Args:
        model: which model it runs; None where it does not say.
        max_length: tokens of prompt and answer together.
        max_running: requests that share one batch; 1 where they run one after the other.
        edits: kinds of edits that it carries out, as artifacts name them; empty where it only runs unsteered.
        scopes: those that it knows.
        conditions: whether it decides an attribute's condition on the prompt.
        messages: whether it takes chat turns, besides token ids.
    """

    model: ModelFacts | None
    max_length: int
    max_running: int = 1
    edits: frozenset[str] = frozenset()
    scopes: frozenset[Scope] = frozenset()
    conditions: bool = False
    messages: bool = False


@dataclass(frozen=True)
class Sampling:
    """How an answer's tokens are chosen, and how many.

    Args:
        max_tokens: it ends after so many.
        temperature: 0 takes the likeliest token.
        top_p: only the likeliest tokens that have this probability together.
        top_k: only so many of the likeliest; 0 for all.
        seed: of the draws of this request alone, whatever shares its batch; None for any.
        stop: texts that end the answer and are no part of it.
        top_logprobs: how many of the likeliest tokens' log-probabilities are told at each step.

    Raises:
        InputError: a number out of its range.
    """

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    top_logprobs: int = 0

    def __post_init__(self) -> None:
        for name, fits, wanted in (
            ("max_tokens", self.max_tokens >= 1, "1 or more"),
            ("temperature", self.temperature >= 0 and isfinite(self.temperature), "0 or a finite number above"),
            ("top_p", 0 < self.top_p <= 1, "above 0 and at most 1"),
            ("top_k", self.top_k >= 0, "0 or more"),
            ("top_logprobs", self.top_logprobs >= 0, "0 or more"),
        ):
            if not fits:
                raise InputError(f"{name} {getattr(self, name)!r} must be {wanted}")
        if not all(self.stop):
            raise InputError("a stop text is empty; leave it out")


@dataclass(frozen=True)
class RequestSteering:
    """The steering of one request, resolved: no name, preset or default is left to look up.

    What else it does, its conditions and the text it puts in front of prompts, is in the artifact.

    Args:
        artifact: id of the steering, by which the engine finds it.
        strength: of every attribute; 0 is off.
        scope: which tokens.

    Raises:
        InputError: no id, an unknown scope, a strength that is not a finite number.
    """

    artifact: str
    strength: Mapping[str, float]
    scope: Scope = "all"

    def __post_init__(self) -> None:
        if not self.artifact:
            raise InputError("a request's steering needs the id of an artifact")
        if len(checked_scopes(self.scope)) != 1 or not isinstance(self.scope, str):
            raise InputError(f"a request has one scope, not {self.scope!r}")
        for name, value in self.strength.items():
            if not isfinite(value):
                raise InputError(
                    f"strength {value!r} of {name!r} is not a finite number",
                    code="not-finite",
                    field=f"strength.{name}",
                )


@dataclass(frozen=True)
class Request:
    """One answer that is wanted; several answers to a prompt are several requests.

    Args:
        id: unique among those that the engine has not ended.
        prompt: token ids, or chat turns for the engine to put through its template.
        sampling: how the answer is chosen.
        steering: None leaves the model as it is, bit for bit.

    Raises:
        InputError: no id, or an empty prompt.
    """

    id: str
    prompt: tuple[int, ...] | tuple[Message, ...]
    sampling: Sampling
    steering: RequestSteering | None = None

    def __post_init__(self) -> None:
        if not self.id:
            raise InputError("a request needs an id")
        if not self.prompt:
            raise InputError(f"request {self.id!r}: the prompt is empty")


@dataclass(frozen=True)
class EditSummary:
    """What the edits did to the tokens that were run for an event: in the first, those of the prompt too.

    Means can be put together over events, by `selected`.

    Args:
        selected: tokens in scope.
        touched: those of them that an edit changed.
        gates: by attribute that has gates, the mean over the selected tokens and the sites, 0 (shut) to 1.
        edit_size_ratio: mean over the selected tokens of ‖f(h) − h‖ / ‖h‖, of each token at the site where it is
            largest.
    """

    selected: int
    touched: int
    gates: Mapping[str, float] = field(default_factory=dict)
    edit_size_ratio: float = 0.0


@dataclass(frozen=True)
class Event:
    """A piece of an answer.

    Args:
        request: id of the request.
        text: what the answer goes on with. The texts of all events, one after the other, are the answer. It may lag
            behind the tokens: half a letter waits for its other half, and what may become a stop text for what follows.
        tokens: ids that came since the event before.
        logprobs: log-probability of each of these under the model as it is steered, in nats.
        top_logprobs: for each of these, log-probabilities of the likeliest tokens by id; empty if none were asked for.
        edits: what the edits did; None without a steering.
        prompt_tokens: in the first event, how many stand before the answer, template and text in front included.
        finish: in the last event and no other, why the answer ended.
    """

    request: str
    text: str = ""
    tokens: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    top_logprobs: tuple[Mapping[int, float], ...] = ()
    edits: EditSummary | None = None
    prompt_tokens: int | None = None
    finish: Finish | None = None


class Engine(Protocol):
    """Runs requests, many at once.

    What holds for each of them:

    - Requests do not touch each other: who shares a batch changes no answer (but for floats across batch shapes), and
      a reader that is slow or gone holds up nobody else; what it has not taken yet is kept for it.
    - A request keeps what it began with: the artifact is fixed by its id at `submit`.
    - Its events come in order; the last one, and it alone, has `finish`.
    """

    async def capabilities(self) -> Capabilities:
        """What it can do; also the question whether it is there.

        Raises:
            TrimtabError: it does not answer.
        """
        ...

    def submit(self, request: Request) -> AsyncIterator[Event]:
        """Take a request on at once, and give the stream of its events.

        Raises:
            InputError: at the first step of the stream, before any event: an id that is running, an artifact that
                is not there, attributes that it does not have, a prompt too long, something `capabilities` denies.
            TrimtabError: at any step: the engine failed; the request has ended.
        """
        ...

    async def cancel(self, id: str) -> None:
        """End a request soon and free what it holds; its stream ends with `finish="cancelled"`.

        Nothing happens if it has ended already or never was. To be called too when nobody reads the stream any more.
        """
        ...

    async def close(self) -> None:
        """Cancel what runs, free the model, and take no more requests; a second call does nothing."""
        ...
