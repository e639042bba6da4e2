"""The page of an advice, as one HTML file that needs nothing else."""

from trimtab.languages import ENGLISH, Language
from trimtab.reports.advise.tables import SHORT, bounds, headline, rows
from trimtab.reports.html import document
from trimtab.results.advice import Advice


def advice_page(advice: Advice, language: Language = ENGLISH) -> str:
    """The advice as a self-contained HTML page.

    Args:
        advice: the result.
        language: of all but names, commands and the texts of data sets.

    Returns:
        The whole document. It makes no request, works without a network, and follows the reader's colour scheme. Its
        links to steerings and to the check lead to files beside it.
    """
    needs, every = bounds(advice), rows(advice)
    return document(
        "advice.html",
        {},
        language=language,
        advice=advice,
        rows=every,
        left=[row for row in every if not row.figures],
        needs=needs,
        columns=[short for short in SHORT.values() if short in needs],
        headline=headline(advice),
    )
