"""A judging on the terminal."""

from rich.console import Console
from rich.text import Text

from trimtab.languages import ENGLISH, Language
from trimtab.phrases import Phrase, with_commas
from trimtab.reports.check.terminal import Words, item
from trimtab.results.judging import JudgeCost, Judging
from trimtab.results.numbers import estimate, given, missing, share


def judging_summary(record: Judging, console: Console, language: Language = ENGLISH) -> None:
    """Print what a judge found, how far it agrees with people, and what it took.

    Args:
        record: the result.
        console: where to; texts of files are never read as markup.
        language: of all but names.
    """
    show = Words(console, language)
    of = Phrase("{file} · {judge} · rubric {rubric}", file=record.file, judge=record.judge, rubric=record.rubric)
    console.print(Text(show(of), style="bold"))
    for line in _findings(record):
        console.print(Text(show(line)))
    console.print(Text(show(record.sentence), style="bold"))
    for line in (*_gaps(record), _spent(record.cost)):
        console.print(item(show(line), show))


def cost_summary(cost: JudgeCost, console: Console, language: Language = ENGLISH) -> None:
    """Print what a judging will take.

    Args:
        cost: as estimated.
        console: where to.
        language: of all of it.
    """
    show = Words(console, language)
    line = Phrase(
        "{requests} requests, {most} if every question needs all its tries: about {read} tokens read (4 bytes each) "
        "and {written} written",
        requests=f"{cost.requests:,}", most=f"{cost.most_requests:,}", read=f"{cost.prompt_tokens:,}",
        written=f"{cost.answer_tokens:,}",
    )  # fmt: skip
    if cost.cost is not None:
        line = Phrase(
            "{line}; {cost}, at most {most}", line=line, cost=given(cost.cost), most=given(cost.most_cost or 0.0)
        )
    console.print(Text(show(line)))
    if cost.kept:
        console.print(Text(show(Phrase("{n} answers are on disk already", n=f"{cost.kept:,}"))))


def _findings(record: Judging) -> list[Phrase]:
    if record.win_rate is None:
        return [
            Phrase("{name}: {figure} of 4 ({n} answers)", name=name, figure=estimate(mean), n=mean.n or 0)
            for name, mean in record.scores.items()
        ]
    rate = record.win_rate
    counts = Phrase(
        "{wins} wins, {ties} ties, {losses} losses of {n} pairs",
        wins=record.wins or 0, ties=record.ties or 0, losses=record.losses or 0, n=record.n,
    )  # fmt: skip
    if rate.value is None:
        return [
            Phrase("win rate of the second answers {missing} ({counts})", missing=missing(rate.reason), counts=counts)
        ]
    if rate.low is not None and rate.high is not None and rate.low <= 0.5 <= rate.high:
        meaning = Phrase("no difference is shown")
    elif rate.value > 0.5:
        meaning = Phrase("the second answers are preferred")
    else:
        meaning = Phrase("the first answers are preferred")
    wins = share(rate.value, rate.low, rate.high)
    return [
        Phrase(
            "The second answers win {share} ({counts}, ties half): {meaning}.",
            share=wins,
            counts=counts,
            meaning=meaning,
        )
    ]


def _gaps(record: Judging) -> list[Phrase]:
    lines = []
    if record.disagreed is not None and record.disagreed.value is not None:
        changed = share(record.disagreed.value, record.disagreed.low, record.disagreed.high)
        line = Phrase("in {share} of the pairs the verdict changes with the order", share=changed)
        if record.shown_first is not None:
            first = share(record.shown_first)
            line = Phrase("{line}; the answer shown first is preferred {share}", line=line, share=first)
        lines.append(line)
    if record.missing:
        reasons = [Phrase("{count} {why}", count=count, why=why) for why, count in record.missing.items()]
        lines.append(
            Phrase(
                "{n} of {all} have no judgement: {reasons}",
                n=record.n_rows - record.n, all=record.n_rows, reasons=with_commas(reasons),
            )
        )  # fmt: skip
    if record.fault:
        lines.append(Phrase("what the last failed question met: {fault}", fault=record.fault))
    if record.n_cut:
        lines.append(Phrase("{n} have a text too long to be shown whole", n=record.n_cut))
    return lines


def _spent(cost: JudgeCost) -> Phrase:
    line = Phrase(
        "spent on these answers: {requests} requests, {read} tokens read and {written} written",
        requests=f"{cost.spent_requests:,}", read=f"{cost.spent_prompt_tokens:,}",
        written=f"{cost.spent_answer_tokens:,}",
    )  # fmt: skip
    return line if cost.spent_cost is None else Phrase("{line}, {cost}", line=line, cost=given(cost.spent_cost))
