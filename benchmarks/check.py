"""A whole reliability check at a given site: trimtab against a script around steering-vectors, each in its environment.

    .venv/bin/python benchmarks/check.py --repeats 3 --json out/bench/check.jsonl

Target: faster than the script in the same dtype.

The figures: mean-difference vectors of the seven prompt types at block 14; the change of every evaluation example at
strength +1 and -1 of each; the strength curve of one type. The script gets them as the library's README shows:
`train_steering_vector` with its defaults, one forward pass per text under `vector.apply`, log-probabilities from all
logits, float32, batch 1; and once more with batches of 8 for both. Its texts are trimtab's own, token for token; its
prompt type for the curve is the one that trimtab chose.

trimtab does a whole `check` through its public function, which is more: it chooses the prompt type on dev, maps the
blocks, measures numerical noise and geometry, continues ten prompts, and computes all intervals. It runs three times:
as the script does it (float32, the vectors read at the last token), where effects must agree with the script's before
anything is timed; with its defaults (vectors read as means over the answer) in float32; and with its defaults in its
own dtype. The behavior is `sentiment` with fewer examples, to be affordable. Runs alternate; the table gives ratios
of medians. With --json, rows are kept in a file and not measured again; delete it after changes.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import environments
import numpy as np
from harness import CONTENDERS, Contender, Ratio, alternate, kept, machine, model_folder, ratio, table

import trimtab as tt
from trimtab.behaviors import PromptType, deduplicate, render, render_bare, split
from trimtab.behaviors.behavior import Side
from trimtab.models import Encoded
from trimtab.texts import Rendered

BEHAVIOR, BLOCK, PEER = "sentiment", 14, "steering-vectors"
STRENGTHS, CURVE_ROWS = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5), 100
Row = dict[str, Any]
OURS: dict[str, Row] = {
    "float32, last token": {"dtype": "float32", "read": "last"},
    "float32, defaults": {"dtype": "float32", "read": None},
    "all defaults": {"dtype": "auto", "read": None},
}
ALIKE = "float32, last token"
CORRELATED, CLOSE = 0.99, 0.02  # over prompt types; nats per token
SIDES: tuple[Side, ...] = ("positive", "negative")


def texts_of(train: int, evaluation: int) -> Row:
    """What the script works on: texts as trimtab renders them, beginning-of-text token included."""
    behavior, _ = deduplicate(tt.Behavior.builtin(BEHAVIOR))
    splits = split(behavior, train=train, evaluation=evaluation, seed=0)
    encoder = tt.load(model_folder(), dtype="bfloat16").encoder()
    first = encoder.tokenizer.bos_token
    rows: list[Encoded] = []

    def text(rendered: Rendered) -> str:
        rows.extend(encoder.encode([rendered]))
        return str(first + rendered.context + rendered.prompt + rendered.answer)

    shots = splits.shots.examples
    training = {
        t.value: [[text(render(behavior, e, side, t, shots)) for side in SIDES] for e in splits.train.examples]
        for t in PromptType
    }
    examples = []
    for e in splits.eval.examples:
        one: Row = {}
        for side in SIDES:
            one[side] = text(render_bare(e, side))
            one[f"{side}_prompt"] = rows[-1].prompt_len
        examples.append(one)
    return {"train": training, "evaluation": examples, "tokens": sum(len(r.ids) for r in rows)}


def agreement(ours: Row, theirs: Row) -> dict[str, float]:
    """How far the figures of two contenders are apart.

    Raises:
        AssertionError: too far.
    """
    mine, other = (np.array([np.mean(r["effects"][t]) for t in theirs["effects"]]) for r in (ours, theirs))
    single = max(np.abs(np.subtract(ours["effects"][t], theirs["effects"][t])).max() for t in theirs["effects"])
    curve = max(abs(ours["curve"][s] - theirs["curve"][s]) for s in theirs["curve"])
    results = {
        "correlation": float(np.corrcoef(mine, other)[0, 1]),
        "mean effect": float(np.abs(mine - other).max()),
        "odd part": max(abs(ours["odd"][t] - theirs["odd"][t]) for t in theirs["odd"]),
        "curve": curve,
        "single example": float(single),
    }
    assert results["correlation"] > CORRELATED, f"mean effects differ: {results}"
    assert max(results["mean effect"], results["odd part"], curve) < CLOSE, f"figures differ: {results}"
    return results


def measured(settings: Mapping[str, Any], root: Path) -> Row:
    """All contenders in alternation."""
    with ExitStack() as stack:
        contenders: dict[str, Contender] = {}

        def start(name: str, python: str, script: str, job: Row) -> Row:
            print(f"first run of {name} …", file=sys.stderr, flush=True)
            job = {"folder": str(model_folder()), "site": BLOCK, **job}
            contenders[name] = stack.enter_context(Contender(python, CONTENDERS / script, job))
            return dict(contenders[name].result)

        sizes = {key: settings[key] for key in ("train", "evaluation")}
        own = {"name": "trimtab", "behavior": BEHAVIOR, **sizes}
        results = {name: start(name, sys.executable, "check_ours.py", own | how) for name, how in OURS.items()}
        job = {"name": PEER, "strengths": STRENGTHS, "curve_rows": CURVE_ROWS, **texts_of(**sizes)}
        apart = {}
        for batch in settings["batches"]:
            job |= {"batch": batch, "chosen": results[ALIKE]["chosen"]}
            theirs = start(scripted(batch), environments.python_of(PEER, root), "check_peers.py", job)
            apart[scripted(batch)] = agreement(results[ALIKE], theirs)
        runs = alternate(contenders, settings["repeats"])
    scripts = [scripted(batch) for batch in settings["batches"]]
    return {
        "ratios": {script: {name: asdict(ratio(runs[script], runs[name])) for name in OURS} for script in scripts},
        "seconds": {name: median(taken) for name, taken in runs.items()},
        "dtypes": {name: result["dtype"] for name, result in results.items()},
        "apart": apart,
    }


def scripted(batch: int) -> str:
    """Name of the script at a batch size."""
    return f"{PEER}, batch {batch}"


def lines(row: Row) -> list[Sequence[object]]:
    """One for each way to run trimtab."""
    out: list[Sequence[object]] = []
    for name in OURS:
        ratios = [Ratio(**by_name[name]) for by_name in row["ratios"].values()]
        out.append([name, row["dtypes"][name], *ratios, f"{row['seconds'][name]:.0f} s"])
    return out


def parsed() -> argparse.Namespace:
    parser = environments.options(__doc__)
    parser.add_argument("--train", type=int, default=60, help="training examples")
    parser.add_argument("--evaluation", type=int, default=40, help="evaluation examples")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8], help="batch sizes of the script")
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


def main() -> None:
    args = parsed()
    print(machine())
    settings = {key: getattr(args, key) for key in ("train", "evaluation", "batches", "repeats")}
    row = kept(args.json, settings, lambda: measured(settings, args.environments))
    over = [f"over {script}" for script in row["ratios"]]
    print(table(["trimtab", "dtype", *over, "a check takes"], lines(row)))
    for name, apart in row["apart"].items():
        print(f"\n{name} takes {row['seconds'][name]:.0f} s; apart from trimtab (nats/token):", end=" ")
        print(", ".join(f"{figure} {value:.2g}" for figure, value in apart.items()))


if __name__ == "__main__":
    main()
