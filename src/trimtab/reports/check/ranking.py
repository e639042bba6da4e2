"""Checked behaviors side by side, best first: a table on the terminal, and a page that links their reports."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from rich.console import Console
from rich.text import Text

from trimtab.languages import ENGLISH, Language
from trimtab.phrases import Phrase
from trimtab.reports.check.tables import IntervalBar, cell
from trimtab.reports.check.terminal import STYLES, Words, table_for
from trimtab.reports.html import document
from trimtab.results.numbers import estimate, given, in_unit, number
from trimtab.results.report import DECISIONS, IN_WORDS, AntiSteerable, Effect, Report
from trimtab.storage.atomic import save_texts

INDEX: Final = "index.html"
ORDER: Final = Phrase("by verdict, then by the lower end of the effect’s interval")
# Said wherever several are ranked by what was measured once.
FLATTERS: Final = Phrase(
    "The first of several is the best after the fact, so its figures flatter; what it does on other examples will "
    "tend to be less."
)
UNITS: Final = Phrase(
    "Effects in different units cannot be compared: those of choices are in logits, of free text in nats per token."
)
_NONE: Final = "–"


def effect_of(report: Report) -> Effect | None:
    """The effect that a report's verdict is about; None where it was not measured."""
    found = report.prompt_types.get(report.verdict.prompt_type)
    return None if found is None else found.effect


def wrong_of(report: Report) -> AntiSteerable | None:
    """The share pushed the wrong way that a report's verdict is about; None where it was not measured."""
    found = report.prompt_types.get(report.verdict.prompt_type)
    return None if found is None else found.anti_steerable


def ranked(reports: Iterable[Report]) -> list[Report]:
    """Best first: by decision, then by the lower end of the effect's interval; without an effect last."""

    def key(report: Report) -> tuple[int, float]:
        effect = effect_of(report)
        return DECISIONS.index(report.verdict.decision), float("-inf") if effect is None else effect.low

    return sorted(reports, key=key, reverse=True)


def site_of(report: Report) -> str:
    """Where it steers, as `--site` takes it; sites of a finished steering one after another."""
    if report.steering is not None:
        return ", ".join(report.steering.edits) or _NONE
    if report.site is None:
        return _NONE
    block, component = report.site.block, report.site.component
    return str(block) if component == "residual" else f"{component}:{block}"


def ranking(reports: Sequence[Report], console: Console, language: Language = ENGLISH) -> None:
    """Print the reports as one table, best first.

    Args:
        reports: of several behaviors.
        console: where to; texts of the reports are never read as markup.
        language: of all but names and texts of data sets.
    """
    show = Words(console, language)
    units = _units(reports)
    table = table_for(show)
    table.add_column(show(Phrase("behavior")), overflow="fold")
    table.add_column(show(Phrase("verdict")), no_wrap=True)
    table.add_column(
        Text(show(Phrase("effect,\n{unit}", unit=units[0]) if len(units) == 1 else Phrase("effect"))), justify="right"
    )
    table.add_column(show(Phrase("wrong way, %")), justify="right")
    table.add_column("KL", justify="right", no_wrap=True)
    table.add_column(show(Phrase("site")), overflow="fold", justify="right")
    table.add_column(show("λ"), justify="right", no_wrap=True)
    table.add_column("s", justify="right", no_wrap=True)
    for report in ranked(reports):
        sign, style = STYLES[report.verdict.decision]
        kl = report.side_effects.kl
        effect = [show(line) for line in _lines(effect_of(report))]
        if len(units) > 1 and effect != [_NONE]:
            effect.append(show(report.unit))
        wrong = [show(line) for line in _lines(wrong_of(report))]
        row = (
            *("\n".join(effect), "\n".join(wrong), _NONE if kl.value is None else number(kl.value, 2)),
            *(site_of(report), given(report.verdict.strength), number(report.seconds)),
        )
        verdict = Text(f"{show(sign)} {show(IN_WORDS[report.verdict.decision])}", style=style)
        table.add_row(Text(show(report.behavior)), verdict, *(Text(show(text)) for text in row))
    console.print(Text(show(Phrase("{n} behaviors, ranked {order}", n=len(reports), order=ORDER)), style="bold"))
    console.print(table)
    console.print(Text(" ".join(map(show, _remarks(units))), style="dim"))


def _lines(figure: Effect | AntiSteerable | None) -> list[str]:
    """A value, and below it its interval."""
    return [_NONE] if figure is None else list(cell(figure))


def _remarks(units: Sequence[Phrase]) -> list[Phrase]:
    """What to bear in mind of a ranking."""
    return [FLATTERS, UNITS] if len(units) > 1 else [FLATTERS]


def _units(reports: Iterable[Report]) -> list[Phrase]:
    return list(dict.fromkeys(report.unit for report in reports))


@dataclass(frozen=True)
class Row:
    """A behavior on the page.

    Args:
        report: its report.
        link: to the report's page.
        sign: of the verdict.
        bar: the effect's interval on the scale of its unit; None where no effect was measured.
        kind: `good` where the whole interval lies above what is required, `bad` where below, `open` where across.
    """

    report: Report
    link: str
    sign: str
    bar: IntervalBar | None
    kind: str

    @property
    def effect(self) -> Effect | None:
        """See `effect_of`."""
        return effect_of(self.report)

    @property
    def wrong(self) -> AntiSteerable | None:
        """See `wrong_of`."""
        return wrong_of(self.report)

    @property
    def site(self) -> str:
        """See `site_of`."""
        return site_of(self.report)

    @property
    def said(self) -> Phrase:
        """The drawing in words."""
        return in_unit(estimate_of(self.effect), self.report.unit)


def estimate_of(effect: Effect | None) -> str:
    """An effect with its interval in one line."""
    from trimtab.results.figures import Estimate

    return estimate(Estimate() if effect is None else Estimate(value=effect.mean, low=effect.low, high=effect.high))


def rows(reports: Sequence[Report], links: Sequence[str]) -> list[Row]:
    """The rows of the page, best first.

    Args:
        reports: of several behaviors.
        links: to their pages, in the same order.
    """
    link_of = {id(report): link for report, link in zip(reports, links, strict=True)}
    scales = {unit: _scale([r for r in reports if r.unit == unit]) for unit in _units(reports)}
    found = []
    for report in ranked(reports):
        effect, least = effect_of(report), report.thresholds.get("min_effect", 0.0)
        bar, kind = None, "open"
        if effect is not None:
            low, high, value, threshold = (
                round(4 + 92 * (x - scales[report.unit][0]) / scales[report.unit][1], 2)
                for x in (effect.low, effect.high, effect.mean, least)
            )
            bar = IntervalBar(low, value, high, threshold, above=True)
            kind = "good" if effect.low > least else "bad" if effect.high < least else "open"
        found.append(Row(report, link_of[id(report)], STYLES[report.verdict.decision][0], bar, kind))
    return found


def _scale(reports: Iterable[Report]) -> tuple[float, float]:
    """Where a scale begins that holds 0 and the intervals and requirements of all, and how far it reaches."""
    ends = [0.0]
    for report in reports:
        effect = effect_of(report)
        ends += [report.thresholds.get("min_effect", 0.0), *((effect.low, effect.high) if effect is not None else ())]
    return min(ends), max(ends) - min(ends) or 1.0


def index_page(reports: Sequence[Report], links: Sequence[str], language: Language = ENGLISH) -> str:
    """The page as one HTML document that needs nothing but the pages that it links.

    Args:
        reports: of several behaviors.
        links: to their pages, in the same order.
        language: of all but names and texts of data sets.
    """
    counted: Mapping[str, int] = Counter(report.verdict.decision for report in reports)
    return document(
        "ranking.html",
        {},
        language=language,
        rows=rows(reports, links),
        first=reports[0],
        count=[(counted[decision], IN_WORDS[decision]) for decision in reversed(DECISIONS) if counted[decision]],
        models=list(dict.fromkeys(report.model.id for report in reports)),
        threads=sorted({report.threads for report in reports}),
        units=_units(reports),
        order=ORDER,
        remarks=_remarks(_units(reports)),
    )


def save_index(reports: Sequence[Report], folder: str | Path, language: Language = ENGLISH) -> Path:
    """Write `index.html` into a folder that holds a folder of each behavior's name, with its report.

    Returns:
        The file.

    Raises:
        InputError: the folder cannot be written, or belongs to a steering.
    """
    links = [f"{quote(report.behavior)}/report.html" for report in reports]
    return save_texts(folder, "index", {INDEX: index_page(reports, links, language)}) / INDEX
