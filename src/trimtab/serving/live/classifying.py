"""The classifiers of checks score a sample of answers, beside their way: outcomes of the source `classifier`.

Each is told apart by its outcome's name, and says whose it is and how well it separates unseen answers with every
outcome. Nothing of the texts is kept, and nothing leaves the server.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from trimtab.errors import InputError, TrimtabError
from trimtab.evaluation import HeldOut
from trimtab.operations import Outcome, OutcomeLog
from trimtab.serving.live.beside import Beside, check_sample, drawn

PREFIX: Final = "classified."
"""Of the outcomes' names; a metric says `feedback = "classified.NAME"` and `source = "classifier"`."""
_UNFIT: Final = re.compile(r"[^a-z0-9_.-]+")
_LONGEST: Final = 64 - len(PREFIX)


@dataclass(frozen=True)
class Scoring:
    """How many answers are scored.

    Args:
        share: of answers, 0 to 1.
        per_minute: answers at most, each by all classifiers.

    Raises:
        InputError: a number out of range.
    """

    share: float = 1.0
    per_minute: float = 300.0

    def __post_init__(self) -> None:
        check_sample("classifier", self.share, self.per_minute)


def outcome_of(one: HeldOut) -> str:
    """Name of a classifier's outcomes: by its behavior, or by its data where no letter of that can be part of it."""
    name = _UNFIT.sub("-", one.behavior.lower()).strip("-")
    return PREFIX + (name or one.data_digest)[:_LONGEST]


class Classifying(Beside):
    """The classifiers of one server, with a thread of their own.

    Args:
        classifiers: that can judge.
        outcomes: where scores go: the probability of the positive side, from 0 to 1.
        log: takes lines about what fails.
        scoring: see `Scoring`.

    Raises:
        InputError: none, two of the same name, or one that is not shown to separate unseen answers.
    """

    def __init__(self, classifiers: Sequence[HeldOut], outcomes: OutcomeLog, log: Any, scoring: Scoring) -> None:
        super().__init__("classifier", log)
        self.scoring, self._outcomes = scoring, outcomes
        self.classifiers = {outcome_of(one): one for one in classifiers}
        if not classifiers or len(self.classifiers) < len(classifiers):
            raise InputError(
                f"{len(classifiers)} classifiers of {len(self.classifiers)} different behaviors; give one of each",
                code="repeated-name",
                field="classifier",
            )
        for one in classifiers:
            if one.quality.reason is not None:
                raise InputError(
                    f"the classifier of {one.behavior!r} gives no scores: {one.quality.reason}",
                    code="unfit-evidence",
                    field="classifier",
                )
        self._pause = 60 / scoring.per_minute
        self.begin()

    def takes(self, request: str) -> bool:
        """Whether a request's answer is scored: the same on every server."""
        return drawn("classifier", request, self.scoring.share)

    def _take(self, request: str, prompt: str, answer: str) -> None:
        found = [self._scored(name, one, request, answer) for name, one in self.classifiers.items()]
        try:
            self._outcomes.write(found, may_come=True)
        except TrimtabError as error:
            self._failed("store", str(error))
        else:
            self.counts["scored"] += 1
            self._worked()
        self._wait(self._pause)

    def _scored(self, name: str, one: HeldOut, request: str, answer: str) -> Outcome:
        log_odds = float(one.classifier.scores([answer])[0])
        value = float(np.exp(-np.logaddexp(0.0, -log_odds)))  # σ, without overflow
        who = one.said[:200]
        return Outcome(name, request, value=value, source="classifier", who=who, key=f"{name} {request}")
