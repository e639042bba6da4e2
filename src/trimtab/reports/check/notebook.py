"""A check's report in a notebook: the verdict, and the requirements that it rests on."""

from trimtab.notebook import summary
from trimtab.phrases import Phrase, with_dots
from trimtab.reports.check.tables import HOLDS, bound_figures
from trimtab.results.numbers import given
from trimtab.results.report import IN_WORDS, Report


def shown(report: Report) -> str:
    """The report as HTML; `Report.save` writes the whole page."""
    verdict, bounds = report.verdict, report.verdict.bounds
    rows = []
    for bound in bounds:
        word, sign, _ = HOLDS[bound.holds]
        rows.append((bound.name, *bound_figures(bound), bound.n, Phrase("{sign} {word}", sign=sign, word=word)))
    facts = {
        Phrase("strength"): given(verdict.strength),
        Phrase("prompt type"): verdict.prompt_type,
        Phrase("reservations"): len(verdict.reservations) or "",
        "trimtab": report.trimtab,
    }
    columns = (Phrase("requirement"), Phrase("estimate [interval]"), Phrase("threshold"), "n", Phrase("holds"))
    return summary(
        with_dots([IN_WORDS[verdict.decision], report.behavior, report.model.id, report.place]),
        facts,
        columns if rows else (),
        rows,
        n_rows=len(rows),
        below=verdict.sentence,
    )
