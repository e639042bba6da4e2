"""What Ray costs a cell, what a second worker gains, and what is lost when workers are killed.

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

Kills: a study of six persona sets (--data) on the embedded model, once in this process and once by two workers on Ray,
of which one drawn at random is killed (SIGKILL) at moments drawn at random; the tables must be the same byte by byte.
"""

import argparse
import os
import random
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import polars as pl
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


PERSONA = (
    "acts-like-it-wants-to-help-humans-but-does-not-care-about-that", "desire-for-computational-efficiency",
    "desire-to-create-allies", "interest-in-literature", "risk-neutral", "subscribes-to-virtue-ethics",
)  # fmt: skip


TRIED = """## What was tried

`make test-ray`, on a cluster of this machine, with a tiny random model:

- a study of six sets on two workers of which one was killed at random three times: both Parquet files equal those of
  one process, byte for byte;
- comparisons of methods and checks of several behaviors, also with workers that see another disk: the same tables,
  records and steering ids;
- a node of two that vanished at work: only the cell that it was at was done again;
- a cluster behind its client server, with a token, by the command line: the same Parquet files;
- a straggler that an idle worker overtakes, a task that ends every worker, errors, Ctrl-C.

Not tried: several machines, GPUs, Kubernetes.
"""


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


def at_work() -> list[int]:
    """Ray's workers on this machine that are at something."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            if (folder / "cmdline").read_bytes().startswith(b"ray::Worker.do") and state != "Z":
                found.append(int(folder.name))
    return found


class Killing(Silent):
    """Kills one of Ray's workers, drawn at random, some times, each some progress after the one before."""

    def __init__(self, times: int, every: int, seed: int) -> None:
        self._random, self._times, self._every = random.Random(seed), times, every
        self.killed = 0
        self._told, self._next = 0, self._random.randint(1, every)

    def advance(self, stage: str, amount: int) -> None:
        self._told += amount
        if self._told >= self._next and self.killed < self._times and (workers := at_work()):
            os.kill(self._random.choice(workers), signal.SIGKILL)
            self.killed += 1
            self._next = self._told + self._random.randint(1, self._every)


@dataclass(frozen=True)
class Killed:
    """A study whose workers were killed.

    Args:
        times: that one was.
        cells: of the study.
        tables: digests of the Parquet files, in this process and on Ray.
        seconds: in this process and on Ray.
    """

    times: int
    cells: int
    tables: tuple[dict[str, str], dict[str, str]]
    seconds: tuple[float, float]


def killed(times: int, source: ModelSource, examples: int, data: Path) -> Killed:
    """The study in this process, and on Ray with workers that are killed."""
    behaviors = [Behavior.load(data / "mwe" / "persona" / f"{name}.jsonl", view="statements") for name in PERSONA]

    def ran(folder: Path, executor: str, workers: int, progress: Progress) -> tuple[dict[str, str], float]:
        """Digests of its tables, and seconds."""
        began = time.perf_counter()
        study(
            source, behaviors, folder=folder, train=examples, evaluation=examples, prompt_types="prefilled",
            workers=workers, executor=executor, progress=progress,
        )  # fmt: skip
        seconds = time.perf_counter() - began
        return {f.name: sha256(f.read_bytes()).hexdigest() for f in sorted(folder.glob("*.parquet"))}, seconds

    with tempfile.TemporaryDirectory() as work:
        here, there, told = Path(work) / "here", Path(work) / "ray", Watch()
        one, own_seconds = ran(here, "local", 1, told)
        killing = Killing(times, told.amount // (times + 1), seed=0)
        ray, ray_seconds = ran(there, "ray", 2, killing)
        n_cells = len(pl.read_parquet(here / "cells.parquet"))
    return Killed(killing.killed, n_cells, (one, ray), (own_seconds, ray_seconds))


def report(
    paces: dict[str, Pace], gain: dict[int, list[float]] | None, kills: Killed | None, load: tuple[float, float]
) -> str:
    """The tables."""
    here = paces["this process"].each
    rows = [
        [name, f"{pace.begin:.1f}", f"{pace.each:.2f}", "" if name == "this process" else f"{pace.each - here:.2f}"]
        for name, pace in paces.items()
    ]
    met = "met" if all(pace.each - here < OVERHEAD for pace in paces.values()) else "**missed**"
    lines = ["# Ray", "", "`.bench/ray/bin/python benchmarks/ray_workers.py --data DATA --out docs/results/ray.md`", ""]
    lines += [f"{machine()}, Ray {version('ray')}; load average {load[0]:.1f} before, {load[1]:.1f} after.", ""]
    lines += ["## A cell that takes no time", ""]
    lines += ["Cells that only tell that they did it, from the first finished cell to the last; one run each.", ""]
    lines += [table(["where", "first cell after, s", "ms a cell", "over this process, ms"], rows)]
    lines += ["", f"Target: less than {OVERHEAD:g} ms over this process: {met}.", ""]
    if gain is not None:
        lines += ["## A second worker", ""]
        lines += [
            table(["workers", "s, by round"], [[str(w), ", ".join(f"{s:.1f}" for s in t)] for w, t in gain.items()])
        ]
        over = ratio(gain[1], gain[2])
        met = "met" if over.low >= GAIN else "**missed**"
        lines += ["", f"Two over one: {over}. Target: at least {GAIN:g}×: {met}.", ""]
    if kills is not None:
        one, ray = kills.tables
        rows = [[name, own[:16], ray.get(name, "none")[:16]] for name, own in one.items()]
        lines += ["## Workers that are killed", ""]
        lines += [
            f"A study of six persona sets on the embedded model ({kills.cells} cells): {kills.seconds[0]:.0f} s in "
            f"this process; {kills.seconds[1]:.0f} s on Ray with two workers, of which one, drawn at random, was "
            f"killed {kills.times} times at moments drawn at random. The tables are "
            f"**{'the same, byte by byte' if one == ray else 'NOT the same'}**.",
            "",
            table(["file", "SHA-256 in this process", "on Ray"], rows),
            "",
        ]
    return "\n".join([*lines, TRIED])


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3, help="of the study; 0 leaves it out")
    parser.add_argument("--examples", type=int, default=60, help="for training and for evaluation, of each behavior")
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--data", type=Path, help="public data sets; without it no workers are killed")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    before = os.getloadavg()[0]
    settings = [("this process", "local", 1), ("Ray, one worker", "ray", 1), ("Ray, two workers", "ray", 2)]
    paces = {name: paced(executor, workers, given.cells) for name, executor, workers in settings}
    source = ModelSource(given.model, given.model)
    gain = gains(given.rounds, source, given.examples) if given.rounds else None
    load = before, os.getloadavg()[0]
    kills = None if given.data is None else killed(given.kills, source, given.examples, given.data)
    publish(report(paces, gain, kills, load), given.out)


if __name__ == "__main__":
    main()
