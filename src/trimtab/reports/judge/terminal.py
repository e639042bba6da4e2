"""A judging on the terminal."""

from rich.console import Console
from rich.text import Text

from trimtab.reports.check.terminal import Words, item
from trimtab.results.figures import Estimate
from trimtab.results.judging import JudgeCost, Judging
from trimtab.results.numbers import given, missing, share, spread


def judging_summary(record: Judging, console: Console) -> None:
    """Print what a judge found, how far it agrees with people, and what it took.

    Args:
        record: the result.
        console: where to; texts of files are never read as markup.
    """
    show = Words(console)
    console.print(Text(show(f"{record.file} · {record.judge} · rubric {record.rubric}"), style="bold"))
    for line in _findings(record):
        console.print(Text(show(line)))
    console.print(Text(show(record.sentence), style="bold"))
    for line in (*_gaps(record), _spent(record.cost)):
        console.print(item(show(line), show))


def cost_summary(cost: JudgeCost, console: Console) -> None:
    """Print what a judging will take.

    Args:
        cost: as estimated.
        console: where to.
    """
    show = Words(console)
    tokens = f"about {cost.prompt_tokens:,} tokens read (4 bytes each) and {cost.answer_tokens:,} written"
    money = "" if cost.cost is None else f"; {given(cost.cost)}, at most {given(cost.most_cost or 0.0)}"
    line = f"{cost.requests:,} requests, {cost.most_requests:,} if every question needs all its tries: {tokens}{money}"
    console.print(Text(show(line)))
    if cost.kept:
        console.print(Text(show(f"{cost.kept:,} answers are on disk already")))


def _findings(record: Judging) -> list[str]:
    if record.win_rate is None:
        return [f"{name}: {_figure(mean)} of 4 ({mean.n} answers)" for name, mean in record.scores.items()]
    rate = record.win_rate
    counts = f"{record.wins} wins, {record.ties} ties, {record.losses} losses of {record.n} pairs"
    if rate.value is None:
        return [f"win rate of the second answers {missing(rate.reason)} ({counts})"]
    between = rate.low is not None and rate.high is not None and rate.low <= 0.5 <= rate.high
    meaning = (
        "no difference is shown"
        if between
        else f"the {'second' if rate.value > 0.5 else 'first'} answers are preferred"
    )
    return [f"The second answers win {share(rate.value, rate.low, rate.high)} ({counts}, ties half): {meaning}."]


def _gaps(record: Judging) -> list[str]:
    lines = []
    if record.disagreed is not None and record.disagreed.value is not None:
        d = record.disagreed
        first = (
            "" if record.shown_first is None else f"; the answer shown first is preferred {share(record.shown_first)}"
        )
        lines.append(
            f"in {share(d.value or 0.0, d.low, d.high)} of the pairs the verdict changes with the order{first}"
        )
    if record.missing:
        reasons = ", ".join(f"{count} {why}" for why, count in record.missing.items())
        lines.append(f"{record.n_rows - record.n} of {record.n_rows} have no judgement: {reasons}")
    if record.fault:
        lines.append(f"what the last failed question met: {record.fault}")
    if record.n_cut:
        lines.append(f"{record.n_cut} have a text too long to be shown whole")
    return lines


def _spent(cost: JudgeCost) -> str:
    money = "" if cost.spent_cost is None else f", {given(cost.spent_cost)}"
    tokens = f"{cost.spent_prompt_tokens:,} tokens read and {cost.spent_answer_tokens:,} written"
    return f"spent on these answers: {cost.spent_requests:,} requests, {tokens}{money}"


def _figure(figure: Estimate) -> str:
    return missing(figure.reason) if figure.value is None else spread(figure.value, figure.low, figure.high)
