"""What the tables of a comparison hold, worked out from the record."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from trimtab.phrases import Phrase, untranslated, with_commas
from trimtab.reports.check.tables import cell
from trimtab.reports.evaluate.statements import OVERALL, above_floors, contender
from trimtab.results.evaluation import FLOORS, UNSTEERED, Evaluation, FigureRow, Tried, highest_floor
from trimtab.results.figures import Estimate
from trimtab.results.numbers import given, missing, number

Pair = tuple[str, str]  # a value and its interval, over two lines
NONE: Final[Pair] = ("–", "")

WORDS: Final = (
    (
        Phrase("Gain"),
        Phrase(
            "How much better a method answers than the unsteered model, on the same questions. Over all tasks each "
            "task counts equally, in shares of the range of its figure, or where that has none in standard "
            "deviations."
        ),
    ),
    (
        Phrase("Damage"),
        Phrase(
            "What a steering costs, in nats per token: the largest of the divergence on neutral text and on prompts, "
            "and of what desired answers lose in log-probability. All methods are brought to the same damage on few "
            "texts of dev; the table shows what it came to on others, which is never quite the same."
        ),
    ),
    (
        Phrase("Floor"),
        Phrase(
            "What a model reaches that is only broken, at the same damage: a temperature, a random direction, and a "
            "direction fitted to shuffled labels. A gain that is not above all three says nothing about the method."
        ),
    ),
    (
        Phrase("Seed"),
        Phrase(
            "Another deal of the questions or templates to fitting, choosing and measuring, and another start of "
            "every training."
        ),
    ),
    (
        Phrase("Interval"),
        Phrase(
            "95 %, over questions or templates and seeds together: both are drawn, and Student's t takes as many "
            "degrees of freedom as the fewer of them allow."
        ),
    ),
    (
        Phrase("p, Holm"),
        Phrase(
            "How often chance alone would show as much. Against the floors: the largest of the three, adjusted for "
            "all methods and tasks; of contrasts: adjusted for all that are named. None with a single seed, where a "
            "seed gave nothing, or where the damages are not the same."
        ),
    ),
    (
        Phrase("Lock-box"),
        Phrase(
            "A quarter of the questions or templates that no seed has used. It is opened once, after everything else "
            "was measured, and that is recorded."
        ),
    ),
)


BETTER: Final = {
    "higher": Phrase("higher"), "lower": Phrase("lower"), "nearer 0": Phrase("nearer 0"), "neither": Phrase("neither"),
}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """A contender at a damage."""

    name: str
    kind: str
    gain: Pair
    floor: str
    p: str
    damage: str
    by_task: Sequence[Pair]
    seeds: str
    failed: Phrase


def lines(found: Evaluation, budget: float) -> list[Line]:
    """The contenders at a damage, in the protocol's order; those without strength stand in every table."""
    out, adjusted = [], above_floors(found, OVERALL, budget)
    for name in found.protocol.contenders:
        whole = found.whole(name, budget)
        if whole is None:
            continue
        tasks = [(t.label, t.figure) for t in found.protocol.tasks if t.fitted]
        rows = [found.row(name, label, figure, budget) for label, figure in tasks]
        out.append(
            Line(
                name, _kind(name), NONE if name == UNSTEERED else cell(whole.gain), _over(whole.above),
                number(adjusted[name], 2) if name in adjusted else "",
                "–" if whole.damage is None else number(whole.damage),
                [NONE if row is None else _mean(row) for row in rows],
                str(whole.n_seeds), whole.failed or untranslated(""),
            )
        )  # fmt: skip
    return out


def _kind(name: str) -> str:
    return "floor" if name in FLOORS else "unsteered" if name == UNSTEERED else "method"


def _mean(row: FigureRow) -> Pair:
    return cell(row.mean)


def _over(above: Mapping[str, Estimate]) -> str:
    """The floor that a method gains least over, and how much."""
    highest = highest_floor(above)
    if highest is None:
        return ""
    value, ends = cell(above[highest])
    return Phrase("{gain} {ends} over {floor}", gain=value, ends=ends, floor=contender(highest))


@dataclass(frozen=True)
class Effect:
    """What each contender does to a figure."""

    task: str
    figure: str
    meaning: str
    better: str
    fitted: bool
    cells: Sequence[tuple[Pair, str]]  # the gain or the mean, and whether it is good or bad for certain


def side_effects(
    found: Evaluation, meanings: Mapping[tuple[str, str], tuple[str, str]]
) -> tuple[list[str], list[Effect]]:
    """Names of contenders, and a row for every figure: means, coloured where the gain is certain.

    Args:
        found: the comparison.
        meanings: by task and figure, its meaning and which way is better.
    """
    budget = found.protocol.damages[0]
    names = [n for n in found.protocol.contenders if found.whole(n, budget) is not None]
    rows = []
    for task in found.protocol.tasks:
        figures = dict.fromkeys(r.figure for r in found.figures if r.task == task.label)
        for figure in figures:
            meaning, better = meanings.get((task.label, figure), ("", ""))
            cells = [_effect(found.row(n, task.label, figure, budget)) for n in names]
            rows.append(Effect(task.label, figure, meaning, better, task.fitted, cells))
    return names, rows


def _effect(row: FigureRow | None) -> tuple[Pair, str]:
    if row is None:
        return NONE, ""
    gain = row.gain
    certain = "" if gain is None or gain.low is None or gain.high is None else (
        "good" if gain.low > 0 else "bad" if gain.high < 0 else ""
    )  # fmt: skip
    return cell(row.mean), certain


def contrast_lines(found: Evaluation) -> list[tuple[str, Pair, list[Pair], str, str]]:
    """Each named contrast: name, difference, by task, p and p after Holm."""
    return [
        (
            Phrase("{first} − {second}", first=contender(c.first), second=contender(c.second)),
            cell(c.difference), [cell(e) for e in c.by_task.values()],
            "–" if c.p is None else number(c.p, 2), "–" if c.p_holm is None else number(c.p_holm, 2),
        )
        for c in found.contrasts
    ]  # fmt: skip


def chosen_lines(found: Evaluation) -> Iterator[tuple[str, str, int, int, str]]:
    """Each candidate of a method: settings, seeds that chose it, seeds that tried it, gains on dev."""
    for name, by_seed in found.tried.items():
        every: dict[str, list[Tried]] = {}
        for tried in by_seed.values():
            for row in tried:
                every.setdefault(settings_text(row.settings), []).append(row)
        for text, rows in every.items():
            gains = [r.gain for r in rows if r.gain is not None]
            mean = number(sum(gains) / len(gains)) if gains else missing(rows[0].reason)
            yield name, text, sum(r.chosen for r in rows), len(rows), mean


def settings_text(settings: Mapping[str, Any]) -> str:
    """Hyperparameters in words."""
    words = [f"{k.replace('_', ' ')} {_value(v)}" for k, v in settings.items()]
    return with_commas(words) if words else Phrase("defaults")


def _value(value: Any) -> str:
    return given(value) if isinstance(value, float) else str(value)
