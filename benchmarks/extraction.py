"""Mean-difference vectors at one middle block: trimtab against other libraries, each in its own environment.

    .venv/bin/python benchmarks/extraction.py --pairs 200 1000 --repeats 5 --json out/bench/extraction.jsonl

Jobs: `text`, the built-in behavior `sentiment` (beyond its 260 rows prompts meet other rows' answers: for timing only);
`choice`, persona questions from $TRIMTAB_DATA/mwe/persona, " Yes" against " No" whichever matches (matching answers are
balanced; what is left of their mean differs by rounding in bfloat16); `five-shot`, five solved examples in front of a
prompt, 255 rows at most. The last token is read, every text begins with the same beginning-of-text token.

Every contender is a process with the embedded model. Its vector must agree with ours: that of the first 32 pairs before
anything is timed, that of all pairs after. Peers run at their default batch size, and at the fastest of it, 8, 16 and
32; runs alternate. `plain` is a transformers loop in this environment. "As each comes" is our default dtype against the
peer's, float32, at its default batch size. With --json, rows are kept in a file and not measured again; delete it after
changes.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import environments
import numpy as np
from harness import CONTENDERS, Contender, Ratio, alternate, keep, known, machine, model_folder, ratio, table

import trimtab as tt
from trimtab.behaviors import PromptType, render

BLOCK = 14
DEFAULT_BATCH = {"steering-vectors": 1, "repeng": 32, "nnsight": 1, "plain": 1}
BATCHES = (8, 16, 32)
FORMS = ("text", "choice", "five-shot")
# Cosine. In bfloat16 a plain loop's vector of the five-shot job has 0.998 with its own in float32.
AGREE = {"float32": 0.999, "bfloat16": 0.995, "own": 0.995}
LONG = 150_000  # characters in all from which a job is timed in half the rounds
Row = dict[str, Any]
Sides = tuple[list[str], list[str]]


def texts_of(form: str, pairs: int) -> Sides:
    """Texts of the positive and of the negative side, without the beginning-of-text token.

    Raises:
        LookupError: the form has not so many pairs, or its data is not there; the message says which.
    """
    source = {"text": _text_pairs, "choice": _choice_pairs, "five-shot": _shot_pairs}[form]()
    results = list(islice(source, pairs))
    if len(results) < pairs:
        raise LookupError(f"{form}: there are {len(results)} pairs, not {pairs}")
    return [positive for positive, _ in results], [negative for _, negative in results]


def _text_pairs() -> Iterator[tuple[str, str]]:
    examples = tt.Behavior.builtin("sentiment").examples
    for shift in range(len(examples)):
        for i, e in enumerate(examples):
            other = examples[(i + shift) % len(examples)]
            yield e.prompt + other.positive, e.prompt + other.negative


def _choice_pairs() -> Iterator[tuple[str, str]]:
    folder = Path(os.environ.get("TRIMTAB_DATA", "")) / "mwe" / "persona"
    files = sorted(folder.glob("*.jsonl"), key=lambda f: (f.stem != "conscientiousness", f.stem))
    if "TRIMTAB_DATA" not in os.environ or not files:
        raise LookupError("choice: no files in $TRIMTAB_DATA/mwe/persona")
    lines = (line for file in files for line in file.read_text().splitlines())
    for question in dict.fromkeys(json.loads(line)["question"] for line in lines):
        yield f"{question} Yes", f"{question} No"


def _shot_pairs() -> Iterator[tuple[str, str]]:
    behavior = tt.Behavior.builtin("sentiment")
    shots, rest = behavior.examples[:5], behavior.examples[5:]
    for e in rest:
        sides = (render(behavior, e, side, PromptType.FIVE_SHOT, shots) for side in ("positive", "negative"))
        positive, negative = (r.context + r.prompt + r.answer for r in sides)
        yield positive, negative


class Bench:
    """Contenders on one job in one dtype, and what was measured of them."""

    def __init__(self, form: str, sides: Sides, dtype: str, repeats: int, root: Path) -> None:
        self.form, self.dtype, self.pairs, self.root = form, dtype, len(sides[0]), root
        long = sum(map(len, [*sides[0], *sides[1]])) > LONG
        half = {"default": max(2, repeats // 2), "best": max(2, (repeats + 1) // 2)}
        self.rounds = half if long else {"default": repeats, "best": repeats}
        self.job = {"folder": str(model_folder()), "block": BLOCK, "positive": sides[0], "negative": sides[1]}

    def key(self, peer: str) -> Row:
        """What tells one row from another."""
        return {"machine": machine(), "form": self.form, "pairs": self.pairs, "dtype": self.dtype, "peer": peer}

    def ours(self) -> dict[str, Contender]:
        """trimtab in this environment; beside float32 also in the dtype that it chooses itself, as `own`."""
        dtypes = {self.dtype: self.dtype, **({"own": None} if self.dtype == "float32" else {})}
        return {name: self._contender(sys.executable, "trimtab", dtype, []) for name, dtype in dtypes.items()}

    def row(self, ours: Mapping[str, Contender], peer: str) -> Row:
        """One peer, at its default batch size and at the fastest."""
        with self._peer(peer, [DEFAULT_BATCH[peer]]) as theirs:
            default = compared(ours, theirs, self.rounds["default"])
        with self._peer(peer, sorted({DEFAULT_BATCH[peer], *BATCHES})) as theirs:
            best = compared({self.dtype: ours[self.dtype]}, theirs, self.rounds["best"])
            batch = theirs.result["batch"]
        speed = {name: self.pairs / median(default["seconds"][name]) for name in ours}
        return {**self.key(peer), "default": default, "best": best, "batch": batch, "pairs_per_s": speed}

    def _peer(self, peer: str, batches: list[int]) -> Contender:
        python = sys.executable if peer == "plain" else environments.python_of(peer, self.root)
        return self._contender(python, peer, self.dtype, batches)

    def _contender(self, python: str, name: str, dtype: str | None, batches: list[int]) -> Contender:
        job = {**self.job, "name": name, "dtype": dtype, "batches": batches}
        return Contender(python, CONTENDERS / "extraction.py", job)


def compared(ours: Mapping[str, Contender], theirs: Contender, repeats: int) -> Row:
    """Ratio and cosine of a peer to each of ours."""
    for name, contender in ours.items():
        agreement(contender.result, theirs.result, theirs.name, AGREE[name])
    runs = alternate({**ours, "theirs": theirs}, repeats)
    cosine = {name: agreement(c.last, theirs.last, theirs.name, AGREE[name]) for name, c in ours.items()}
    return {"ratio": {n: asdict(ratio(runs["theirs"], runs[n])) for n in ours}, "cosine": cosine, "seconds": runs}


def agreement(ours: Row, theirs: Row, name: str, least: float) -> float:
    """Cosine of the two vectors, which must be the same but for rounding."""
    a, b = np.array(ours["vector"]), np.array(theirs["vector"])
    cosine = float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    if not cosine > least:
        raise SystemExit(f"{name} computes another vector than trimtab: cosine {cosine:.5f}, not above {least}")
    return cosine


def measured(bench: Bench, peers: Sequence[str], before: Sequence[Row]) -> Iterator[tuple[Row, bool]]:
    """Rows of the peers, and whether they are new; our processes start when the first is missing."""
    with ExitStack() as stack:
        ours: dict[str, Contender] = {}
        for peer in peers:
            key = bench.key(peer).items()
            row = next((row for row in before if key <= row.items()), None)
            if row is None and not ours:
                ours = bench.ours()
                for contender in ours.values():
                    stack.enter_context(contender)
            yield (row, False) if row else (bench.row(ours, peer), True)


def show(rows: Sequence[Row]) -> None:
    """Both tables."""
    prompt_prefix = ["form", "pairs", "peer"]
    over = "trimtab over its default batch"
    lines, own = [], []
    for row in rows:
        what, dtype = [row[name] for name in prompt_prefix], row["dtype"]
        default, best = (Ratio(**row[k]["ratio"][dtype]) for k in ("default", "best"))
        lines.append([dtype, *what, default, row["batch"], best, f"{row['pairs_per_s'][dtype]:.0f}"])
        if "own" in row["pairs_per_s"]:
            own.append([*what, Ratio(**row["default"]["ratio"]["own"]), f"{row['pairs_per_s']['own']:.0f}"])
    header = ["dtype", *prompt_prefix, over, "its best batch", "trimtab over its best batch", "our pairs/s"]
    print(f"\nEqual dtype:\n\n{table(header, lines)}")
    if own:
        print(f"\nAs each comes:\n\n{table([*prompt_prefix, over, 'our pairs/s'], own)}")
    for name in AGREE:
        results = [c for row in rows for k in ("default", "best") if (c := row[k]["cosine"].get(name))]
        if results:
            print(f"\nlowest cosine of vectors, ours in {name} dtype: {min(results):.5f}")


def parsed() -> argparse.Namespace:
    parser = environments.options(__doc__)
    parser.add_argument("--pairs", type=int, nargs="+", default=[200, 1000])
    parser.add_argument("--repeats", type=int, default=5, help="rounds; half of them for long jobs")
    parser.add_argument("--form", nargs="+", choices=FORMS, default=list(FORMS))
    parser.add_argument("--dtype", nargs="+", choices=["float32", "bfloat16"], default=["float32", "bfloat16"])
    parser.add_argument("--peer", nargs="+", choices=list(DEFAULT_BATCH), default=list(DEFAULT_BATCH))
    return parser.parse_args()


def benches(arguments: argparse.Namespace) -> Iterator[Bench]:
    """One per job and dtype; what cannot be had is said and left out."""
    for pairs in arguments.pairs:
        for form in arguments.form:
            try:
                sides = texts_of(form, pairs)
            except LookupError as why:
                print(f"skipped: {why.args[0]}", flush=True)
                continue
            for dtype in arguments.dtype:
                yield Bench(form, sides, dtype, arguments.repeats, arguments.environments)


def main() -> None:
    arguments = parsed()
    file: Path | None = arguments.json
    before = known(file)
    print(machine(), flush=True)
    rows = []
    for bench in benches(arguments):
        for row, new in measured(bench, arguments.peer, before):
            rows.append(row)
            if new:
                say(row)
                keep(row, file)
    if rows:
        show(rows)


def say(row: Row) -> None:
    """That a row was measured, and what came out."""
    default, best = (Ratio(**row[k]["ratio"][row["dtype"]]) for k in ("default", "best"))
    what = f"{row['form']} {row['pairs']} {row['dtype']} {row['peer']}"
    print(f"{what}: {default} at default, {best} at batch {row['batch']}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
