"""Tables of what benchmarks/verdict.py measured: docs/results/verdict.md, and the error rates that reports quote.

    .venv/bin/python benchmarks/verdict_table.py --json out/bench/verdict.jsonl --out docs/results/verdict.md \
        --shipped src/trimtab/verdict/error_rates.json

Intervals are over families of sets (`desire-…` are near copies of each other), those of controls over sets.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from fooling import MARK
from harness import known, machine, table

import trimtab as tt
from trimtab.statistics import Interval, share_interval
from trimtab.verdict.error_rates import RULES
from trimtab.verdict.requirements import DESIRED, EFFECT
from verdict import ANTI, DIRECTIONS, FOREIGN, PAIRS, SEEDS, STRENGTH, THRESHOLDS, family

Row = dict[str, Any]
PASSED = ("go", "caution")
DECISIONS = ("go", "caution", "no-go", "inconclusive")
CONTROLS = {  # title: job, and how the names of its vectors begin
    f"shuffled labels, {SEEDS} seeds a set": ("shuffled", ""),
    f"random pairs, {PAIRS} random splits of one file": ("pairs", ""),
    "the longer half of the statements": ("longer", ""),
    f"random directions as long as the vector, {DIRECTIONS} a set": ("strangers", "random"),
    f"vectors of other families, {FOREIGN} a set": ("strangers", "of"),
}
SHORT = {
    EFFECT: "effect",
    "effect in the vector's direction (odd part), against random directions": "odd part",
    ANTI: "anti-steerable",
    DESIRED: "desired answers",
    "divergence on neutral text (KL)": "KL, neutral text",
    "divergence on other prompts (KL)": "KL, other prompts",
}


def missed(row: Row, how: str = "missed") -> list[str]:
    """Requirements that the replication misses (by the estimate) or fails (by the whole interval)."""
    return [SHORT[name] for name, figure in row["replication"].items() if figure[how]]


def wrong(row: Row, how: str = "missed") -> bool:
    """Whether the decision was: a pass that misses something, or a no-go that misses nothing."""
    return bool(missed(row, how)) is (row["decision"] in PASSED)


def percent(i: Interval) -> str:
    return f"{i.value:.1%} [{i.low:.1%}, {i.high:.1%}]"


def share(flags: Sequence[bool], clusters: Sequence[str], level: float = 0.95) -> Interval:
    """Share of true flags; rows of one cluster count for as much as they are worth."""
    return share_interval(np.array(flags), np.array(clusters), level)


def of_sets(rows: Sequence[Row], flag: Callable[[Row], bool]) -> Interval:
    return share([flag(row) for row in rows], [family(row["settings"]["name"]) for row in rows])


def errors(real: Sequence[Row]) -> Iterator[list[object]]:
    """Per decision: how many, how many wrong, and by what."""
    for title, which in (("go or caution", PASSED), *((d, (d,)) for d in DECISIONS)):
        rows = [row for row in real if row["decision"] in which]
        of_all = percent(of_sets(real, lambda row, w=which: row["decision"] in w))  # type: ignore[misc]
        if not rows or title == "inconclusive":
            yield [f"**{title}**", len(rows), of_all, "–", "–", "–"]
            continue
        names = [name for row in rows if wrong(row) for name in missed(row)]
        what = ", ".join(f"{name} ({names.count(name)})" for name in dict.fromkeys(names)) or "–"
        clearly = sum(bool(missed(row, "fails")) for row in rows) if title != "no-go" else "–"
        yield [f"**{title}**", len(rows), of_all, f"{sum(map(wrong, rows))}: {_rate(rows)}", clearly, what]


def _rate(rows: Sequence[Row]) -> str:
    """Share of wrong verdicts, with an interval where there are families to resample."""
    return percent(of_sets(rows, wrong)) if len({family(r["settings"]["name"]) for r in rows}) > 1 else "one family"


def agreement(real: Sequence[Row]) -> Iterator[list[object]]:
    """How the second half's estimates lie to the first half's intervals."""
    for name in (EFFECT, ANTI):
        pairs = [(r["bounds"][name], r["replication"][name], r) for r in real]
        inside = [a["low"] <= b["value"] <= a["high"] for a, b, _ in pairs]
        same = [_difference_holds_zero(a, b) for a, b, _ in pairs]
        clusters = [family(r["settings"]["name"]) for _, _, r in pairs]
        yield [SHORT[name], len(pairs), percent(share(same, clusters)), percent(share(inside, clusters))]


def _difference_holds_zero(a: Row, b: Row) -> bool:
    """Square-and-add interval of the difference (Newcombe 1998)."""
    gap = a["value"] - b["value"]
    low = gap - np.hypot(a["value"] - a["low"], b["high"] - b["value"])
    high = gap + np.hypot(a["high"] - a["value"], b["value"] - b["low"])
    return bool(low <= 0 <= high)


def controls(rows: Sequence[Row]) -> Iterator[list[object]]:
    """Per kind of control: how many passed, and the upper bound of the share that does."""
    kinds = {title: list(_tried(rows, *which)) for title, which in CONTROLS.items()}
    null = [one for title in list(CONTROLS)[:2] for one in kinds[title]]
    for title, tried in {"**null: both of the next two**": null, **kinds}.items():
        if not tried:
            continue
        clusters, vectors = [name for name, _ in tried], [vector for _, vector in tried]
        passed = [v.get("decision") in PASSED for v in vectors]
        second = [v for v, p in zip(vectors, passed, strict=True) if p and "replication" in v]
        false = sum(any(f["missed"] for f in v["replication"].values()) for v in second)
        go = sum(v.get("decision") == "go" for v in vectors)
        bound = f"{share(passed, clusters, 0.9).high:.1%}" if len(set(clusters)) > 1 else "–"
        low, high = np.percentile([v["effect"]["value"] for v in vectors], [2.5, 97.5])
        yield [title, len(tried), len(set(clusters)), sum(passed), go, bound, false, f"{low:+.2f} to {high:+.2f}"]


def _tried(rows: Sequence[Row], job: str, begins: str) -> Iterator[tuple[str, Row]]:
    """Vectors of a kind, each with the set it was tried on."""
    for row in rows:
        if row["settings"]["job"] == job:
            name = row["settings"].get("name", "random pairs")
            yield from ((name, v) for k, v in row["vectors"].items() if k.startswith(begins))


def single(real: Sequence[Row]) -> Iterator[list[object]]:
    """One line a set."""
    for row in sorted(real, key=lambda r: (DECISIONS.index(r["decision"]), r["settings"]["name"])):
        first, second = row["bounds"], row["replication"]
        yield [
            row["settings"]["name"],
            row["decision"],
            ", ".join(missed(row)) or "none",
            *(f"{f[EFFECT]['value']:.2f} [{f[EFFECT]['low']:.2f}, {f[EFFECT]['high']:.2f}]" for f in (first, second)),
            *(f"{f[ANTI]['value']:.0%} [{f[ANTI]['low']:.0%}, {f[ANTI]['high']:.0%}]" for f in (first, second)),
            row["block"],
            row["prompt_type"],
            f"{row['strength']:g}",
        ]


def ship(real: Sequence[Row], stops: bool, command: str, file: Path) -> None:
    """Write what reports quote of one rule; that of the other stays as it is."""
    kept = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps({**kept, RULES[stops]: _rates(real, command, tt.load("smollm2"))}, indent=1) + "\n")


def _rates(real: Sequence[Row], command: str, model: tt.Model) -> Row:
    """A go and a caution claim the same and are counted together."""
    decisions: dict[str, Row] = {}
    for which in (PASSED, ("no-go",)):
        rows = [row for row in real if row["decision"] in which]
        i, bad = of_sets(rows, wrong), sum(map(wrong, rows))
        rate = {"n": len(rows), "wrong": bad, "low": float(i.low), "high": float(i.high)}
        decisions |= dict.fromkeys(which, rate)
    return {
        "model": model.id,
        "digest": model.digest,
        "dtype": str(model.dtype).removeprefix("torch."),
        "data": f"{len(real)} public sets of statements",
        "command": command,
        "thresholds": asdict(THRESHOLDS),
        "decisions": decisions,
    }


def page(rows: Sequence[Row]) -> Iterator[str]:
    real = [row for row in rows if row["settings"]["job"] == "real"]
    hours = sum(row["seconds"] for row in rows) / 3600
    yield "# How often the verdict is wrong\n"
    yield (
        "```\n.venv/bin/python benchmarks/verdict.py --data ../shared/data --json benchmarks/rows/verdict.jsonl \\\n"
        "    --controls 20\n"
        ".venv/bin/python benchmarks/verdict_table.py --json benchmarks/rows/verdict.jsonl \\\n"
        "    --out docs/results/verdict.md --shipped src/trimtab/verdict/error_rates.json\n```\n"
    )
    took = f"{hours:.1f} hours of two processes together, beside other work"
    yield f"{machine()}; SmolLM2-135M-Instruct in bfloat16; {took}.\n"
    yield (
        f"**Real behaviors.** {len(real)} persona sets of anthropics/evals, their statements (matching against not "
        "matching, unpaired), each checked as `trimtab check SET --view statements` does: site, prompt type and "
        "strength chosen on dev, decided on the evaluation split (the strength curve, which can turn a go into a "
        "caution, was left out). The same vector was then measured on the replication split and on neutral paragraphs "
        "and prompts that nothing else had used. A pass is *wrong* if an estimate there misses its bound, a no-go if "
        "none does. Replication is as small as evaluation, so part of what counts as wrong is its own chance: "
        "*clearly* wrong is a pass whose replication interval lies beyond a bound altogether. Capability is not part "
        "of the truth. Intervals go over families of sets.\n"
    )
    head = ["decision", "sets", "share of all", "wrong", "clearly", "what the replication misses"]
    yield table(head, errors(real)) + "\n"
    yield (
        "**Two halves.** How often the interval of the difference between the halves holds zero (92 to 98 % wanted), "
        "and how often the 95 % interval of the first holds the estimate of the second (83 % expected).\n"
    )
    yield table(["figure", "sets", "difference holds 0", "interval holds the second"], agreement(real)) + "\n"
    yield (
        "**Controls.** There is nothing to steer toward, so a go or a caution is a false one. The bound is one-sided, "
        f"95 %, clustered by set. Relabelled sets have prefilled vectors at block 14 and strength {STRENGTH:g}; random "
        "directions and other families' vectors act at the site and strength of the set's own. A vector of another "
        "family may truly move a behavior; *missed on replication* counts those that passed and then missed a bound.\n"
    )
    columns = ["control", "vectors", "sets", "passed", "of these go", "upper bound", "missed on replication"]
    yield table([*columns, "effect, nats/token (95 % of them)"], controls(rows)) + "\n"
    yield "**Each set.** Effects in nats per token and anti-steerable shares, evaluation and replication.\n"
    columns = ["set", "verdict", "replication misses", "effect", "again", "anti-steerable", "again"]
    yield table([*columns, "block", "prompt type", "λ"], single(real))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=Path("out/bench/verdict.jsonl"))
    parser.add_argument("--out", type=Path, help="Markdown file")
    parser.add_argument("--shipped", type=Path, help="JSON file")
    args = parser.parse_args()
    rows = known(args.json)
    text = "\n".join(page(rows)) + "\n"
    print(text)
    if args.out:  # the part between the marks is another benchmark's
        old = args.out.read_text().split(MARK) if args.out.is_file() else []
        args.out.write_text(text + (f"\n{MARK}{old[1]}{MARK}\n" if len(old) == 3 else ""))
    if args.shipped:
        real = [row for row in rows if row["settings"]["job"] == "real"]
        ship(real, stops=False, command="benchmarks/verdict.py", file=args.shipped)


if __name__ == "__main__":
    main()
