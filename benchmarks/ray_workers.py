"""What Ray costs a cell, and what a second worker gains.

    .bench/ray/bin/python benchmarks/ray_workers.py --out out/bench/ray.md     (make test-ray first)

Targets: less than 10 ms a cell where cells take no time; two workers with one thread each at least 1.6 times as fast as
one, on two cores.

Overhead: cells that do nothing but tell that they did it, as every cell tells how far it is. The time from the first
finished cell to the last, divided by the cells between them, in this process and on a Ray cluster of this machine with
one and with two workers; the overhead is the difference to this process. What a cluster takes to begin is told apart.
What a cell keeps in the folder is the same wherever it is done, and not measured here.

Gain: a study of built-in behaviors on the embedded model by one worker and by two, in turns, every
second round in reverse order, from the first thing that is told to the last; the ratio is of medians, with a bootstrap
interval over rounds. Nothing else should run.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from harness import machine, publish, ratio, table

from trimtab.behaviors import Behavior
from trimtab.experiment.executor import Models, executor_named
from trimtab.experiment.progress import Progress, Silent
from trimtab.model_source import ModelSource
from trimtab.workflows.study import study

OVERHEAD = 10.0  # ms a cell
GAIN = 1.6
SETS = ("sentiment", "formality", "politeness", "refusal", "honesty", "brevity")


def tell(cell: int, progress: Progress, models: Models) -> None:
    """A cell that takes no time."""
    progress.advance("cells", 1)


class Watch(Silent):
    """How much is told, and the seconds from the first thing to the last."""

    def __init__(self) -> None:
        self.first: float | None = None
        self.last = 0.0
        self.amount = 0

    def advance(self, stage: str, amount: int) -> None:
        self.amount += amount
        self.last = time.perf_counter()
        self.first = self.first or self.last

    @property
    def seconds(self) -> float:
        """Between them."""
        assert self.first is not None
        return self.last - self.first


@dataclass(frozen=True)
class Pace:
    """How fast cells went.

    Args:
        begin: seconds until the first was finished.
        each: milliseconds a cell after it.
    """

    begin: float
    each: float


def paced(executor: str, workers: int, n: int) -> Pace:
    """The pace of n cells that take no time."""
    finished: list[float] = []
    told = Watch()
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        executor_named(executor, workers).run(
            tell, range(n), Path(folder), told, Models(), lambda cell: finished.append(time.perf_counter())
        )
    assert told.amount == len(finished) == n
    return Pace(finished[0] - start, 1e3 * (finished[-1] - finished[0]) / (n - 1))


def studied(workers: int, source: ModelSource, examples: int) -> float:
    """Seconds of a study on Ray, without its beginning."""
    watch = Watch()
    with tempfile.TemporaryDirectory() as folder:
        study(
            source, [Behavior.builtin(name) for name in SETS], folder=folder, train=examples, evaluation=examples,
            prompt_types="prefilled", workers=workers, executor="ray", progress=watch,
        )  # fmt: skip
    return watch.seconds


@contextmanager
def threads(n: int) -> Iterator[None]:
    """As many threads of this process, of which workers get their share."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def gains(rounds: int, source: ModelSource, examples: int) -> dict[int, list[float]]:
    """Seconds by number of workers, each with one thread, one a round."""
    found: dict[int, list[float]] = {1: [], 2: []}
    for k in range(rounds):
        for workers in (1, 2) if k % 2 == 0 else (2, 1):
            with threads(workers):
                found[workers].append(studied(workers, source, examples))
    return found


def report(paces: dict[str, Pace], gain: dict[int, list[float]] | None, load: tuple[float, float]) -> str:
    """The tables."""
    here = paces["this process"].each
    rows = [
        [name, f"{pace.begin:.1f}", f"{pace.each:.2f}", "" if name == "this process" else f"{pace.each - here:.2f}"]
        for name, pace in paces.items()
    ]
    lines = [
        "## A cell that takes no time",
        "",
        f"{machine()}; load average {load[0]:.1f} before, {load[1]:.1f} after.",
    ]
    lines += ["", table(["where", "first cell after, s", "ms a cell", "over this process, ms"], rows)]
    lines += ["", f"Target: less than {OVERHEAD:g} ms over this process.", ""]
    if gain is not None:
        lines += ["## A second worker", ""]
        lines += [
            table(["workers", "s, by round"], [[str(w), ", ".join(f"{s:.1f}" for s in t)] for w, t in gain.items()])
        ]
        lines += ["", f"Two over one: {ratio(gain[1], gain[2])}, target {GAIN:g}×."]
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3, help="of the study; 0 leaves it out")
    parser.add_argument("--examples", type=int, default=60, help="for training and for evaluation, of each behavior")
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    before = os.getloadavg()[0]
    settings = [("this process", "local", 1), ("Ray, one worker", "ray", 1), ("Ray, two workers", "ray", 2)]
    paces = {name: paced(executor, workers, given.cells) for name, executor, workers in settings}
    gain = gains(given.rounds, ModelSource(given.model, given.model), given.examples) if given.rounds else None
    load = before, os.getloadavg()[0]
    publish(report(paces, gain, load), given.out)


if __name__ == "__main__":
    main()
