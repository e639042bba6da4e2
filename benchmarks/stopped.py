"""Checks that stop when the decision is certain, against thorough ones: the persona sets and their relabelled twins.

    .venv/bin/python benchmarks/stopped.py --data ../shared/data --again --out docs/results/stopped.md \
        --shipped src/trimtab/verdict/error_rates.json

Every persona set (statements view) is decided as `trimtab check` decides with its default effort; the thorough decision
is that of benchmarks/verdict.py, in benchmarks/rows/verdict.jsonl. Relabelled sets have labels that mean nothing (five
seeds a set): a success of theirs, at any look, would be a false go. Rows are kept in --json, and what is there is not
measured again. Thorough decisions may be older than the code: --again decides thoroughly anew where the two differ.
--shipped writes the figures that reports of such checks quote.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from harness import known, machine, table
from verdict_table import PASSED, errors, missed, of_sets, percent, share, ship, wrong

from trimtab.experiment.effort import DEFAULT
from trimtab.experiment.instrument import SIDES
from trimtab.experiment.progress import Silent, Tally
from trimtab.measurements.effects import PLAIN, Steered, sweep
from trimtab.statistics.sequential import look_ends
from trimtab.verdict.decide import decide
from trimtab.verdict.evidence import NEEDLESS, Omitted, assess
from trimtab.verdict.looks import in_looks, settled
from trimtab.verdict.requirements import DESIRED
from trimtab.workflows.check.forecast import check_steps, like_the_chosen
from trimtab.workflows.choice import choice_steps, choose
from verdict import (
    STRENGTH,
    THRESHOLDS,
    Bench,
    drawn_sets,
    experiment_of,
    outcome,
    relabelled_vectors,
    replication,
    run,
)  # fmt: skip

Row = dict[str, Any]
COMMAND = "benchmarks/stopped.py"


class Stopping(Bench):
    """What a process of the pool holds."""

    def stopped(self, name: str) -> Row:
        """The decision of a check that stops, how far it went, and what the held-out half says of it."""
        start, whole = perf_counter(), experiment_of(self.model, self.persona(name))
        tally = Tally(Silent())
        on = replace(whole, effort=DEFAULT, progress=tally)
        chosen = choose(on, None, None, THRESHOLDS)
        on = replace(on, strength=chosen.strength)
        steering, geometry = chosen.steering, chosen.own_geometry
        looked = in_looks(on, steering, THRESHOLDS)
        omit: set[Omitted] = {"curve", "noise"}
        if looked.settled == "failure":
            omit.update(NEEDLESS)
        evidence = assess(looked.on, steering, geometry=geometry, omit=omit, stop=THRESHOLDS)
        row = outcome(decide(evidence, THRESHOLDS, on.instrument))
        seconds = perf_counter() - start
        like = like_the_chosen(whole, None)
        steps = [*choice_steps(whole, like, True, True), *check_steps(whole, like, (), (), trained=True)]
        site = chosen.site
        assert site is not None
        return {
            **row, "block": site.block, "prompt_type": str(chosen.prompt_type), "strength": chosen.strength,
            "looks": looked.ends, "available": looked.available, "settled": looked.settled, "tokens": tally.amount,
            "thorough": round(whole.cost(steps)), "check_seconds": seconds,
            "replication": replication(replace(whole, strength=on.strength), steering, None, row["decision"] in PASSED),
        }  # fmt: skip

    def relabelled_looks(self, name: str) -> Row:
        """Labels that mean nothing, five times: whether any look would take one for a success."""
        on = experiment_of(self.model, self.persona(name))
        dealt, vectors = relabelled_vectors(on)
        base, *result = sweep(on, "eval", [PLAIN, *((v, STRENGTH) for v in vectors)])
        n, looks = len(base.m), {}
        for seed, (rng, after) in enumerate(zip(dealt, result, strict=True)):
            order = rng.permutation(2 * n)
            found = [
                str(settled(_dealt(on, base, after, order, end), THRESHOLDS, on, vectors[seed])) for end in look_ends(n)
            ]
            looks[str(seed)] = found
        return {"looks": looks, "decision": "passed" if any("success" in f for f in looks.values()) else "not passed"}


def _dealt(on: Any, base: Any, after: Any, order: Any, end: int) -> Steered:
    """The first texts of each side after the labels were dealt anew; −λ is not needed for what is settled."""

    def of(p: Any) -> Any:
        changed: dict[str, Any] = {}
        for prefix in ("", "total_"):
            both = np.concatenate([getattr(p, prefix + side) for side in SIDES])[order]
            plus, minus = np.split(both, 2)
            changed |= {prefix + "positive": plus[:end], prefix + "negative": minus[:end]}
        return replace(p, **changed)

    plain, steered = of(base), of(after)
    mirrored = replace(plain, **{k: 2 * getattr(plain, k) - getattr(steered, k) for k in vars(plain)})
    return Steered(plain, steered, mirrored, on.contrast_of(on.splits.eval).first(end))


# ---- The table -------------------------------------------------------------------------------------------------------


def page(rows: Sequence[Row], thorough: Sequence[Row], seconds: float) -> str:
    """docs/results/stopped.md."""
    earlier, again = _by_name(thorough, "real"), _by_name(rows, "real")
    before = earlier | again
    real = list(_by_name(rows, "stopped").values())
    pairs = [(r, before[r["settings"]["name"]]) for r in real]
    turned = [r["settings"]["name"] for r, b in pairs if b["decision"] == "no-go" and r["decision"] in PASSED]
    first = sum(r["decision"] == earlier[r["settings"]["name"]]["decision"] for r in real)
    saved = [r["thorough"] / r["tokens"] for r in real]
    same = of_sets(real, lambda r: r["decision"] == before[r["settings"]["name"]]["decision"])
    alike = of_sets(real, lambda r: (r["decision"] in PASSED) == (before[r["settings"]["name"]]["decision"] in PASSED))
    text = [
        "# Stopping when it is decided, on real behaviors", "",
        "```",
        f".venv/bin/python benchmarks/stopped.py --data ../shared/data {'--again ' if again else ''}"
        "--out docs/results/stopped.md \\",
        "    --shipped src/trimtab/verdict/error_rates.json", "```", "",
        f"{machine()}; {seconds / 3600:.1f} hours of processes with one thread each, beside other work.", "",
        f"**{len(real)} of {len(before)} persona sets** (statements view), decided as `trimtab check` decides without "
        f"options. The decision is that of the thorough check in {percent(same)}, and both pass or neither does in "
        f"{percent(alike)}; "
        + (f"a no-go became a pass in {', '.join(turned)}." if turned else "no no-go became a pass.")
        + " Intervals go over families of sets."
        + f" As thorough count the decisions of [an earlier study](verdict.md), with which {first} agree; it is older "
        "than the code"
        + (
            f", so {len(again)} of the other {len(real) - first} were decided thoroughly anew. Which of the sets that "
            "agree would then differ is not known."
            if again
            else "."
        ), "",
        "**How often it is wrong.** As in [the study of thorough checks](verdict.md): the same vector on the "
        "replication split, and on texts that nothing else has used.", "",
        table(("decision", "sets", "share of all", "wrong", "clearly", "what the replication misses"), errors(real)),
        "", _by_desired(real), "", _nulls([r for r in rows if r["settings"]["job"] == "relabelled_looks"]), "",
        f"**Work.** A thorough check computes {np.median(saved):.1f} times as many tokens (median over sets; "
        f"{min(saved):.1f} to {max(saved):.1f} times); {sum(r['settled'] is not None for r in real)} sets were settled "
        "before the last look.", "",
        "**Decisions that differ**, and what the second half says of each: bounds that its estimate misses.", "",
        table(
            ("set", "thorough", "its second half", "stopped", "its second half"),
            [
                (r["settings"]["name"], b["decision"], ", ".join(missed(b)) or "all kept", r["decision"],
                 ", ".join(missed(r)) or "all kept")
                for r, b in pairs
                if r["decision"] != b["decision"]
            ],
        ),
        "",
        table(
            ("set", "thorough", "stopped", "looks", "of", "site", "prompt type", "λ", "tokens", "thorough, times"),
            [
                (r["settings"]["name"], b["decision"], r["decision"], ", ".join(map(str, r["looks"])), r["available"],
                 f"{r['block']} ({b['block']})", f"{r['prompt_type']} ({b['prompt_type']})",
                 f"{r['strength']:g} ({b['strength']:g})", f"{r['tokens']:,}", f"{r['thorough'] / r['tokens']:.1f}")
                for r, b in pairs
            ],
        ),
        "", "In brackets what the thorough check chose.",
    ]  # fmt: skip
    return "\n".join(text) + "\n"


def _by_name(rows: Sequence[Row], job: str) -> dict[str, Row]:
    return {r["settings"]["name"]: r for r in rows if r["settings"]["job"] == job}


def differing(rows: Sequence[Row], thorough: Sequence[Row]) -> list[str]:
    """Sets on which a stopping check and the earlier thorough one decide otherwise."""
    before = _by_name(thorough, "real")
    return [name for name, r in _by_name(rows, "stopped").items() if r["decision"] != before[name]["decision"]]


def _by_desired(real: Sequence[Row]) -> str:
    """Passes by whether desired answers become likelier for certain, and how many miss a bound on the second half."""
    passes = [r for r in real if r["decision"] in PASSED]
    certain = [r for r in passes if r["bounds"][str(DESIRED)]["low"] > 0]
    others = [r for r in passes if r not in certain]
    return (
        f"Of the {len(passes)} passes {len(certain)} make desired answers likelier with their whole interval: "
        f"{sum(map(wrong, certain))} of these are wrong, and {sum(map(wrong, others))} of the {len(others)} others, "
        "whose reservation says so."
    )


def _nulls(rows: Sequence[Row]) -> str:
    """How often labels that mean nothing were taken for a success, at any look."""
    taken = [("success" in looks, r["settings"]["name"]) for r in rows for looks in r["looks"].values()]
    if not taken:
        return "Labels that mean nothing have not been tried yet."
    most = share([success for success, _ in taken], [name for _, name in taken], 0.9).high
    return (
        f"**Labels that mean nothing.** {sum(success for success, _ in taken)} of {len(taken)} vectors ({len(rows)} "
        f"sets) were taken for a success at any look; at most {most:.1%} (one-sided, 95 %, clustered by set)."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/rows/stopped.jsonl"))
    parser.add_argument("--thorough", type=Path, default=Path("benchmarks/rows/verdict.jsonl"))
    parser.add_argument("--sets", type=int, help="so many, drawn at random; all of them if not given")
    parser.add_argument("--controls", type=int, help="so many of these relabelled too; all of them if not given")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--again", action="store_true", help="decide thoroughly anew where the decisions differ")
    parser.add_argument("--out", type=Path, help="write the table here")
    parser.add_argument("--shipped", type=Path, help="write what reports quote into this JSON file")
    parser.add_argument("--table", action="store_true", help="of the rows that are there; measure nothing")
    args = parser.parse_args()
    names = drawn_sets(args.data, args.sets)
    wanted = [{"job": "stopped", "name": name} for name in names]
    wanted += [{"job": "relabelled_looks", "name": name} for name in names[: args.controls]]
    if not args.table:
        run(wanted, args.data, args.json, args.processes, Stopping)
        if args.again:
            left = differing(known(args.json), known(args.thorough))
            run([{"job": "real", "name": name} for name in left], args.data, args.json, args.processes, Stopping)
    rows = known(args.json)
    if args.out:
        args.out.write_text(page(rows, known(args.thorough), sum(row["seconds"] for row in rows)))
    if args.shipped:
        real = [row for row in rows if row["settings"]["job"] == "stopped"]
        ship(real, stops=True, command=COMMAND, file=args.shipped)


if __name__ == "__main__":
    main()
