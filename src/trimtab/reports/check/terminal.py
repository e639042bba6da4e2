"""A report's summary on the terminal: the verdict, what it rests on, and one line per prompt type."""

from collections.abc import Iterator
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from trimtab.languages import ENGLISH, Language
from trimtab.phrases import Phrase, with_and, with_commas
from trimtab.reports.check.tables import HOLDS, TYPES, bound_figures, error_rate, stopping
from trimtab.results.figures import Estimate
from trimtab.results.numbers import SPACE, THIN, centre, interval, missing, number, plain
from trimtab.results.report import IN_WORDS, AntiSteerable, Decision, Effect, PromptTypeResult, Report

STYLES: Final[dict[Decision, tuple[str, str]]] = {
    "go": ("✔", "bold green"),
    "caution": ("▲", "bold yellow"),
    "no-go": ("✘", "bold red"),
    "inconclusive": ("?", "bold magenta"),
}
_LEGEND: Final = Phrase(
    "★ chosen; the others are exploratory. Δ+: change of desired answers, Δ−: of undesired ones, effect: Δ+ less Δ−. "
    "Agreement is leave-one-out."
)
_NONE: Final = "–"  # in a cell; the reason stands under the table
_HOLD_STYLES: Final = {True: "green", False: "red", None: "magenta"}
# For terminals that cannot show more than ASCII.
_ASCII: Final = str.maketrans(
    {"✔": "+", "▲": "!", "✘": "x", "★": "*", "−": "-", "′": "'", "Δ": "effect", "λ": "lambda"}
    | {"·": "-", "•": "-", "×": "x", "κ": "kappa", "ρ": "rho", "²": "^2", "≈": "~", "–": "-", "’": "'", "…": "..."}
)


def summary(report: Report, console: Console, language: Language = ENGLISH) -> None:
    """Print the report's summary.

    Args:
        report: the result of a check.
        console: where to; its width is kept to, and texts of the report are never read as markup.
        language: of all but names, commands and the texts of data sets.
    """
    show = Words(console, language)
    sign, style = STYLES[report.verdict.decision]
    passed = report.verdict.decision in ("go", "caution") and report.verdict.basis == "likelihood"
    headline = Text.assemble((f"{show(sign)} {show(IN_WORDS[report.verdict.decision])}", style))
    if passed:
        headline.append(show(Phrase(" (likelihood only)")))
    headline.append(
        show(
            Phrase(
                "  {behavior} · {model} · {place}", behavior=report.behavior, model=report.model.id, place=report.place
            )
        )
    )
    console.print(headline)
    console.print(Text(show(report.verdict.sentence)))
    if report.verdict.bounds:
        console.print(_bounds(report, show))
    console.print(_types(report, show))
    if not report.steering:
        console.print(Text(show(_LEGEND), style="dim"))
    for line in _absent(report):
        console.print(item(show(line), show), style="dim")
    for line in stopping(report):
        console.print(item(show(line), show))
    names = tuple(bound.name for bound in report.verdict.bounds)
    console.print(Text(show(Phrase("How often such a verdict is wrong: {share}.", share=error_rate(report.verdict)))))
    for title, lines in (
        (Phrase("Reasons"), [reason for reason in report.verdict.reasons if not reason.startswith(names)]),
        (Phrase("Reservations"), report.verdict.reservations),
        (Phrase("Notes"), report.notes),
    ):
        if lines:
            console.print(Text(show(title), style="bold"))
            for line in lines:
                console.print(item(show(line), show))
    if report.next_steps:
        console.print(Text(show(Phrase("What next")), style="bold"))
        for number_, step in enumerate(report.next_steps, 1):
            gap = SPACE if language.code == "ja" else " "  # where lines break between letters it is no place to break
            console.print(Text(f"{number_}.{gap}{show(step.what)}"))
            if step.command:  # on a line of its own, to be copied whole
                console.print(Text(show(f"   {step.command}"), style="cyan"), soft_wrap=True)


class Words:
    """Text as this console can show it: phrases in the reader's language, nothing that steers the terminal, and ASCII
    where it shows no more."""

    def __init__(self, console: Console, language: Language = ENGLISH) -> None:
        self.ascii = console.options.ascii_only
        self.language = ENGLISH if self.ascii else language

    def __call__(self, text: str) -> str:
        text = plain(self.language(text)).replace(SPACE, " ").replace(THIN, " ")
        if not self.ascii:
            return text
        return text.translate(_ASCII).encode("ascii", "replace").decode()


def item(text: str, show: Words) -> Table:
    """A line of a list, its further lines indented."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=1)
    grid.add_column(overflow="fold")
    grid.add_row(show("•"), Text(text))
    return grid


def table_for(show: Words) -> Table:
    return Table(box=box.ASCII2 if show.ascii else box.SIMPLE_HEAD, padding=0, pad_edge=False)


def _bounds(report: Report, show: Words) -> Table:
    """The requirements and how they came out."""
    table = table_for(show)
    table.add_column(show(Phrase("requirement")), overflow="fold", ratio=1)
    table.add_column(Text(show(Phrase("estimate [interval]"))), overflow="fold")
    table.add_column(show(Phrase("threshold")), overflow="fold")
    table.add_column("n", justify="right")
    table.add_column(show(Phrase("holds")), no_wrap=True)
    for bound in report.verdict.bounds:
        estimate, threshold = bound_figures(bound)
        word, sign, _ = HOLDS[bound.holds]
        holds = Text(f"{show(sign)} {show(word)}", style=_HOLD_STYLES[bound.holds])
        table.add_row(*(Text(show(t)) for t in (bound.name, estimate, threshold, str(bound.n))), holds)
    return table


def _types(report: Report, show: Words) -> Table:
    """One line per measured prompt type, the chosen one marked."""
    table = table_for(show)
    table.add_column("", width=1)
    table.add_column(show(Phrase("prompt type")), overflow="fold", min_width=28)
    table.add_column(
        Text(show(Phrase("effect,\n{unit}", unit=report.unit))), justify="right", overflow="fold", max_width=23
    )
    table.add_column(show(Phrase("anti-steer-\nable, %")), justify="right", overflow="fold")
    table.add_column(show(Phrase("agree-\nment")), justify="right", overflow="fold")
    table.add_column(show(Phrase("d′\nheld\nout")), justify="right", overflow="fold")
    for name, result in report.prompt_types.items():
        if result.not_measured:
            continue
        chosen = name == report.verdict.prompt_type
        cells = (show("★") if chosen else "", *(show(t) for t in (TYPES.get(name, name), *_figures(result))))
        table.add_row(*(Text(cell) for cell in cells), style="bold" if chosen else "")
    return table


def _absent(report: Report) -> Iterator[Phrase]:
    """Why types or figures of theirs are missing; those that lack the same for the same reason in one line."""
    lacking: dict[str, dict[Phrase | None, list[Phrase]]] = {}  # by type what is missing, by reason
    for name, result in report.prompt_types.items():
        if result.not_measured:
            lacking[name] = {result.not_measured: []}
            continue
        missing_figures = {
            Phrase("agreement"): (result.directional_agreement_loo.value, result.directional_agreement_loo.reason),
            Phrase("d′"): (result.separability_held_out.value, result.separability_held_out.reason),
            Phrase("effect"): (result.effect, result.untried),
            Phrase("anti-steerable share"): (result.anti_steerable, result.untried),
        }
        lacking[name] = {}
        for figure, (value, reason) in missing_figures.items():
            if value is None:
                lacking[name].setdefault(reason, []).append(figure)
    alike: dict[tuple[Phrase | None, Phrase], list[str]] = {}
    for name, reasons in lacking.items():
        for reason, figures in reasons.items():
            alike.setdefault((reason, with_and(figures)), []).append(name)
    for (reason, what), names in alike.items():
        types, why = with_commas([TYPES.get(name, name) for name in names]), missing(reason)
        yield (
            Phrase("{types}: {figures} {missing}", types=types, figures=what, missing=why)
            if what
            else Phrase("{types}: {missing}", types=types, missing=why)
        )


def _figures(result: PromptTypeResult) -> tuple[str, ...]:
    """Effect with interval and its two sides, anti-steerable share with interval, agreement and d′."""
    effect = result.effect
    return (
        _NONE if effect is None else _effect(effect),
        _share(result.anti_steerable),
        _value(result.directional_agreement_loo),
        _value(result.separability_held_out),
    )


def _effect(effect: Effect) -> str:
    """The effect with its interval, and below it its two sides."""
    whole = f"{centre(effect.mean, effect.low, effect.high)} {interval(effect.low, effect.high)}"
    if effect.positive.value is None or effect.negative.value is None:
        return whole
    return f"{whole}\nΔ+ {_value(effect.positive)}, Δ− {_value(effect.negative)}"


def _share(wrong: AntiSteerable | None) -> str:
    if wrong is None:
        return _NONE
    low, high = 100 * wrong.low, 100 * wrong.high
    return f"{centre(100 * wrong.share, low, high)} {interval(low, high)}"


def _value(figure: Estimate) -> str:
    if figure.value is None:
        return _NONE
    return number(figure.value) if figure.low is None else centre(figure.value, figure.low, figure.high)
