"""The page."""

from collections.abc import Sequence
from dataclasses import dataclass

from trimtab.languages import Language
from trimtab.reports.brief.content import Brief
from trimtab.reports.html import document
from trimtab.results.report import Report


@dataclass(frozen=True)
class ReportFile:
    """A report, and the file that it came from."""

    report: Report
    source: str


def page(reports: Sequence[ReportFile], language: Language) -> str:
    """Reports as one HTML document that needs nothing else, each on paper of its own when it is printed.

    Args:
        reports: at least one.
        language: of all but names, commands and the texts of data sets.
    """
    briefs = [Brief(named.report, named.source) for named in reports]
    return document("brief.html", {}, language=language, briefs=briefs)
