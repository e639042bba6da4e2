"""The page of an advice, as one HTML file that needs nothing else."""

from trimtab.reports.advise.tables import SHORT, bounds, headline, rows
from trimtab.reports.html import document
from trimtab.results.advice import Advice


def advice_page(advice: Advice) -> str:
    """The advice as a self-contained HTML page.

    Returns:
        The whole document. It makes no request, works without a network, and follows the reader's colour scheme. Its
        links to steerings and to the check lead to files beside it.
    """
    needs, every = bounds(advice), rows(advice)
    return document(
        "advice.html",
        {},
        advice=advice,
        rows=every,
        left=[row for row in every if not row.figures],
        needs=needs,
        columns=[short for short in SHORT.values() if short in needs],
        headline=headline(advice),
    )
