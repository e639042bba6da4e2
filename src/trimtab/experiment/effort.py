"""How much of a check's work is done before it decides."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from trimtab.errors import InputError
from trimtab.phrases import Phrase

EffortName = Literal["quick", "default", "thorough"]
# Reasons why a figure is missing.
NOT_ASKED: Final = Phrase("left out by this effort (a thorough check measures it)")
DECIDED: Final = Phrase("the decision was certain without it (a thorough check measures it)")


@dataclass(frozen=True)
class Effort:
    """What is measured, and whether it ends as soon as the decision is certain. Sizes are numbers of rows.

    Args:
        name: as people ask for it.
        stops: evaluation, divergence, capability and random directions end when they are settled; candidates on dev
            are dropped by a race on the dev examples.
        curve: evaluation examples behind the strength curve; 0 for the three strengths that are known anyway.
        noise: evaluation examples behind the numerical noise.
        random: evaluation examples behind random directions.
        other_types: evaluation examples behind the prompt types that were not chosen; 0 for none.
        shuffled: evaluation examples behind the vector of shuffled words; 0 for none.
        prompting: evaluation examples behind the instruction instead of steering; 0 for none, None for all.
        refits: evaluation examples behind vectors trained anew; 0 for none.
        over_refusal: harmless requests; 0 for none, None for all.
        curve_texts: neutral texts at the other strengths of the curve; 0 for none.
        continuations: prompts that are continued for the report.
        written: prompts that are continued for the verdict and scored, after each look; none judges by likelihood
            alone.
        reason: why a figure that it leaves out is missing.

    Example:
        >>> from trimtab.experiment.effort import Effort
        >>> Effort.named("thorough").stops
        False
    """

    name: EffortName
    stops: bool
    curve: int
    noise: int
    random: int
    other_types: int
    shuffled: int
    prompting: int | None
    refits: int
    over_refusal: int | None
    curve_texts: int
    continuations: int
    written: tuple[int, ...]
    reason: Phrase = NOT_ASKED

    @property
    def besides(self) -> bool:
        """Whether anything is measured that no decision rests on."""
        return self.continuations > 0

    @property
    def decision_only(self) -> "Effort":
        """The same without what no decision rests on, once the decision is certain."""
        return replace(
            self, other_types=0, shuffled=0, prompting=0, refits=0, over_refusal=0, curve_texts=0, continuations=0,
            reason=DECIDED,
        )  # fmt: skip

    @staticmethod
    def named(name: str) -> "Effort":
        """By its name.

        Raises:
            InputError: an unknown name.
        """
        if not isinstance(name, str) or name not in EFFORTS:
            raise InputError(
                f"unknown effort {name!r}; one of {', '.join(EFFORTS)}", code="unknown-choice", field="effort"
            )
        return EFFORTS[name]


THOROUGH: Final = Effort(
    "thorough", stops=False, curve=100, noise=32, random=40, other_types=80, shuffled=100, prompting=None, refits=100,
    over_refusal=None, curve_texts=20, continuations=10, written=(160,),
)  # fmt: skip
DEFAULT: Final = Effort(
    "default", stops=True, curve=24, noise=8, random=24, other_types=12, shuffled=32, prompting=32, refits=0,
    over_refusal=16, curve_texts=5, continuations=6, written=(80, 160),
)  # fmt: skip
QUICK: Final = Effort(
    "quick", stops=True, curve=0, noise=8, random=24, other_types=0, shuffled=0, prompting=0, refits=0, over_refusal=0,
    curve_texts=0, continuations=0, written=(),
)  # fmt: skip
EFFORTS: Final[Mapping[str, Effort]] = {e.name: e for e in (QUICK, DEFAULT, THOROUGH)}
