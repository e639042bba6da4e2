"""Scoring: how likely a model finds answers that are there already, with a steering and without it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from trimtab.errors import InputError
from trimtab.interventions.request_steering import RequestSteering
from trimtab.texts import Message, Rendered


@dataclass(frozen=True)
class GivenAnswer:
    """An answer behind its prompt, in the tokens in which it was written.

    Args:
        prompt: token ids, or chat turns that the engine renders with its template.
        answer: token ids.

    Example:
        >>> from trimtab.interventions import GivenAnswer
        >>> GivenAnswer((1, 504, 2455), (314, 253)).answer
        (314, 253)
    """

    prompt: tuple[int, ...] | tuple[Message, ...]
    answer: tuple[int, ...]


@dataclass(frozen=True)
class ScoreRequest:
    """Answers to be scored, each by the plain model and by the steered one.

    Args:
        id: unique among the engine's unfinished requests.
        texts: answers in tokens, or prompts and answers as text.
        steering: what the steered scores are taken under.
        chat_template: whether texts go through the chat template; answers in tokens do where their prompts are turns.
        choices: whether texts stand in pairs, of which only the first tokens that differ are scored.
        random: seed of random directions, under which the answers are scored as well; None for none.

    Raises:
        InputError: no id, no texts, a text without an answer, an odd number of texts in pairs.

    Example:
        >>> from trimtab.interventions import GivenAnswer, RequestSteering, ScoreRequest
        >>> steering = RequestSteering("5f2c", {"warm": 1.0})
        >>> ScoreRequest("s", (GivenAnswer((1, 504), (2455,)),), steering).random is None
        True
    """

    id: str
    texts: tuple[GivenAnswer | Rendered, ...]
    steering: RequestSteering
    chat_template: bool = False
    choices: bool = False
    random: int | None = None

    def __post_init__(self) -> None:
        if not self.id:
            raise InputError("a request needs an id")
        if not self.texts:
            raise InputError(f"request {self.id!r}: no texts to score", code="missing-value", field="texts")
        for i, text in enumerate(self.texts):
            if not text.answer or (isinstance(text, GivenAnswer) and not text.prompt):
                raise InputError(
                    f"request {self.id!r}: text {i + 1} has no answer or no prompt", code="missing-value", field="texts"
                )
        if self.choices and len(self.texts) % 2:
            raise InputError(
                f"request {self.id!r}: {len(self.texts)} texts are no pairs", code="conflicting-arguments",
                field="texts",
            )  # fmt: skip


@dataclass(frozen=True)
class AnswerScore:
    """What the plain and the steered model make of an answer.

    Args:
        n_tokens: of the answer; 1 for a choice.
        base: log-probability under the plain model, nats, summed over the tokens.
        steered: under the steering.
        kl: mean over the tokens of KL(plain ‖ steered) of the next token, nats per token; None for a choice.
        random: log-probability under the same edits along random directions; None if not asked for, or there are none.
        random_kl: as `kl`, under these.
        projections: by attribute, by site, κ of the answer's mean activation on the attribute's direction, as the plain
            model has it, without the constant that puts two classes at ±1: 2 a · s / ‖s‖².
        acts: False where conditions leave the text's prompt alone, so that both models are the same there.

    Example:
        >>> from trimtab.interventions import AnswerScore
        >>> score = AnswerScore(n_tokens=4, base=-9.0, steered=-7.0)
        >>> score.gain
        0.5
    """

    n_tokens: int
    base: float
    steered: float
    kl: float | None = None
    random: float | None = None
    random_kl: float | None = None
    projections: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    acts: bool = True

    @property
    def gain(self) -> float:
        """How much likelier the steering makes the answer, nats per token."""
        return (self.steered - self.base) / self.n_tokens

    @property
    def random_gain(self) -> float | None:
        """The same of random directions."""
        return None if self.random is None else (self.random - self.base) / self.n_tokens
