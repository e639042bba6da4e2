"""The bodies of lists: models, steerings, tokens."""

from typing import Annotated, Literal

from pydantic import Field

from trimtab.interventions import Scope
from trimtab.serving.protocol.answers import Answered
from trimtab.serving.protocol.requests import Asked, Name, Text


class ModelCard(Answered):
    """A name that requests may give as their model.

    Args:
        id: the name.
        created: when the server started.
        owned_by: whoever serves it.
        max_running: requests that share a batch; 1 if they run one after the other.
        note: what to know about how it runs, such as why they do; null if nothing.
    """

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "trimtab"
    max_running: int
    note: str | None


class ModelList(Answered):
    """The answer of `GET /v1/models`."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


class AttributeCard(Answered):
    """An attribute of a steering.

    Args:
        name: of the attribute.
        strength: where a request says none.
        decision, sentence, reservations: of its check; empty without one.
        checked_strength, checked_scope, checked_chat_template: what the check used.
    """

    name: str
    strength: float
    decision: str | None
    sentence: str | None
    reservations: list[str]
    checked_strength: float | None
    checked_scope: Scope | None
    checked_chat_template: bool | None


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


class SteeringList(Answered):
    """The answer of `GET /v1/steerings`; `faults` says why folders were not loaded."""

    object: Literal["list"] = "list"
    data: list[SteeringCard]
    faults: dict[str, str]


class LoadRequest(Asked):
    """The body of `POST /v1/steerings`: the name of a folder among the steerings."""

    name: Name


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
    """The answer of `/health` and `/ready`."""

    status: Literal["ok"] = "ok"
