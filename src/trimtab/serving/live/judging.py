"""A judge rates a sample of answers beside their way: outcomes of the source `judge`, and whether it has moved."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import Any, Final, get_args

from trimtab.errors import TrimtabError
from trimtab.evaluation import Rater
from trimtab.operations import Outcome, OutcomeLog
from trimtab.serving.live.anchors import Anchor
from trimtab.serving.live.beside import Beside, check_sample, drawn, out_of_range
from trimtab.statistics.sequential import JudgeDrift
from trimtab.statistics.sequential.judging import DriftVerdict

METRIC: Final = "judged"
"""Name of the outcomes; a metric that uses them says `feedback = "judged"` and `source = "judge"`."""
_SCORES, _GAPS, _GUARD = 100, 60, 60  # live ratings and anchors that make the reference; anchors that are waited for
_ANCHOR_SHARE: Final = 0.5  # anchors to a live answer
_SAID: Final = re.compile(r"(\(HTTP \d{3}\)|HTTP \d{3}|an answer that is not a chat completion).*", re.DOTALL)
"""What the judge's server says of a request may repeat the texts, which belong into no log."""
VERDICTS: Final[tuple[DriftVerdict, ...]] = get_args(DriftVerdict)


@dataclass(frozen=True)
class Sampling:
    """What is rated, and what it may cost.

    Args:
        share: of answers, 0 to 1.
        per_minute: ratings of answers and anchors together.
        a_day: the same, in a day of UTC.
        metric: name of the outcomes.

    Raises:
        InputError: a number out of range.
    """

    share: float = 0.05
    per_minute: float = 20.0
    a_day: int = 1000
    metric: str = METRIC

    def __post_init__(self) -> None:
        check_sample("judge", self.share, self.per_minute)
        if self.a_day < 1:
            raise out_of_range("judge_a_day", self.a_day, "at least 1")

    def takes(self, request: str) -> bool:
        """Whether a request's answer is rated: the same on every server."""
        return drawn("judge", request, self.share)


class Judging(Beside):
    """The judge of one server, with a thread of its own.

    Args:
        rater: asks the judge.
        outcomes: where ratings go.
        log: takes lines about what fails, and about drift.
        sampling: see `Sampling`.
        anchors: rated again and again; drift is not looked for without any.
        seed: of which anchor is next.
    """

    def __init__(
        self, rater: Rater, outcomes: OutcomeLog, log: Any, sampling: Sampling, anchors: Sequence[Anchor] = (),
        seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__("judge", log)
        self.drift = _Drift()
        self._rater = rater.waiting_by(self._wait)
        self._outcomes, self.sampling, self._anchors = outcomes, sampling, tuple(anchors)
        self._rng = random.Random(seed)  # noqa: S311 - which anchor comes next is no secret
        self._day, self._spent = "", 0
        self._pause = 60 / sampling.per_minute
        self.begin()

    def takes(self, request: str) -> bool:
        """Whether a request's answer is rated: the same on every server."""
        return self.sampling.takes(request)

    def _take(self, request: str, prompt: str, answer: str) -> None:
        if not self._day and not self._has_begun():
            return
        if not self._affordable():
            self.counts["beyond the day's budget"] += 1
            return
        self._judge(request, prompt, answer)
        self._wait(self._pause)
        if self._anchors and self._rng.random() < _ANCHOR_SHARE and self._affordable():
            self._again(self._rng.choice(self._anchors))
            self._wait(self._pause)

    def _has_begun(self) -> bool:
        """Count what was spent today before the server started: what the store has, and as many anchors as go with it.

        False where the store does not say.
        """
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        try:
            rated = self._outcomes.count(self.sampling.metric, "judge", midnight.timestamp())
        except TrimtabError as error:
            self._failed("store", str(error))
            return False
        self._day = midnight.date().isoformat()
        self._spent = ceil(rated * (1 + _ANCHOR_SHARE if self._anchors else 1))
        return True

    def _affordable(self) -> bool:
        """Whether the day's budget has one left, which it takes."""
        today = datetime.now(UTC).date().isoformat()
        if today != self._day:
            self._day, self._spent = today, 0
        self._spent += 1
        return self._spent <= self.sampling.a_day

    def _judge(self, request: str, prompt: str, answer: str) -> None:
        score = self._rated(prompt, answer)
        if score is None:
            return
        name = self._rater.name[:200]
        one = Outcome(self.sampling.metric, request, value=score, source="judge", who=name, key=f"judge {request}")
        try:
            self._outcomes.write([one], may_come=True)
        except TrimtabError as error:
            self._failed("store", str(error))
            return
        self.counts["rated"] += 1
        self._tell(self.drift.add_score(score))

    def _again(self, anchor: Anchor) -> None:
        score = self._rated(anchor.prompt, anchor.answer)
        if score is not None:
            self.counts["anchors"] += 1
            self._tell(self.drift.add_anchor(score, anchor.score))

    def _rated(self, prompt: str, answer: str) -> float | None:
        """The rating; None where there is none, which is counted."""
        try:
            score = self._rater.rate(prompt, answer)
        except TrimtabError as error:
            self._failed("failed", _SAID.sub(r"\1", str(error)))
            return None
        except Exception as error:  # of any kind: the next answer may be rated all the same
            self._failed("failed", f"{type(error).__name__}: {error}")
            return None
        if score is None:
            self._failed("unclear", "the judge's answer holds no number on its last line")
        else:
            self._worked()
        return score

    def _tell(self, verdict: DriftVerdict | None) -> None:
        if verdict is not None:
            self._log.error(
                "judge_drift", verdict=verdict, ratings=self.counts["rated"], anchors=self.counts["anchors"]
            )


class _Drift:
    """`JudgeDrift`, once its references are there."""

    def __init__(self) -> None:
        self._scores: list[float] = []
        self._gaps: list[float] = []
        self._test: JudgeDrift | None = None

    @property
    def verdict(self) -> DriftVerdict | None:
        """None while the references are not complete."""
        return None if self._test is None else self._test.verdict

    def add_score(self, score: float) -> DriftVerdict | None:
        """A rating of a live answer; the verdict where it is new and not `none`."""
        if self._test is not None:
            before = self._test.verdict
            return _new(before, self._test.add_score(score))
        self._scores = [*self._scores, score][:_SCORES]
        self._begin()
        return None

    def add_anchor(self, judged: float, labelled: float) -> DriftVerdict | None:
        """A rating of an anchor, and the people's; the verdict where it is new and not `none`."""
        if self._test is not None:
            before = self._test.verdict
            return _new(before, self._test.add_anchor(judged, labelled))
        self._gaps = [*self._gaps, judged - labelled][:_GAPS]
        self._begin()
        return None

    def _begin(self) -> None:
        if len(self._scores) == _SCORES and len(self._gaps) == _GAPS:
            self._test = JudgeDrift(self._scores, self._gaps, guard=_GUARD)


def _new(before: DriftVerdict, now: DriftVerdict) -> DriftVerdict | None:
    return now if now not in ("none", before) else None
