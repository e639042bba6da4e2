"""The page."""

from collections.abc import Sequence
from dataclasses import dataclass

from trimtab.reports.brief.content import Brief
from trimtab.reports.brief.language import Language, words
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
        language: of all but the texts that the reports hold.
    """
    say = words(language)
    return document("brief.html", {}, briefs=[Brief(named.report, named.source, say) for named in reports], say=say)
