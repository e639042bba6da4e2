"""trimtab as a contender of `../geometry.py`: what the activations alone say about a vector."""

from collections.abc import Callable
from typing import Any

import numpy as np
from worker import Job, serve

from trimtab import statistics as r

Figures = dict[str, float]


def figures(positive: Any, negative: Any) -> Figures:
    """Directional agreement, plain and leave-one-out; d′ and AUROC on the difference line, plain and held out."""
    differences, clusters = positive - negative, np.arange(len(positive))
    means = positive.mean(axis=0), negative.mean(axis=0)
    kappa = r.projection(positive, *means), r.projection(negative, *means)
    held_out = r.cross_fitted(positive, negative, clusters, seed=0)
    return {
        "agreement": r.directional_agreement(differences),
        "agreement, leave-one-out": float(r.directional_agreement_loo(differences).mean()),
        "d′": r.separability(*kappa),
        "AUROC": r.auroc(*kappa),
        "d′, held out": held_out.separability,
        "AUROC, held out": held_out.auroc,
    }


def with_intervals(positive: Any, negative: Any) -> Figures:
    """The same, and jackknife intervals for all that is not fitted on itself, as a check reports them."""
    clusters = np.arange(len(positive))
    agreement = r.agreement_interval(positive - negative, clusters)
    held_out = r.separability_interval(positive, negative, clusters, seed=0)
    intervals = {"agreement": agreement, "d′": held_out.separability, "AUROC": held_out.auroc}
    ends = {f"{name}, {end}": getattr(i, end) for name, i in intervals.items() for end in ("low", "high")}
    return {**figures(positive, negative), **ends}


def screen(positive: Any, negative: Any) -> Figures:
    """What hidden-directions gives, of d_i = a_i − (mean of the negative side).

    The mean cosine between two different rows: for rows of length 1 the directional agreement a is the length of their
    mean, and n² a² = n + n (n − 1) cosine. The separation is no figure of trimtab's; it is two lines of numpy.
    """
    d = positive - negative.mean(axis=0)
    n, a = len(d), r.directional_agreement(d / np.linalg.norm(d, axis=1, keepdims=True))
    mean = d.mean(axis=0)
    separation = np.linalg.norm(mean) / np.linalg.norm(d - mean, axis=1).mean()
    return {"cosine": float((n * a**2 - 1) / (n - 1)), "separation": float(separation)}


def job_of(measure: Callable[[Any, Any], Figures]) -> Job:
    """A job: `file` holds the sides `positive` and `negative` `[n, d]`, `checked` the rows to compare figures on."""

    def prepared(job: dict[str, Any]) -> tuple[Any, Callable[[], None]]:
        with np.load(job["file"]) as sides:
            positive, negative = sides["positive"], sides["negative"]
        measure(positive, negative)
        some = slice(job["checked"])
        return screen(positive[some], negative[some]), lambda: measure(positive, negative) and None

    return prepared


if __name__ == "__main__":
    serve({"like for like": job_of(screen), "figures": job_of(figures), "with intervals": job_of(with_intervals)})
