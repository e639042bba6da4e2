"""The page of a check."""

from trimtab.reports.check.plots import figures
from trimtab.reports.html import document
from trimtab.results.report import Report


def page(report: Report) -> str:
    """The report as a self-contained HTML page.

    Args:
        report: what to show.

    Returns:
        The whole document. It makes no request, works without a network, and follows the reader's colour scheme.
    """
    return document(
        "page.html", figures(report), report=report, types=report.prompt_types, chosen=report.verdict.prompt_type
    )
