"""What an artifact's reliability document says of an attribute, cut to what a list can hold."""

from typing import Annotated, Any, Final

from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field

from trimtab.interventions import Scope
from trimtab.results.numbers import plain

MAX_SENTENCE: Final = 2_000  # characters
MAX_SENTENCES: Final = 40


def bounded(text: str, most: int, cut: str = "…") -> str:
    """A text with its control characters made visible, and `cut` at its end if it had more than `most` characters."""
    return plain(text) if len(text) <= most else plain(text[:most]) + cut


def _sentence(text: str) -> str:
    return bounded(text, MAX_SENTENCE)


def _first(found: Any) -> Any:
    """Of a long list its first entries, and how many more there are."""
    if not isinstance(found, list) or len(found) <= MAX_SENTENCES:
        return found
    return [*found[:MAX_SENTENCES], f"… and {len(found) - MAX_SENTENCES:,} more"]


Sentence = Annotated[str, AfterValidator(_sentence)]
Sentences = Annotated[tuple[Sentence, ...], Field(strict=False), BeforeValidator(_first)]


class _Told(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False)


class Figure(_Told):
    """A figure with its interval.

    Args:
        value: None if it was not measured.
        low, high: ends of the interval.
        n: how many examples or documents stand behind it.
        reason: why there is no value.
    """

    value: float | None = Field(default=None, validation_alias=AliasChoices("value", "mean", "share"))
    low: float | None = None
    high: float | None = None
    n: int | None = Field(default=None, validation_alias=AliasChoices("n", "n_documents"))
    reason: Sentence | None = None


class Effect(Figure):
    """The mean effect, and its two sides: of the desired answers (Δ+) and of the undesired ones (Δ−)."""

    positive: Figure | None = None
    negative: Figure | None = None


class AttributeCheck(_Told):
    """What the document says of an attribute, as `trimtab fit` writes it; None where it says nothing.

    Args:
        decision: go, caution, no-go or inconclusive.
        sentence: why.
        reasons: one for each requirement, and what would settle it.
        reservations: remarks that weigh on it.
        strength, scope, chat_template: what it was checked with.
        unit: of the effect.
        effect: how far steering moved the evaluation examples.
        anti_steerable: share of them that it moved the wrong way.
        kl: divergence on text that has nothing to do with it, nats per token.
    """

    decision: Sentence | None = None
    sentence: Sentence | None = None
    reasons: Sentences = ()
    reservations: Sentences = ()
    strength: float | None = None
    scope: Scope | None = None
    chat_template: bool | None = None
    unit: Sentence | None = None
    effect: Effect | None = None
    anti_steerable: Figure | None = None
    kl: Figure | None = None
