"""A judge rates a sample of answers, beside their way: outcomes of the source `judge`, and whether the judge has moved.

Whether an answer is rated is decided by its request's id. Its text is held in memory until then, and nowhere else.
Nobody waits for it: what cannot be rated in time is left out, and counted.
"""

import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from math import ceil
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Any, Final, get_args

from trimtab.errors import InputError, TrimtabError
from trimtab.evaluation import Rater
from trimtab.operations import Outcome, OutcomeLog
from trimtab.serving.live.anchors import Anchor
from trimtab.statistics.sequential import JudgeDrift
from trimtab.statistics.sequential.judging import DriftVerdict

METRIC: Final = "judged"
"""Name of the outcomes; a metric that uses them says `feedback = "judged"` and `source = "judge"`."""
QUEUE: Final = 100
"""Answers that may wait; further ones are left out."""
_SCORES, _GAPS, _GUARD = 100, 60, 60  # live ratings and anchors that make the reference; anchors that are waited for
_ANCHOR_SHARE: Final = 0.5  # anchors to a live answer
_CLOSING: Final = 5.0  # seconds
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
        for name, fits, wanted in (
            ("share", 0 < self.share <= 1, "a share above 0, 1 at most"),
            ("per_minute", 0 < self.per_minute <= 6000, "from 0 to 6,000, 0 left out"),
            ("a_day", self.a_day >= 1, "at least 1"),
        ):
            if not fits:
                field = f"judge_{name}"
                raise InputError(f"{field} {getattr(self, name)!r} must be {wanted}", code="out-of-range", field=field)

    def takes(self, request: str) -> bool:
        """Whether a request's answer is rated: the same on every server."""
        return int.from_bytes(sha256(f"judge {request}".encode()).digest()[:8]) < self.share * 2**64


class Judging:
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
        self.counts: Counter[str] = Counter()  # answers by what became of them
        self.drift = _Drift()
        self._stop = Event()
        self._rater = rater.waiting_by(self._wait)
        self._outcomes, self._log, self.sampling, self._anchors = outcomes, log, sampling, tuple(anchors)
        self._rng = random.Random(seed)  # noqa: S311 - which anchor comes next is no secret
        self._queue: Queue[tuple[str, str, str]] = Queue(QUEUE)
        self._fault: str | None = None
        self._day, self._spent = "", 0
        self._thread = Thread(target=self._run, name="trimtab-judging", daemon=True)
        self._thread.start()

    def put(self, request: str, prompt: str, answer: str) -> None:
        """An answer has come to its end; waits for nothing."""
        if not self.sampling.takes(request):
            return
        if not answer.strip():
            self.counts["empty"] += 1
            return
        try:
            self._queue.put_nowait((request, prompt, answer))
        except Full:
            self.counts["queue full"] += 1

    @property
    def waiting(self) -> int:
        """Answers that wait."""
        return self._queue.qsize()

    def close(self) -> None:
        """Stop; what waits is not rated any more."""
        self._stop.set()
        self._thread.join(_CLOSING)

    def _run(self) -> None:
        pause = 60 / self.sampling.per_minute
        while not self._stop.is_set():
            try:
                request, prompt, answer = self._queue.get(timeout=0.2)
            except Empty:
                continue
            if not self._day and not self._has_begun():
                continue
            if not self._affordable():
                self.counts["beyond the day's budget"] += 1
                continue
            self._judge(request, prompt, answer)
            self._wait(pause)
            if self._anchors and self._rng.random() < _ANCHOR_SHARE and self._affordable():
                self._again(self._rng.choice(self._anchors))
                self._wait(pause)

    def _wait(self, seconds: float) -> None:
        """So long, or until the end."""
        self._stop.wait(seconds)

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
            self._fault = None
        return score

    def _failed(self, what: str, why: str) -> None:
        """Count a failure, and log it where it is another than the last one."""
        self.counts[what] += 1
        if self._fault != why and not self._stop.is_set():
            self._log.error("judge_failed", outcome=what, reason=why)
        self._fault = why

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
