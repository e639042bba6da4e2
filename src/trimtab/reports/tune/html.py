"""The page of a search: what is recommended, and the best trade-offs to choose from, as one HTML file."""

from trimtab.reports.html import document
from trimtab.reports.tune.plots import DAMAGE, GROWTH, figures, pairs
from trimtab.reports.tune.tables import WORDS, loss, name, pruned, strengths, summary, where
from trimtab.results.tuning import Tuning


def tuning_page(tuning: Tuning) -> str:
    """The search as a self-contained HTML page.

    Returns:
        The whole document. It makes no request, works without a network, and follows the reader's colour scheme.
    """
    return document(
        "tune.html",
        figures(tuning),
        tuning=tuning,
        summary=summary(tuning),
        pairs=[(f"pair{k}", *both) for k, both in enumerate(pairs(tuning))],
        growth=GROWTH,
        against_damage=DAMAGE,
        pruned=pruned(tuning),
        name=name,
        strengths=strengths,
        where=where,
        loss=loss,
        words=WORDS,
    )
