"""The card of a report: its verdict for people and for the Hub."""

import json

from trimtab.results.numbers import centre
from trimtab.results.report import Report
from trimtab.texts import in_markdown


def report_card(report: Report) -> str:
    """The card as Markdown with the Hub's front matter.

    Args:
        report: of a check.
    """
    verdict, model = report.verdict, report.model
    revision = f", revision `{model.revision}`" if model.revision else ""
    lines = ["---", "tags:", "- activation-steering", "- trimtab-report", "---", ""]
    lines += [f"# Check: {in_markdown(report.behavior)}", ""]
    lines += [f"**{verdict.decision}**: {in_markdown(verdict.sentence)}", ""]
    lines += [f"On `{model.id.replace('`', '')}`{revision} (weights {model.digest[:12]}).", ""]
    for title, remarks in (("Reasons", verdict.reasons), ("Reservations", verdict.reservations)):
        if remarks:
            lines += [f"{title}:", "", *(f"- {in_markdown(remark)}" for remark in remarks), ""]
    if verdict.bounds:
        lines += ["| required | measured | threshold | n |", "| --- | --- | --- | --- |"]
        for bound in verdict.bounds:
            measured = f"{centre(bound.value, bound.low, bound.high)} {bound.unit}"
            held = f"{bound.direction} {bound.threshold:g}"
            lines.append(f"| {in_markdown(bound.name)} | {in_markdown(measured)} | {held} | {bound.n} |")
        lines.append("")
    lines += [
        f"trimtab {report.trimtab}, seed {report.seed}, data digest `{report.data_digest[:12]}`. `report.html` shows"
    ]
    lines += ["all figures with their intervals, `report.json` holds them:", ""]
    lines += ["```python", "import trimtab as tt", ""]
    lines += ['report = tt.Report.load("this folder")', f"report.verdict.decision  # {json.dumps(verdict.decision)}"]
    return "\n".join([*lines, "```", ""])
