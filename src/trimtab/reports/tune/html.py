"""The page of a search: what is recommended, and the best trade-offs to choose from, as one HTML file."""

from trimtab.languages import ENGLISH, Language
from trimtab.reports.html import document
from trimtab.reports.tune.plots import DAMAGE, GROWTH, figures, pairs
from trimtab.reports.tune.tables import BETTER, WORDS, loss, name, pruned, strengths, summary, where
from trimtab.results.tuning import Tuning, group_of


def tuning_page(tuning: Tuning, language: Language = ENGLISH) -> str:
    """The search as a self-contained HTML page.

    Args:
        tuning: the result.
        language: of all but names, commands and the texts of data sets.

    Returns:
        The whole document. It makes no request, works without a network, and follows the reader's colour scheme.
    """
    return document(
        "tune.html",
        figures(tuning),
        language=language,
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
        better=BETTER,
        group_of=group_of,
        words=WORDS,
    )
