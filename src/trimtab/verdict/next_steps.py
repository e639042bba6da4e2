"""What to do after a verdict: from what failed or stayed open to steps that a person can take, with their commands."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from trimtab.decimals import bracketed, decimals
from trimtab.results.numbers import given
from trimtab.results.report import NextStep, Report
from trimtab.verdict.decision import Conclusion
from trimtab.verdict.requirements import DESIRED, EFFECT, ODD

MANY_ROWS = 20_000  # that nobody writes for one check


@dataclass(frozen=True)
class Named:
    """How a behavior and its model are named on a command line.

    Args:
        data: the behavior, with what its reader is told, such as `pairs.jsonl --view statements`.
        model: options that name the model, such as `--model org/name`; empty for the embedded one.
    """

    data: str = "BEHAVIOR"
    model: str = ""

    @property
    def both(self) -> str:
        """Behavior and model."""
        return " ".join(filter(None, (self.data, self.model)))


def next_steps(report: Report, conclusion: Conclusion, named: Named) -> tuple[NextStep, ...]:
    """The steps, the most important first.

    Args:
        report: all but these steps.
        conclusion: of its verdict.
        named: for the commands.
    """
    of = {"no-go": _after_no_go, "inconclusive": _after_inconclusive}.get(conclusion.decision, _after_a_pass)
    return tuple(of(report, conclusion, named))


def _after_no_go(report: Report, conclusion: Conclusion, named: Named) -> Iterator[NextStep]:
    failed = conclusion.failed
    yield NextStep(
        code="no-pilot",
        what="Do not pilot this steering: what was measured says that it would not do what it is for.",
    )
    if any(name == EFFECT or name.startswith(ODD) for name in failed):
        yield NextStep(
            code="read-examples",
            what="Nothing here moves the answers enough. Look at the examples first: do the two answers of a prompt "
            "differ in the behavior and in little else?",
            command=f"trimtab lint {named.data}",
        )
        if report.site_chosen == "given" and report.steering is None:
            yield NextStep(
                code="look-for-site",
                what="The site was given: let the check look for one.",
                command=f"trimtab check {named.both}",
            )
    elif any("anti-steerable" in name for name in failed):
        yield NextStep(
            code="part-in-two",
            what="It moves most examples the right way and too many the wrong way. The report lists those; if they "
            "have something in common, they are a behavior of their own: part the file in two and check both.",
            command=f"trimtab check first.jsonl second.jsonl {named.model}".rstrip(),
        )
        if report.steering is None:
            yield NextStep(
                code="turn-each-token",
                what="One direction may not be enough: a method that turns each token its own way is worth a try.",
                command=f"trimtab fit {named.both} --method k-steering --out {_folder(report, 'k-steering')}",
            )
    if DESIRED in failed and EFFECT not in failed:
        yield NextStep(
            code="less-of-undesired",
            what="Desired answers become rarer too, only less so than undesired ones. If it is enough to hear less of "
            "the undesired ones, say so; it will then be a reservation.",
            command=f"trimtab check {named.both} {_steering(report)}--allow-desired-loss",
        )
    if any("divergence" in name or "capability" in name for name in failed):
        yield from _too_dear(report, named)
    yield from _asking(report, named)


def _too_dear(report: Report, named: Named) -> Iterator[NextStep]:
    """Steps where other text suffers too much."""
    if report.strength_chosen == "given":
        strength, lower = given(report.verdict.strength), decimals(report.verdict.strength / 2, ".2g")
        yield NextStep(
            code="less-strength",
            what=f"The price elsewhere is too high at strength {strength}: try {lower}.",
            command=f"trimtab check {named.both} {_steering(report)}--strength {lower}",
            values={"strength": strength, "lower": lower},
        )
    if report.steering is None:
        yield NextStep(
            code="gate",
            what="A gate leaves text alone that has nothing to do with the behavior.",
            command=f"trimtab fit {named.both} --method probe-gated --out {_folder(report, 'gated')}",
        )


def _asking(report: Report, named: Named) -> Iterator[NextStep]:
    """The step to an instruction, unless it is known to do nothing."""
    if report.steering is not None:
        return
    asked = report.prompting_baseline.effect
    command = f"trimtab fit {named.both} --method instruction --out {_folder(report, 'asked')}"
    if asked.low is None:
        what = "Ask for the behavior in the prompt instead, and check that like a steering."
        yield NextStep(code="ask", what=what, command=command)
        return
    figure = bracketed(asked, plus=True, unit=report.unit)
    if asked.low > 0:
        yield NextStep(
            code="ask-since-it-works",
            what=f"Plainly asking for it moves answers by {figure}: an instruction may do, and costs nothing to try.",
            command=command,
            values={"figure": figure},
        )
    else:
        yield NextStep(
            code="larger-model",
            what=f"Plainly asking for it does no better ({figure}). A larger model is left, or training it in.",
            values={"figure": figure},
        )


def _after_inconclusive(report: Report, conclusion: Conclusion, named: Named) -> Iterator[NextStep]:
    yield NextStep(
        code="decide-nothing",
        what="Do not decide on this: the examples leave it open, which is neither a yes nor a no.",
    )
    for fault in conclusion.blocking:
        yield NextStep(
            code="mend-examples",
            what=f"Mend the examples first: {fault}",
            command=f"trimtab lint {named.data}",
            values={"fault": fault},
        )
    if conclusion.unable:
        yield NextStep(
            code="as-free-text",
            what="The unsteered model does not understand the question; check the answers as free text.",
            command=f"trimtab check {_without_view(named.data)} --view statements {named.model}".rstrip(),
        )
    of_texts = [name for name in conclusion.open if "divergence" in name or "capability" in name]
    if of_texts:
        lower = decimals(report.verdict.strength * 0.8, ".2g")
        yield NextStep(
            code="a-little-less",
            what=f"The {' and the '.join(of_texts)} lies on its bound; a little less strength decides it.",
            command=f"trimtab check {named.both} {_steering(report)}--strength {lower}",
            values={"figures": ", ".join(of_texts), "lower": lower},
        )
    needed = [n for name, n in conclusion.open.items() if name not in of_texts]
    if needed and not conclusion.unable:
        yield _more_rows(report, needed)


def _more_rows(report: Report, needed: list[int | None]) -> NextStep:
    """How many examples would decide it, in rows of the file."""
    rows = report.n_train + report.n_dev + report.n_eval + report.n_replication
    known = [n for n in needed if n is not None]
    total = ceil(max(known) * rows / max(1, report.n_eval_clusters)) if len(known) == len(needed) else None
    if total is None or total > MANY_ROWS:
        return NextStep(
            code="on-its-bound",
            what="The figures lie on their bounds: no number of examples that one could write would decide it. Loosen "
            "a bound for a reason that you can name, or treat it as a no.",
        )
    return NextStep(
        code="more-rows",
        what=f"About {total:,} rows in all would decide it with a chance of 80 %, if the estimates are right; there "
        f"are {rows:,}. Rows that repeat each other in other words do not count; a chat model can draft more.",
        command=f"trimtab draft {shlex.quote(report.behavior)} --description DESCRIPTION --n {total - rows} "
        "--endpoint https://host/v1 --endpoint-model NAME",
        values={"total": f"{total:,}", "rows": f"{rows:,}"},
    )


def _after_a_pass(report: Report, conclusion: Conclusion, named: Named) -> Iterator[NextStep]:
    if conclusion.decision == "caution":
        n = len(report.verdict.reservations)
        yield NextStep(
            code="read-reservations",
            what=f"Read the reservation{'s' if n > 1 else ''} first: a pilot is defensible if you can live with "
            f"{'each of them' if n > 1 else 'it'}, and with less traffic than a go would deserve.",
        )
    folder = "STEERING" if report.steering is not None else _folder(report, "steering")
    if report.steering is None:
        yield NextStep(
            code="make",
            what="Make the steering.",
            command=f"trimtab fit {named.both} --site {_place(report)} --prompt-type {report.verdict.prompt_type} "
            f"--strength {given(report.verdict.strength)} --no-check --out {folder}",
        )
    whole = report.stopping is not None and report.stopping.effort == "thorough"
    if report.steering is None or not whole or report.verdict.basis == "likelihood":
        yield NextStep(
            code="check-the-folder",
            what="Check the very folder that is to go live: all of it on all examples, and text that the model writes, "
            "of which a likelihood says little.",
            command=f"trimtab check {named.both} --steering {folder} --thorough --generate 40 --out {folder}-check",
        )
    yield NextStep(
        code="release",
        what="Put it live for one user in a hundred, with what must not get worse; one command takes it back "
        "(docs/operations.md).",
        command=f"trimtab release create {shlex.quote(report.behavior)} --treatment {folder} --check {folder}-check "
        "--stages 1,5,25,50,100 --guardrail refusal --guardrail errors",
    )


def _place(report: Report) -> str:
    """The site as options name it."""
    assert report.site is not None
    block, component = report.site.block, report.site.component
    return str(block) if component == "residual" else f"{component}:{block}"


def _folder(report: Report, what: str) -> str:
    """A folder's name, quoted for a shell."""
    return shlex.quote(f"{report.behavior}-{what}")


def _steering(report: Report) -> str:
    """What a check of a finished steering is given besides, with a space behind it."""
    return "" if report.steering is None else "--steering STEERING "


def _without_view(data: str) -> str:
    """The behavior's words without the view that they ask for."""
    words = shlex.split(data)
    if "--view" in words:
        at = words.index("--view")
        del words[at : at + 2]
    return shlex.join(words)
