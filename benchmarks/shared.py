"""A check beside another busy process on the same cores: what it costs, and what OpenMP's waiting has to do with it.

    .venv/bin/python benchmarks/shared.py --rounds 6 --json out/bench/shared.json --out docs/results/shared.md

Target: beside one other process that does the same on the same cores, at most 2.2 times as slow as alone; half of the
cores would be 2.

The work is a fixed piece of a quick check: `sentiment`'s first examples scored under a few vectors, on the embedded
model in bfloat16. Each setting has two processes that prepare once. In every round the first runs alone, and then while
the second does the same over and over; settings take turns, every second round in reverse order. Ratios are of medians,
with a bootstrap interval over rounds. Nothing else should run: other work slows both sides, and not equally.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from threading import Event, Thread

import torch
from harness import CONTENDERS, Contender, machine, publish, ratio, table

TARGET = 2.2
ALONE, BESIDE = "alone", "beside another"


@dataclass(frozen=True)
class Setting:
    """How the threads of both processes work.

    Args:
        name: in the table.
        policy: OMP_WAIT_POLICY; None where it is not set.
        threads: of each process.
    """

    name: str
    policy: str | None
    threads: int


def settings() -> list[Setting]:
    """OpenMP's own waiting, trimtab's, and trimtab's with the threads shared out."""
    whole = torch.get_num_threads()
    return [
        Setting("OpenMP's default", None, whole),
        Setting("passive, as trimtab sets it", "PASSIVE", whole),
        Setting("passive, threads shared out (--threads)", "PASSIVE", max(1, whole // 2)),
    ]


@contextmanager
def busy(other: Contender) -> Iterator[None]:
    """The other process works, without a pause, while inside."""
    enough = Event()

    def work() -> None:
        while not enough.is_set():
            other.run()

    thread = Thread(target=work)
    thread.start()
    time.sleep(0.5)  # it has begun
    try:
        yield
    finally:
        enough.set()
        thread.join()


def measure(rounds: int, rows: int, variants: int) -> dict[str, dict[str, list[float]]]:
    """Seconds by setting, alone and beside another, one a round."""
    runs: dict[str, dict[str, list[float]]] = {s.name: {ALONE: [], BESIDE: []} for s in settings()}
    with ExitStack() as stack:
        pairs = {}
        for setting in settings():
            job = {
                "name": "scoring",
                "rows": rows,
                "variants": variants,
                "policy": setting.policy,
                "threads": setting.threads,
            }
            both = [Contender(sys.executable, CONTENDERS / "shared_work.py", job) for _ in range(2)]
            pairs[setting.name] = [stack.enter_context(one) for one in both]
        for k in range(rounds):
            for name in list(pairs)[:: -1 if k % 2 else 1]:
                first, second = pairs[name]
                runs[name][ALONE].append(first.seconds())
                with busy(second):
                    runs[name][BESIDE].append(first.seconds())
                last = {where: round(times[-1], 2) for where, times in runs[name].items()}
                print(name, last, file=sys.stderr, flush=True)
    return runs


def page(runs: Mapping[str, Mapping[str, list[float]]], rounds: int, rows: int, variants: int) -> str:
    """The results as a Markdown page."""
    whole = runs[settings()[1].name][ALONE]
    lines = []
    for setting in settings():
        own = runs[setting.name]
        slower = ratio(own[BESIDE], own[ALONE])
        lines.append(
            (
                setting.name, setting.threads, f"{median(own[ALONE]):.2f} s", f"{median(own[BESIDE]):.2f} s", slower,
                ratio(own[BESIDE], whole),
            )
        )  # fmt: skip
    header = (
        "threads that wait", "threads of each", ALONE, BESIDE, "beside, over alone", "beside, over passive alone"
    )  # fmt: skip
    passive = ratio(runs[settings()[1].name][BESIDE], whole)
    verdict = "met" if passive.high <= TARGET else "missed" if passive.low > TARGET else "undecided"
    command = f".venv/bin/python benchmarks/shared.py --rounds {rounds} --rows {rows} --variants {variants}"
    return f"""# Two processes on the same cores

`{command}`: {rows} examples of `sentiment` scored under {variants} variants on the embedded model in bfloat16, alone
and while a second process does the same. {machine()}; {rounds} rounds, ratios of medians with a bootstrap interval over
rounds.

{table(header, lines)}

Target: at most {TARGET}× as slow beside another as alone, where half of the cores would be 2×: **{verdict}**
({passive}).
"""


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--variants", type=int, default=5)
    parser.add_argument("--json", type=Path, help="keep every run here")
    parser.add_argument("--out", type=Path, help="write the page here")
    given = parser.parse_args()
    runs = measure(given.rounds, given.rows, given.variants)
    if given.json is not None:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(runs) + "\n", encoding="utf-8")
    publish(page(runs, given.rounds, given.rows, given.variants), given.out)


if __name__ == "__main__":
    main()
