"""The bodies of lists: models, steerings, tokens."""

from typing import Annotated, Any, Literal

from pydantic import Field

from trimtab.interventions import Scope
from trimtab.serving.protocol.answers import Answered, ErrorBody
from trimtab.serving.protocol.requests import Asked, Name, Text


class ModelCard(Answered):
    """A name that requests may give as their model.

    Args:
        id: the name.
        created: when the server started.
        owned_by: whoever serves it.
        max_running: requests that share a batch; 1 if they run one after the other.
        max_model_len: tokens of prompt and answer together.
        messages: whether it takes chats; a model without a chat template only continues texts.
        note: what to know about how it runs, such as why they do; null if nothing.
    """

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "trimtab"
    max_running: int
    max_model_len: int
    messages: bool
    note: str | None


class ModelList(Answered):
    """The answer of `GET /v1/models`."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


class Measured(Answered):
    """A figure of a check, with its interval.

    Args:
        value: None if it was not measured.
        low, high: ends of the interval.
        n: how many examples or documents stand behind it.
        unit: such as `nats/token`; `share` is from 0 to 1.
        reason: why there is no value.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int | None
    unit: str | None
    reason: str | None


class AttributeCard(Answered):
    """An attribute of a steering, and what its check came to; the check's fields are empty without one.

    Args:
        name: of the attribute.
        strength: where a request says none.
        largest_strength: of a request, on either side of 0.
        decision: go, caution, no-go or inconclusive.
        sentence: why.
        reasons: one for each requirement, and what would settle it.
        reservations: remarks that weigh on it.
        checked_strength, checked_scope, checked_chat_template: what the check used.
        effect: how far steering moved the check's examples the intended way, on average.
        desired, undesired: the effect's two sides, Δ+ and Δ−: how likely these answers became, in log-probability.
        anti_steerable: share of the examples that it moved the wrong way.
        kl: divergence from the unsteered model on text that has nothing to do with the attribute: the side effect.
    """

    name: str
    strength: float
    largest_strength: float
    decision: str | None
    sentence: str | None
    reasons: list[str]
    reservations: list[str]
    checked_strength: float | None
    checked_scope: Scope | None
    checked_chat_template: bool | None
    effect: Measured | None
    desired: Measured | None
    undesired: Measured | None
    anti_steerable: Measured | None
    kl: Measured | None


class SteeringCard(Answered):
    """A steering that is loaded.

    Args:
        name: for requests.
        id: of the artifact.
        enabled: whether requests may name it.
        method: how it was made.
        model: that it was made for, if known.
        scope: where a request says none.
        attributes: in the order of their columns.
        presets: named strengths.
        card: its description for people, in Markdown: text from whoever made it.
    """

    object: Literal["steering"] = "steering"
    name: str
    id: str
    enabled: bool
    method: str
    model: str | None
    scope: Scope
    attributes: list[AttributeCard]
    presets: dict[str, dict[str, float]]
    card: str


class SteeringList(Answered):
    """The answer of `GET /v1/steerings`; `faults` says why folders were not loaded."""

    object: Literal["list"] = "list"
    data: list[SteeringCard]
    faults: dict[str, str]


class LoadRequest(Asked):
    """The body of `POST /v1/steerings`: the name of a folder among the steerings."""

    name: Name


class InUse(ErrorBody):
    """The body of an error with status 409: with the release in the way."""

    release: dict[str, Any] | None


class TokenizeRequest(Asked):
    """The body of `POST /tokenize`."""

    model: Name | None = None
    prompt: Annotated[Text, Field(min_length=1)]


class Tokens(Answered):
    """The answer of `POST /tokenize`."""

    count: int
    max_model_len: int
    tokens: list[int]


class State(Answered):
    """The answer of `/health`."""

    status: Literal["ok"] = "ok"


class Readiness(State):
    """The answer of `/ready`.

    Args:
        releases: on a server with a store: up to date; the store is lost, and the last state still good; lost for too
            long, and nobody is steered by a release; the emergency off.
        notes: what somebody should look at, without names; the log and `/v1/releases` say more.
    """

    releases: Literal["live", "store-lost", "unsteered", "off"] | None = None
    notes: list[str] | None = None
