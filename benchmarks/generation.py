"""Steered over unsteered generation, in tokens per second: trimtab and other libraries, each in its own environment.

    .venv/bin/python benchmarks/generation.py --pairs-of-runs 20 --json out/bench/generation.jsonl

Target for trimtab, steered over plain: the lower end of the interval is at least 0.9, and at most 2 % of the time is
spent inside the hook.

Greedy, 32 new tokens for every prompt (no more and no fewer), the embedded model, batches of 1 and of 16 prompts of
the built-in behavior `sentiment`. Steered means that a vector of zeros is added at block 14, so that the edit runs
and the text stays the same. Every contender generates plain (transformers' own `generate`, nothing installed) and
steered in turn in one process; the table gives ratios of medians with a paired bootstrap interval. trimtab also runs
unsteered and at strength 0, against the same plain runs. Texts are compared before anything is timed: trimtab's own
must be equal, and how many equal those of plain generation stands in the table (in bfloat16 trimtab's head still
computes in float32, so that its choices may differ). A clock around every hook, in the same runs, says what is spent
in hooks. With --json, rows are kept in a file and not measured again; delete it after changes.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import environments
from harness import CONTENDERS, Contender, Ratio, kept, machine, model_folder, ratio, table

import trimtab as tt

BLOCK = 14
HERE = ("trimtab", "one-line hook")  # in this environment
NAMES = (*HERE, "steering-vectors", "repeng", "pyvene")
MIN_RATIO, MAX_INSIDE = 0.9, 0.02
Row = dict[str, Any]


def prompts(n: int) -> list[str]:
    """The first prompts of the built-in behavior."""
    return [e.prompt for e in tt.Behavior.builtin("sentiment").examples[:n]]


def measured(settings: Mapping[str, Any], root: Path) -> Row:
    """All variants of one contender at one batch size."""
    name = settings["contender"]
    python = sys.executable if name in HERE else environments.python_of(name, root)
    script = CONTENDERS / ("generation_ours.py" if name == "trimtab" else "generation_peers.py")
    job = {"name": name, "folder": str(model_folder()), "block": BLOCK, "prompts": prompts(settings["batch"])}
    with Contender(python, script, job | {key: settings[key] for key in ("dtype", "tokens")}) as contender:
        texts = contender.result["texts"]
        if name == "trimtab":
            assert texts["steered"] == texts["strength 0"] == texts["unsteered"], "trimtab's own texts differ"
        runs = [contender.run() for _ in range(settings["pairs_of_runs"])]
    new = settings["tokens"] * settings["batch"]
    variants = {v: figures(v, runs, new) for v in texts if v != "plain"}
    for variant, row in variants.items():
        row["same_texts"] = sum(a == b for a, b in zip(texts[variant], texts["plain"], strict=True))
        row["hook_calls"] = contender.result["calls"][variant]
    return {"variants": variants, "plain_tokens_per_s": new / median(r["taken"]["plain"] for r in runs)}


def figures(variant: str, runs: list[Row], new: int) -> Row:
    """Ratio of tokens per second over plain, and the share of time inside hooks."""
    taken, plain = ([r["taken"][v] for r in runs] for v in (variant, "plain"))
    inside = median(r["inside"][variant] / r["taken"][variant] for r in runs)
    return {"ratio": asdict(ratio(plain, taken)), "inside": inside, "tokens_per_s": new / median(taken)}


def lines(row: Row) -> Iterator[list[object]]:
    """The table's lines for a contender."""
    settings = row["settings"]
    for variant, results in row["variants"].items():
        over = Ratio(**results["ratio"])
        calls, share = results["hook_calls"], f"{results['inside']:.2%}"
        yield [
            *(settings[key] for key in ("dtype", "batch", "contender")),
            variant,
            over,
            "yes" if over.low >= MIN_RATIO else "no",
            f"{share} in {calls} calls" if calls else "no hook",
            f"{results['same_texts']} of {settings['batch']}",
            f"{results['tokens_per_s']:.0f}",
        ]


def target(rows: list[Row]) -> str:
    """Whether trimtab's steered generation keeps both bounds."""
    ours = [r["variants"]["steered"] for r in rows if r["settings"]["contender"] == "trimtab"]
    if not ours:
        return ""
    low, inside = min(v["ratio"]["low"] for v in ours), max(v["inside"] for v in ours)
    rest = "" if all(v["hook_calls"] for v in ours) else ", but some edit is no hook and not counted"
    return (
        f"\ntrimtab steered: lowest bound {low:.2f} (at least {MIN_RATIO}: {'met' if low >= MIN_RATIO else 'missed'}); "
        f"inside hooks {inside:.2%} (at most {MAX_INSIDE:.0%}: {'met' if inside <= MAX_INSIDE else 'missed'}){rest}"
    )


def parsed() -> argparse.Namespace:
    parser = environments.options(__doc__)
    parser.add_argument("--pairs-of-runs", "--repeats", type=int, default=20, help="plain and steered, in turn")
    parser.add_argument("--tokens", type=int, default=32, help="new tokens for each prompt")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--dtype", nargs="+", choices=["float32", "bfloat16"], default=["bfloat16"])
    parser.add_argument("--contender", nargs="+", choices=NAMES, default=list(NAMES))
    return parser.parse_args()


def main() -> None:
    args = parsed()
    print(machine())
    rows = []
    for dtype in args.dtype:
        for batch in args.batch:
            for name in args.contender:
                settings = {"dtype": dtype, "batch": batch, "contender": name, "tokens": args.tokens}
                settings["pairs_of_runs"] = args.pairs_of_runs
                rows.append(kept(args.json, settings, lambda s=settings: measured(s, args.environments)))  # type: ignore[misc]
    header = ["dtype", "batch", "contender", "variant", "tokens/s over plain", f"bound ≥ {MIN_RATIO}", "inside hooks"]
    print(table([*header, "same texts as plain", "tokens/s"], [line for row in rows for line in lines(row)]))
    print(target(rows))


if __name__ == "__main__":
    main()
