"""What further examples would likely settle, where a verdict is open: told beforehand, with its chances."""

from math import ceil

import numpy as np

from trimtab.measurements.effects import Steered
from trimtab.results.report import Outlook
from trimtab.statistics import outlook as ahead
from trimtab.statistics.outlook import Needed
from trimtab.verdict.decision import Conclusion, Thresholds
from trimtab.verdict.requirements import ANTI, EFFECT, ODD

QUANTILES = (0.1, 0.5, 0.9)  # of the futures, in which the fewest, half and most further examples settle it
MIN_CLUSTERS = 4  # independent examples, below which nothing is known of their spread


def outlook(
    steered: Steered, conclusion: Conclusion, thresholds: Thresholds, random: float, n_requirements: int, rows: int,
    by_odd: bool,
) -> Outlook | None:  # fmt: skip
    """How many further examples would settle a verdict, and which way; None where none would or it cannot be told.

    It is told where examples are what is missing: no requirement fails, all that are open are on effects of examples,
    no fault of these stands in the way, and the steering acts on all prompts. The other requirements are taken to stay
    as they are, and so is the steering, which further training examples would make a little better.

    Args:
        steered: propensities of the evaluation examples.
        conclusion: the decision.
        thresholds: its bounds.
        random: what random directions reach.
        n_requirements: of the decision.
        rows: of the file, that were dealt to all parts together.
        by_odd: whether random directions are compared with the odd part.
    """
    effect, odd = steered.effect, steered.odd
    on_examples = all(name.startswith((EFFECT, ODD, ANTI)) for name in conclusion.open)
    if conclusion.decision != "inconclusive" or not conclusion.open or not on_examples or conclusion.blocking:
        return None
    if effect.acting is not None or effect.n_clusters < MIN_CLUSTERS:
        return None
    figures = np.stack([effect.positive, effect.negative, odd.positive, odd.negative], axis=1)
    first = 2 if by_odd else 0
    needs = [
        Needed("mean", 0, 1, thresholds.min_effect, "above"),
        Needed("mean", first, first + 1, random, "above"),
        Needed("share", 0, 1, thresholds.max_anti_steerable, "below"),
    ]
    if not thresholds.allow_desired_loss:
        needs.append(Needed("mean", 0, None, 0.0, "above", must_hold=False))
    found = ahead.outlook(
        figures, np.array(effect.clusters), needs,
        pairing=effect.pairing, n_requirements=n_requirements, seed=effect.seed, level=effect.level,
    )  # fmt: skip
    fewest, half, most = (found.needed(chance) for chance in QUANTILES)
    passes, fails = found.at(most)
    horizon, n = int(found.new[-1]), effect.n_clusters

    def of_file(new: int | None) -> int | None:
        return None if new is None else max(2, ceil(new * rows / n))

    return Outlook(
        open=tuple(conclusion.open), n=n, rows=rows,
        fewest=fewest, half=half, most=most, horizon=horizon,
        rows_fewest=of_file(fewest), rows_half=of_file(half), rows_most=of_file(most),
        rows_horizon=max(2, ceil(horizon * rows / n)), passes=passes, fails=fails,
    )  # fmt: skip
