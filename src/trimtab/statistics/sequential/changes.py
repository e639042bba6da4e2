"""Evidence of a change that may begin at any time: bets are mixed over their kinds and their beginnings.

Every bet has a mean of at most 1 at each step while nothing has changed. A gambler who begins at step s puts aside
1/(s (s + 1)) of the capital for it (all together: 1), so that the whole stays evidence, and P(ever ≥ 1/α) ≤ α over the
whole stream (Ville's inequality), while a late change is found though earlier bets have lost everything. Mixtures over
times of change: Shiryaev 1963; as evidence: Shin, Ramdas and Rinaldo, "E-detectors" (2023), from whom this differs in
that the chance of a false alarm, not its mean time, is kept.
"""

import numpy as np

from trimtab.statistics.inputs import Floats


class ChangeEvidence:
    """The capital of all bets, brought up to date in as many operations as there are kinds of bets.

    Args:
        kinds: number of bets that go on at the same time.
    """

    def __init__(self, kinds: int) -> None:
        self.steps = 0
        self._log_running = np.full(kinds, -np.inf)  # of all that have begun, by kind

    @property
    def log_e_value(self) -> float:
        """Logarithm of the evidence now."""
        begun = float(np.logaddexp.reduce(self._log_running)) - np.log(len(self._log_running))
        return float(np.logaddexp(begun, -np.log1p(self.steps)))  # 1/(steps + 1) is still put aside

    def add(self, log_factors: Floats) -> float:
        """One step.

        Args:
            log_factors: logarithm of what each bet made of 1 at this step, `[kinds]`.

        Returns:
            Logarithm of the evidence now.
        """
        self.steps += 1
        begins = -np.log(self.steps) - np.log1p(self.steps)
        self._log_running = np.logaddexp(self._log_running, begins) + log_factors
        return self.log_e_value

    def add_many(self, log_factors: Floats) -> Floats:
        """Many steps at once.

        Args:
            log_factors: `[kinds, T]`.

        Returns:
            Logarithm of the evidence after each, `[T]`.
        """
        kinds, n = log_factors.shape
        if not n:
            return np.zeros(0)
        steps = self.steps + np.arange(1, n + 1)
        grown = np.cumsum(log_factors, axis=1)  # from the first of these steps on
        begun = (-np.log(steps) - np.log1p(steps)) - (grown - log_factors)
        begun[:, 0] = np.logaddexp(begun[:, 0], self._log_running)
        running = np.logaddexp.accumulate(begun, axis=1) + grown  # [kinds, T]
        self.steps, self._log_running = int(steps[-1]), running[:, -1].copy()
        most = running.max(axis=0)
        mean = most + np.log(np.exp(running - most).sum(axis=0) / kinds)
        return np.asarray(np.logaddexp(mean, -np.log1p(steps)))
