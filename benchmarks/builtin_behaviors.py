"""The built-in behaviors and the capability probe on the embedded model: writes docs/builtins.md.

    .venv/bin/python benchmarks/builtin_behaviors.py --out docs/builtins.md

Every behavior is checked (`trimtab check NAME --thorough`); every item of the capability probe is scored once by
the unsteered model, and none is left out. Finished checks are kept under --work and not repeated.
"""

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness import machine, table
from scipy.stats import binomtest

import trimtab as tt
from trimtab.behaviors import Behavior, Probe, builtin, builtin_names
from trimtab.behaviors.controls import CONTROLS
from trimtab.measurements.probe_margins import margins
from trimtab.results import Report

SHOWN = 5  # examples of each behavior


def checked(model: tt.Model, name: str, work: Path) -> Report:
    """The report of a check, read if it was made before."""
    file = work / name / "report.json"
    if not file.is_file():
        print(f"checking {name} …", flush=True)
        command = f"trimtab check {name} --thorough"
        tt.check(model, builtin(name), effort="thorough", folder=work / name, command=command)
    return Report.model_validate_json(file.read_text())


def verdict_row(report: Report) -> list[object]:
    p = report.prompt_types[report.verdict.prompt_type]
    assert p.effect is not None
    assert p.anti_steerable is not None
    assert report.site is not None
    loo, d, anti = p.directional_agreement_loo, p.separability_held_out, p.anti_steerable
    return [
        f"`{report.behavior}`",
        f"**{report.verdict.decision}**",
        f"{loo.value:.2f} [{loo.low:.2f}, {loo.high:.2f}]",
        f"{d.value:.1f} [{d.low:.1f}, {d.high:.1f}]",
        f"{p.effect.mean:.2f} [{p.effect.low:.2f}, {p.effect.high:.2f}]",
        f"{anti.share:.0%} [{anti.low:.0%}, {anti.high:.0%}]",
        f"{report.side_effects.kl.value:.2f}",
        report.site.block,
        f"{report.verdict.strength:g}",
        report.verdict.prompt_type,
        anti.n,
    ]


def capability_rows(model: tt.Model) -> Iterator[list[object]]:
    probe = Probe.builtin("capability")
    right = margins(model, probe)[0] > 0
    kinds = [*dict.fromkeys(probe.kinds), "all"]
    for kind in kinds:
        hits = [bool(r) for r, k in zip(right, probe.kinds, strict=True) if kind in (k, "all")]
        ci = binomtest(sum(hits), len(hits)).proportion_ci(method="wilson")
        share = f"{sum(hits) / len(hits):.1%} [{ci.low:.1%}, {ci.high:.1%}]"
        yield [kind, len(hits), share]


def section(behavior: Behavior, report: Report) -> Iterator[str]:
    """A section on one behavior: what it is, five examples, the results."""
    yield f"### {behavior.name}\n"
    yield f"{behavior.description} {len(behavior.examples)} examples. {report.verdict.sentence}\n"
    for reservation in report.verdict.reservations:
        yield f"- Reservation: {reservation}."
    if report.verdict.reservations:
        yield ""
    yield f"> + {behavior.instruction('positive')}<br>− {behavior.instruction('negative')}\n"
    step = len(behavior.examples) // SHOWN
    rows = [[e.prompt, e.positive.strip(), e.negative.strip()] for e in behavior.examples[:: max(1, step)][:SHOWN]]
    yield table(["prompt", "positive", "negative"], [[cell.replace("|", "\\|") for cell in row] for row in rows])
    yield ""


def page(model: tt.Model, work: Path) -> Iterator[str]:
    reports = {name: checked(model, name, work) for name in builtin_names()}
    order = sorted(reports, key=lambda name: (name in CONTROLS or name == "null", name))
    yield "# The built-in behaviors and probes\n"
    yield (
        "All sentences are the project's own. Each behavior contrasts two ways to go on from a prompt, matched in "
        "length, without templates; `trimtab lint` is clean on each. The last three are controls with nothing to steer "
        "toward: `null` (ordinary continuations, labelled by chance), `shuffled` (`sentiment` with the answers "
        "exchanged in half of the rows) and `length-only` (`null` with the longer answer as the positive one).\n"
    )
    yield "## Verdicts on the embedded model\n"
    yield (
        f"`.venv/bin/python benchmarks/builtin_behaviors.py --out docs/builtins.md`; {machine()};\n"
        "SmolLM2-135M-Instruct in bfloat16, thorough checks, seed 0. Figures are of the site, prompt type and strength "
        "λ that dev chose, with 95 % intervals; agreement is leave-one-out, d′ is held out, KL is on neutral text.\n"
    )
    head = ["behavior", "verdict", "agreement", "d′", "effect, nats/token", "anti-steerable", "KL", "block", "λ"]
    yield table([*head, "prompt type", "n"], [verdict_row(reports[name]) for name in order])
    yield "\n## The capability probe\n"
    probe, neutral, refusal = (Probe.builtin(name) for name in ("capability", "neutral", "over-refusal"))
    kinds = ", ".join(f"{n} {kind}" for kind, n in Counter(probe.kinds).items())
    yield (
        f"{len(probe.examples)} minimal pairs of our own ({kinds}). "
        "An item is right if the log-probability of the right ending, summed over its tokens, exceeds the wrong one's. "
        "Written without looking at any model's answers; no item was dropped after this was measured.\n"
    )
    yield table(["kind", "items", "unsteered model right"], list(capability_rows(model)))
    yield (
        f"\nTwo more probes wait beside it: `neutral`, {len(neutral.texts)} paragraphs of neutral prose, and "
        f"`over-refusal`, {len(refusal.examples)} harmless requests that look sensitive at first sight, each with an "
        "answer and a refusal.\n"
    )
    yield "## The behaviors\n"
    for name in order:
        yield from section(builtin(name), reports[name])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/bench/builtins-page.md"))
    parser.add_argument("--work", type=Path, default=Path("out/bench/builtins"))
    args = parser.parse_args(arguments)
    lines = list(page(tt.load("smollm2"), args.work))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text("\n".join(lines).rstrip() + "\n")
    print("\n".join(line for line in lines if line.startswith(("|", "#"))))


if __name__ == "__main__":
    main()
