"""The page of a check."""

from trimtab.languages import ENGLISH, Language
from trimtab.reports.check.plots import figures
from trimtab.reports.html import document
from trimtab.results.report import Report


def page(report: Report, language: Language = ENGLISH) -> str:
    """The report as a self-contained HTML page.

    Args:
        report: what to show.
        language: of all but names, commands and the texts of data sets.

    Returns:
        The whole document. It makes no request, works without a network, and follows the reader's colour scheme.
    """
    return document(
        "page.html",
        figures(report),
        language=language,
        report=report,
        types=report.prompt_types,
        chosen=report.verdict.prompt_type,
    )
