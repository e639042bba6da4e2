"""A check's report in a notebook: the verdict, and the requirements that it rests on."""

from trimtab.notebook import summary
from trimtab.reports.check.tables import HOLDS, bound_figures
from trimtab.results.numbers import given
from trimtab.results.report import Report


def shown(report: Report) -> str:
    """The report as HTML; `Report.save` writes the whole page."""
    verdict, bounds = report.verdict, report.verdict.bounds
    rows = []
    for bound in bounds:
        word, sign, _ = HOLDS[bound.holds]
        rows.append((bound.name, *bound_figures(bound), bound.n, f"{sign} {word}"))
    facts = {
        "strength": given(verdict.strength),
        "prompt type": verdict.prompt_type,
        "reservations": len(verdict.reservations) or "",
        "trimtab": report.trimtab,
    }
    return summary(
        f"{verdict.decision} · {report.behavior} · {report.model.id} · {report.place}",
        facts,
        ("requirement", "estimate [interval]", "threshold", "n", "holds") if rows else (),
        rows,
        n_rows=len(rows),
        below=verdict.sentence,
    )
