"""What to do after a verdict: from what failed or stayed open to steps that a person can take, with their commands."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from trimtab.decimals import bracketed, decimals
from trimtab.measurements.generated_text import LIKELIHOOD_ONLY
from trimtab.phrases import Phrase
from trimtab.results.numbers import given
from trimtab.results.report import NextStep, Outlook, Report
from trimtab.verdict.decision import Conclusion
from trimtab.verdict.requirements import DESIRED, EFFECT, GENERATED, ODD

MANY_ROWS = 20_000  # that nobody writes for one check
FEW_TO_LEARN_FROM = 5  # training examples, below which a vector is worth steadying
LEAST_CHANCE = 0.02  # below which a chance is only bounded


@dataclass(frozen=True)
class CommandWords:
    """How a behavior, its model and the conditions of its check are named on a command line.

    Args:
        data: the behavior, with what its reader is told, such as `pairs.jsonl --view statements`.
        model: options that name the model, such as `--model org/name`; empty for the embedded one.
        served: the name under which a server has the model; empty for the embedded one.
        check: conditions of a check that are not its defaults, such as `--seed 3 --max-kl 0.2`.
        fit: those of them that a fit has too.
    """

    data: str = "BEHAVIOR"
    model: str = ""
    served: str = ""
    check: str = ""
    fit: str = ""


def next_steps(report: Report, conclusion: Conclusion, named: CommandWords, chats: bool = True) -> tuple[NextStep, ...]:
    """The steps, the most important first.

    Args:
        report: all but these steps.
        conclusion: of its verdict.
        named: for the commands.
        chats: whether the model has a chat template, through which requests go when it is served.
    """
    commands = _Commands(report, named, chats)
    of = {"no-go": _after_no_go, "inconclusive": _after_inconclusive}.get(conclusion.decision, _after_a_pass)
    return tuple(of(report, conclusion, commands))


@dataclass(frozen=True)
class _Commands:
    """Commands on the same behavior, model and conditions."""

    report: Report
    named: CommandWords
    chats: bool

    def check(self, *more: str, steering: str | None = None, data: str | None = None) -> str:
        """A check; of the finished steering, if that was checked."""
        n = self.named
        made = steering or ("STEERING" if self.report.steering is not None else None)
        return _joined("trimtab check", data or n.data, n.model, n.check, f"--steering {made}" if made else "", *more)

    def fit(self, *more: str) -> str:
        """A fit."""
        n = self.named
        return _joined("trimtab fit", n.data, n.model, n.fit, *more)

    def advise(self) -> str:
        """All remedies tried."""
        n = self.named
        return _joined("trimtab advise", n.data, n.model, n.fit, f"--out {_folder(self.report, 'advice')}")

    def weaker(self, factor: float) -> tuple[str, str]:
        """A lower strength, and a check at it, where this one was."""
        lower = given(float(f"{self.report.verdict.strength * factor:.2g}"))
        r = self.report
        where = "" if r.steering is not None else f"--site {_place(r)} --prompt-type {r.verdict.prompt_type}"
        return lower, self.check(where, f"--strength {lower}")

    def release(self, folder: str, check: str) -> str:
        """A release of a folder for few users."""
        served = f"--model {shlex.quote(self.named.served)}" if self.named.served else ""
        return _joined(
            f"trimtab release create {shlex.quote(self.report.behavior)} --treatment {folder} --check {check}", served,
            "" if self.chats else "--no-chat-template", "--stages 1,5,25,50,100 --guardrail refusal --guardrail errors",
        )  # fmt: skip


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _after_no_go(report: Report, conclusion: Conclusion, commands: _Commands) -> Iterator[NextStep]:
    failed = conclusion.failed
    still = any(name == EFFECT or name.startswith(ODD) for name in failed)
    yield NextStep(
        code="no-pilot",
        what=Phrase("Do not pilot this steering: what was measured says that it would not do what it is for."),
    )
    if still:
        yield NextStep(
            code="read-examples",
            what=Phrase(
                "Nothing here moves the answers enough. Look at the examples first: do the two answers of a "
                "prompt differ in the behavior and in little else?"
            ),
            command=f"trimtab lint {commands.named.data}",
        )
        if report.site_chosen == "given" and report.steering is None:
            what = Phrase("The site was given: let the check look for one.")
            yield NextStep(code="look-for-site", what=what, command=commands.check())
    elif any("anti-steerable" in name for name in failed):
        yield NextStep(
            code="part-in-two",
            what=Phrase(
                "It moves most examples the right way and too many the wrong way. The report lists those; if "
                "they have something in common, they are a behavior of their own: part the file in two and "
                "check both."
            ),
            command=_joined("trimtab check first.jsonl second.jsonl", commands.named.model),
        )
        if report.steering is None:
            yield NextStep(
                code="turn-each-token",
                what=Phrase(
                    "One direction may not be enough: a method that turns each token its own way is worth a try."
                ),
                command=commands.fit(f"--method k-steering --out {_folder(report, 'k-steering')}"),
            )
    if DESIRED in failed and not still:
        yield NextStep(
            code="less-of-undesired",
            what=Phrase(
                "Desired answers become rarer too, only less so than undesired ones. If it is enough to hear "
                "less of the undesired ones, say so; it will then be a reservation."
            ),
            command=commands.check("--allow-desired-loss"),
        )
    if any(name.startswith(GENERATED) for name in failed):
        yield NextStep(
            code="read-what-it-writes",
            what=Phrase(
                "Answers become likelier, and the texts that the model writes do not follow. Read the "
                "continuations in the report: likelihood alone is no reason for a pilot."
            ),
        )
    if any("divergence" in name or "capability" in name for name in failed):
        yield from _too_dear(report, commands)
    yield from _asking(report, commands, still)
    yield NextStep(
        code="advise",
        what=Phrase("Or let trimtab try what else may work, from prompting to trained gates; it takes a while."),
        command=commands.advise(),
    )


def _too_dear(report: Report, commands: _Commands) -> Iterator[NextStep]:
    """Steps where other text suffers too much."""
    if _edits(report) and (report.strength_chosen == "given" or report.steering is not None):
        strength, (lower, command) = given(report.verdict.strength), commands.weaker(0.5)
        yield NextStep(
            code="less-strength",
            what=Phrase(
                "The price elsewhere is too high at strength {strength}: try {lower}.", strength=strength, lower=lower
            ),
            command=command,
            values={"strength": strength, "lower": lower},
        )
    if report.steering is None:
        yield NextStep(
            code="gate",
            what=Phrase("A gate leaves text alone that has nothing to do with the behavior."),
            command=commands.fit(f"--method probe-gated --out {_folder(report, 'gated')}"),
        )


def _asking(report: Report, commands: _Commands, still: bool) -> Iterator[NextStep]:
    """The step to an instruction, unless it is known to do nothing; `still`: nor does steering."""
    if report.steering is not None:
        return
    asked = report.prompting_baseline.effect
    command = commands.fit(f"--method instruction --out {_folder(report, 'asked')}")
    if asked.low is None or asked.high is None or asked.low <= 0 < asked.high:
        what = Phrase("Ask for the behavior in the prompt instead, and check that like a steering.")
        yield NextStep(code="ask", what=what, command=command)
        return
    figure = bracketed(asked, plus=True, unit=report.unit)
    if asked.low > 0:
        yield NextStep(
            code="ask-since-it-works",
            what=Phrase(
                "Plainly asking for it moves answers by {figure}: an instruction may do, and costs nothing to try.",
                figure=figure,
            ),
            command=command,
            values={"figure": figure},
        )
    elif still:
        yield NextStep(
            code="larger-model",
            what=Phrase(
                "Plainly asking for it does no better ({figure}). A larger model is left, or training it in.",
                figure=figure,
            ),
            values={"figure": figure},
        )


def _after_inconclusive(report: Report, conclusion: Conclusion, commands: _Commands) -> Iterator[NextStep]:
    yield NextStep(
        code="decide-nothing",
        what=Phrase("Do not decide on this: what was measured leaves it open, which is neither a yes nor a no."),
    )
    for fault in conclusion.blocking:
        yield NextStep(
            code="mend-examples",
            what=Phrase("Mend the examples first: {fault}", fault=fault),
            command=f"trimtab lint {commands.named.data}",
            values={"fault": fault},
        )
    if conclusion.unable:
        yield NextStep(
            code="as-free-text",
            what=Phrase("The unsteered model does not understand the question; check the answers as free text."),
            command=commands.check("--view statements", data=_without_view(commands.named.data)),
        )
    written = {name: n for name, n in conclusion.open.items() if name.startswith(GENERATED)}
    dear = [name for name in conclusion.open if "divergence" in name or "capability" in name]
    if written:
        yield from _more_texts(report, list(written.values()), commands)
    if dear and _edits(report):
        lower, command = commands.weaker(0.8)
        yield NextStep(
            code="a-little-less",
            what=Phrase(
                "The {figures} lies on its bound; at strength {lower} it may well keep it.",
                figures=_and_the(dear),
                lower=lower,
            ),
            command=command,
            values={"figures": ", ".join(dear), "lower": lower},
        )
    needed = [n for name, n in conclusion.open.items() if name not in (*written, *dear)]
    ahead = report.verdict.outlook
    if ahead is not None and not conclusion.unable:
        yield _as_it_goes_on(report, ahead)
    elif needed and not conclusion.unable:
        yield _more_rows(report, needed)
    if needed and report.steering is None and report.n_train < FEW_TO_LEARN_FROM:
        yield NextStep(
            code="shrink",
            what=Phrase(
                "{n} examples make a vector that holds a good deal of chance. Until there are more, directions known "
                "beforehand can steady it.",
                n=report.n_train,
            ),
            command=commands.fit(f"--shrink-toward built-in --out {_folder(report, 'shrunk')}"),
            values={"n": str(report.n_train)},
        )


def _more_texts(report: Report, needed: list[int | None], commands: _Commands) -> Iterator[NextStep]:
    """How many prompts must be continued for generated text to decide, while there are more."""
    known = [n for n in needed if n is not None]
    available = report.n_eval if report.stopping is None else report.stopping.available
    n = min(max(known, default=available), available)
    if n <= report.generated.n:
        return
    yield NextStep(
        code="more-texts",
        what=Phrase("Generated text leaves it open: have the model continue {n} prompts.", n=n),
        command=commands.check(f"--thorough --generate {n}"),
        values={"n": str(n)},
    )


def _as_it_goes_on(report: Report, ahead: Outlook) -> NextStep:
    """How many further rows would settle it if they are like those so far, and which way."""
    values: dict[str, str] = {"rows": f"{ahead.rows:,}", "open": _and_the(ahead.open)}
    if ahead.rows_fewest is None or ahead.rows_half is None:
        values |= {"horizon": f"{ahead.rows_horizon:,}", "settled": _chance(ahead.passes + ahead.fails)}
        what = Phrase(
            "Still open after {rows} rows: the {open}, which lies near its bound. If further rows are like these, even "
            "{horizon} more would settle it with a chance of {settled} only. Loosen a bound for a reason that you can "
            "name, or treat it as a no.",
            **values,
        )
        return NextStep(code="on-its-bound", what=what, values=values)
    values |= {"fewest": f"{ahead.rows_fewest:,}", "half": f"{ahead.rows_half:,}"}
    values |= {"passes": _chance(ahead.passes), "fails": _chance(ahead.fails)}
    if ahead.rows_most is None:
        values |= {"horizon": f"{ahead.rows_horizon:,}"}
        what = Phrase(
            "Still open after {rows} rows: the {open}. If further rows are like these, {fewest} more would settle it "
            "in one of ten simulated futures and {half} in half of them; {horizon} are not enough for nine of ten. "
            "With {horizon} the chance of a go or caution is {passes}, of a no-go {fails}. Rows that repeat each other "
            "in other words do not count; a chat model can draft more.",
            **values,
        )
    else:
        values |= {"most": f"{ahead.rows_most:,}"}
        what = Phrase(
            "Still open after {rows} rows: the {open}. If further rows are like these, between {fewest} and {most} "
            "more would settle it (in 8 of 10 simulated futures; {half} in half of them). With {most} the chance of a "
            "go or caution is {passes}, of a no-go {fails}. Rows that repeat each other in other words do not count; a "
            "chat model can draft more.",
            **values,
        )
    return NextStep(code="more-rows", what=what, command=_drafting(report, ahead.rows_half), values=values)


def _chance(share: float) -> Phrase:
    """A chance from some hundred simulated futures, which show no certainty."""
    if share < LEAST_CHANCE:
        return Phrase("less than {bound}", bound=decimals(LEAST_CHANCE, ".0%"))
    if share > 1 - LEAST_CHANCE:
        return Phrase("more than {bound}", bound=decimals(1 - LEAST_CHANCE, ".0%"))
    return Phrase("about {share}", share=decimals(share, ".0%"))


def _drafting(report: Report, more: int) -> str:
    return (
        f"trimtab draft {shlex.quote(report.behavior)} --description DESCRIPTION --n {more} "
        "--endpoint https://host/v1 --endpoint-model NAME"
    )


def _more_rows(report: Report, needed: list[int | None]) -> NextStep:
    """How many examples would decide it, in rows of the file."""
    rows = report.n_train + report.n_dev + report.n_eval + report.n_replication
    known = [n for n in needed if n is not None]
    total = ceil(max(known) * rows / max(1, report.n_eval_clusters)) if len(known) == len(needed) else None
    if total is None or total > MANY_ROWS:
        return NextStep(
            code="on-its-bound",
            what=Phrase(
                "The figures lie on their bounds: no number of examples that one could write would decide "
                "it. Loosen a bound for a reason that you can name, or treat it as a no."
            ),
        )
    more = max(2, total - rows)
    return NextStep(
        code="more-rows",
        what=Phrase(
            "About {total} rows in all would decide it with a chance of 80 %, if the estimates are right; "
            "there are {rows}. Rows that repeat each other in other words do not count; a chat model can "
            "draft more.",
            total=f"{rows + more:,}",
            rows=f"{rows:,}",
        ),
        command=_drafting(report, more),
        values={"total": f"{rows + more:,}", "rows": f"{rows:,}"},
    )


def _after_a_pass(report: Report, conclusion: Conclusion, commands: _Commands) -> Iterator[NextStep]:
    if conclusion.decision == "caution":
        yield NextStep(
            code="read-reservations",
            what=Phrase(
                "Read the reservations first: a pilot is defensible if you can live with each of them, and with less "
                "traffic than a go would deserve."
            )
            if len(report.verdict.reservations) > 1
            else Phrase(
                "Read the reservation first: a pilot is defensible if you can live with it, and with less traffic than "
                "a go would deserve."
            ),
        )
    written = [n for name, n in conclusion.doubtful.items() if name.startswith(GENERATED)]
    if written:
        yield from _more_texts(report, written, commands)
    finished, strength = report.steering is not None, given(report.verdict.strength)
    folder, check = ("STEERING", "CHECK") if finished else (_folder(report, "steering"), "")
    if not finished:
        yield NextStep(
            code="make",
            what=Phrase("Make the steering."),
            command=commands.fit(
                f"--site {_place(report)} --prompt-type {report.verdict.prompt_type} --strength {strength} --no-check "
                f"--out {folder}"
            ),
        )
    elif report.verdict.strength != 1:
        folder = "STEERING@PRESET"
        yield NextStep(
            code="preset",
            what=Phrase(
                "It was checked at {strength} times its own strengths: keep them as a preset of the "
                "steering, since a release serves what is stored.",
                strength=strength,
            ),
            values={"strength": strength},
        )
    whole = report.stopping is not None and report.stopping.effort == "thorough"
    as_served = report.chat_template or not commands.chats
    unwritten = report.generated.reason == LIKELIHOOD_ONLY.reason
    if not finished or not whole or unwritten or not as_served:
        check = f"{folder.partition('@')[0]}-check"
        yield NextStep(
            code="check-the-folder",
            what=Phrase(
                "Check the very folder that is to go live, as it will be asked: all of it, on all examples, and by the "
                "text that it makes the model write."
            ),
            command=commands.check(
                "" if as_served else "--chat-template", f"--strength {strength}" if "@" in folder else "",
                f"--thorough --out {check}", steering=folder.partition("@")[0],
            ),
        )  # fmt: skip
    yield NextStep(
        code="release",
        what=Phrase(
            "Put it live for one user in a hundred, with what must not get worse; one command takes it "
            "back (docs/operations.md)."
        ),
        command=commands.release(folder, check),
    )


def _and_the(names: Sequence[Phrase]) -> Phrase:
    """Names one after another: `a and the b`."""
    first, *others = names
    return Phrase("{first} and the {others}", first=first, others=_and_the(others)) if others else first


def _edits(report: Report) -> bool:
    """Whether strength matters: text in front of prompts is there or not."""
    return report.steering is None or bool(report.steering.edits)


def _place(report: Report) -> str:
    """The site as options name it."""
    assert report.site is not None
    block, component = report.site.block, report.site.component
    return str(block) if component == "residual" else f"{component}:{block}"


def _folder(report: Report, what: str) -> str:
    """A folder's name, quoted for a shell."""
    return shlex.quote(f"{report.behavior}-{what}")


def _without_view(data: str) -> str:
    """The behavior's words without the view that they ask for."""
    words = shlex.split(data)
    if "--view" in words:
        at = words.index("--view")
        del words[at : at + 2]
    return shlex.join(words)
