"""When judged scores move, is it the system that has changed or the judge? A second test on items that people scored.

Idea: Li, "Who drifted: the system or the judge?" (arXiv 2606.15474, 2026). A fixed set of anchors has scores by people.
The judge of today scores some of them again and again; the gap between its score and the people's can only move with
the judge. When live scores drift one waits for some more anchors before the system is blamed.
"""

from typing import Literal

from numpy.typing import ArrayLike as Array

from trimtab.errors import InputError
from trimtab.statistics.sequential.asymptotic import check_alpha
from trimtab.statistics.sequential.drift import DriftTest

DriftVerdict = Literal["none", "system", "judge"]


class JudgeDrift:
    """Live scores and anchors of one judge.

    Anchors must be drawn with replacement, now as for the reference, and often enough: in what `guard` anchors take to
    come in, a change of the judge must show in them. A verdict stays; after `judge` the references must be made anew.

    Args:
        scores: the judge's scores of live answers from when all was well, `[m]`.
        gaps: its scores minus people's of anchors drawn then, `[k]`.
        alpha: chance of any false verdict while neither has changed, half of it for either stream.
        guard: anchors to wait for after live scores have drifted.
        seed: of breaking ties.

    Example:
        >>> import numpy as np
        >>> from trimtab.statistics.sequential import JudgeDrift
        >>> rng = np.random.default_rng(0)
        >>> watch = JudgeDrift(rng.normal(0.7, 0.2, 500), rng.normal(0, 0.1, 300), guard=20, seed=0)
        >>> for _ in range(300):  # the judge has become strict: live answers and anchors get less than before
        ...     _ = watch.add_score(rng.normal(0.6, 0.2)), watch.add_anchor(rng.normal(0.5, 0.1), 0.6)
        >>> watch.verdict
        'judge'
    """

    def __init__(self, scores: Array, gaps: Array, alpha: float = 0.05, *, guard: int = 200, seed: int = 0) -> None:
        if guard < 1:
            raise InputError(f"guard is {guard}; give at least 1 anchor", code="out-of-range", field="guard")
        half = check_alpha(alpha) / 2
        self.scores = DriftTest(scores, half, seed=seed)
        self.anchors = DriftTest(gaps, half, seed=seed + 1)
        self.guard = guard
        self.verdict: DriftVerdict = "none"
        self._anchors_then: int | None = None  # anchors when live scores drifted

    @property
    def waiting(self) -> bool:
        """Whether live scores have drifted and anchors are waited for."""
        return self.verdict == "none" and self._anchors_then is not None

    def add_score(self, score: float) -> DriftVerdict:
        """The judge's score of a live answer."""
        if self.scores.add(score) and self._anchors_then is None:
            self._anchors_then = self.anchors.n
        return self.verdict

    def add_anchor(self, judged: float, labelled: float) -> DriftVerdict:
        """The judge's score of an anchor and the people's, on the same scale."""
        alarm = self.anchors.add(judged - labelled)
        if self.verdict == "none":
            if alarm:
                self.verdict = "judge"
            elif self._anchors_then is not None and self.anchors.n >= self._anchors_then + self.guard:
                self.verdict = "system"
        return self.verdict
