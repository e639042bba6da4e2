"""The comparison of all methods on public tasks as a page, from the folder that `trimtab evaluate` wrote.

    .venv/bin/trimtab evaluate … --out out/compared                 # the page names the whole command
    .venv/bin/python benchmarks/compared.py --evaluation out/compared --out docs/results/compared.md

Nothing is measured here. The page says who gains on which task, whether that is more than what any damage of this size
brings, what stacking on text adds, and whether a better figure on BBQ is more than saying "unknown" more often.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from harness import machine, publish, shown, table

from trimtab.reports.evaluate.statements import contender, statements
from trimtab.reports.evaluate.tables import chosen_lines, contrast_lines, lines
from trimtab.results.evaluation import UNSTEERED, Evaluation, FigureRow
from trimtab.results.numbers import given

FAIR: Final = ("accuracy_ambiguous", "accuracy_disambiguated", "unknown_disambiguated", "bias_ambiguous",
               "bias_disambiguated")  # fmt: skip


def page(found: Evaluation) -> str:
    """docs/results/compared.md."""
    p = found.protocol
    tasks = [t for t in p.tasks if t.fitted]
    sizes = f"{p.train} training examples, {p.dev} dev and {p.test} test units of each task at most"
    text = [
        "# All methods on TruthfulQA, BBQ and toxicity",
        "",
        "```", found.command, "```",
        "",
        f"{machine()}; {found.seconds / 3600:.1f} hours of one core. {p.model.id} in {p.dtype}; {len(p.seeds)} seeds, "
        f"each with its own deal of the rows; {sizes}; {p.trials} candidates of each method on dev; all at a damage of "
        f"{' and '.join(map(given, p.damages))} nats per token. What the columns mean is said in "
        "[evaluate.md](../evaluate.md).",
        "",
        "## What came out",
        "",
        *(f"- {line}" for line in statements(found)),
        "",
        "## Over all tasks",
        "",
        _overall(found),
        "",
        "## Every figure of each task",
        "",
        "Gain over the unsteered model with a 95 % interval, larger is better; bold where the interval leaves out 0.",
    ]  # fmt: skip
    for task in p.tasks:
        aside = "" if task.fitted else ", which nothing is fitted to"
        text += ["", f"### {task.label}{aside}", "", _figures(found, task.label)]
    for label in [t.label for t in p.tasks if t.task == "bbq"]:
        text += ["", f"## Fair, or “unknown” always? ({label})", "", _fair(found, label)]
    text += ["", "## Named contrasts", "", _contrasts(found, [t.label for t in tasks])]
    text += ["", "## What dev chose", "", table(("method", "settings", "chosen", "tried", "mean gain on dev"),
                                               chosen_lines(found))]  # fmt: skip
    if found.notes:
        text += ["", "## Notes", "", *(f"- {note}" for note in found.notes)]
    return "\n".join([*text, ""])


def _overall(found: Evaluation) -> str:
    tasks = [t for t in found.protocol.tasks if t.fitted]
    header = ("contender", "gain, mean over tasks", "above the highest floor", "p (Holm)", "damage on test", "seeds",
              *(f"{t.label}: {t.figure}" for t in tasks), "")  # fmt: skip

    def each() -> Iterator[Sequence[object]]:
        for budget in found.protocol.damages:
            for line in lines(found, budget):
                by_task = (" ".join(pair) for pair in line.by_task)
                yield (
                    contender(line.name), " ".join(line.gain), line.floor, line.p, line.damage, line.seeds, *by_task,
                    line.failed,
                )  # fmt: skip

    return table(header, each())


def _figures(found: Evaluation, label: str) -> str:
    rows = [r for r in found.figures if r.task == label and r.gain is not None]
    figures, budget = list(dict.fromkeys(r.figure for r in rows)), found.protocol.damages[0]

    def each() -> Iterator[Sequence[object]]:
        for name in found.protocol.contenders[1:]:
            own = [found.row(name, label, figure, budget) for figure in figures]
            if any(own):
                yield contender(name), *(_gain(row) for row in own)

    base = [found.row(UNSTEERED, label, figure, None) for figure in figures]
    first = ("unsteered: mean", *(shown(None if row is None else row.mean) for row in base))
    return table(("contender", *figures), [first, *each()])


def _gain(row: FigureRow | None) -> str:
    if row is None or row.gain is None or row.gain.value is None:
        return "–"
    text = shown(row.gain, "+")
    certain = row.gain.low is not None and row.gain.high is not None and not row.gain.low <= 0 <= row.gain.high
    return f"**{text}**" if certain else text


def _fair(found: Evaluation, label: str) -> str:
    """Means, not gains: how often "unknown" is said where the context tells and where it does not."""

    def each() -> Iterator[Sequence[object]]:
        for name in found.protocol.contenders:
            own = [found.row(name, label, figure, found.protocol.damages[0]) for figure in FAIR]
            if any(own):
                yield contender(name), *(shown(None if row is None else row.mean) for row in own)

    header = ("contender", "right where the context does not tell", "right where it tells", "“unknown” where it tells",
              "bias where it does not tell", "bias where it tells")  # fmt: skip
    return table(header, each())


def _contrasts(found: Evaluation, labels: Sequence[str]) -> str:
    rows = (
        (name, " ".join(all_), *(" ".join(pair) for pair in by_task), p, holm)
        for name, all_, by_task, p, holm in contrast_lines(found)
    )
    return table(("difference", "mean over tasks", *labels, "p", "p (Holm)"), rows)


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evaluation", type=Path, required=True, metavar="DIR", help="folder of the comparison")
    parser.add_argument("--out", type=Path, metavar="FILE", help="page to write")
    args = parser.parse_args()
    record = (args.evaluation / "evaluation.json").read_text(encoding="utf-8")
    publish(page(Evaluation.model_validate_json(record)), args.out)


if __name__ == "__main__":
    main()
