"""Shadow: what a steering did to answers that people got, beside what random directions of its size would have done."""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from trimtab.interventions import AnswerScore
from trimtab.statistics import Interval
from trimtab.statistics.sequential import AsymptoticSequence, Moments, mean_estimate

_SEQUENCE = AsymptoticSequence(target=500)
RANDOM_DIRECTIONS = 20


def shadowed(request: str, share: float) -> bool:
    """Whether a request is scored: drawn by its id, so that every server says the same of it."""
    return int.from_bytes(sha256(f"shadow {request}".encode()).digest()[:8]) < share * 2**64


def random_seed(request: str) -> int:
    """Which of the random directions a request is held against."""
    return int.from_bytes(sha256(f"random {request}".encode()).digest()[:4]) % RANDOM_DIRECTIONS


@dataclass
class Shadow:
    """Figures of one steering, one value for each unit.

    Attributes:
        kl: nats per token, KL(plain ‖ steered) on answers given.
        gain: nats per token by which the steering makes these answers likelier.
        random_kl, random_gain: the same of random directions.
        excess: `kl` minus `random_kl` of the same answer.
    """

    kl: Moments = field(default_factory=Moments)
    gain: Moments = field(default_factory=Moments)
    random_kl: Moments = field(default_factory=Moments)
    random_gain: Moments = field(default_factory=Moments)
    excess: Moments = field(default_factory=Moments)

    def add(self, score: AnswerScore) -> None:
        """An answer of a unit that is not counted yet."""
        self.gain = self.gain.add(score.gain)
        if score.kl is not None:
            self.kl = self.kl.add(score.kl)
        if score.random_gain is not None:
            self.random_gain = self.random_gain.add(score.random_gain)
        if score.random_kl is not None and score.kl is not None:
            self.random_kl = self.random_kl.add(score.random_kl)
            self.excess = self.excess.add(score.kl - score.random_kl)

    def kl_interval(self, alpha: float) -> Interval:
        """Holds at every look."""
        return AsymptoticSequence(target=_SEQUENCE.target, alpha=alpha).interval(mean_estimate(self.kl))

    @property
    def record(self) -> dict[str, Any]:
        """Means with intervals that hold at every look."""
        return {"n": int(self.kl.n)} | {
            name: _figure(getattr(self, name)) for name in ("kl", "random_kl", "excess", "gain", "random_gain")
        }


def _figure(of: Moments) -> dict[str, float | None]:
    if not of.n:
        return {"value": None, "low": None, "high": None}
    i = _SEQUENCE.interval(mean_estimate(of))
    ends = {"low": i.low, "high": i.high}
    return {"value": i.value, **{name: end if abs(end) != float("inf") else None for name, end in ends.items()}}
