"""What all benchmarks share: contenders in processes of their own, alternating runs, ratios with intervals, tables.

A contender is a process that prepares once and then works on every request, so that the runs of several of them
can alternate: what slows the machine down for a while slows all of them. Its side is `contenders/worker.py`.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, Self

import numpy as np
import torch

from trimtab.models.gguf import convert
from trimtab.models.loading import EMBEDDED_FIX, embedded_file
from trimtab.results.figures import Estimate

CONTENDERS = Path(__file__).with_name("contenders")
DRAWS = 2000


class Contender:
    """A process that works on every request.

    Args:
        python: interpreter of the contender's environment.
        script: a script that calls `serve` of `contenders/worker.py`.
        job: what it shall do, as JSON; `job["name"]` is one of the script's jobs.

    Raises:
        SystemExit: the process ended early; the message holds its last lines.
    """

    def __init__(self, python: str, script: Path, job: Mapping[str, Any]) -> None:
        self.name = f"{script.name} {job.get('name', '')}".strip()
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - a pipe would fill up
        self._process = subprocess.Popen(
            [python, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True
        )
        try:
            self.result: Any = self._ask(json.dumps(job))["result"]
            self.last: dict[str, Any] = {}
        except BaseException:
            self.stop()
            raise

    def run(self) -> dict[str, Any]:
        """One run: what the worker says of it, `seconds` at least; kept as `last`."""
        self.last = self._ask("go")
        return self.last

    def seconds(self) -> float:
        """One run: how long it took."""
        return float(self.run()["seconds"])

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _ask(self, line: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise SystemExit(f"{self.name} ended with status {self._process.wait()}:\n{self._last_words()}")
        return dict(json.loads(answer))

    def _last_words(self, lines: int = 15) -> str:
        self._errors.seek(0)
        return "\n".join(self._errors.read().splitlines()[-lines:])


def alternate(contenders: Mapping[str, Contender], repeats: int) -> dict[str, list[float]]:
    """Seconds of each contender, one per round; every round runs each once, every second one in reverse order."""
    runs: dict[str, list[float]] = {name: [] for name in contenders}
    for k in range(repeats):
        for name in list(contenders)[:: -1 if k % 2 else 1]:
            runs[name].append(contenders[name].seconds())
    return runs


@dataclass(frozen=True)
class Ratio:
    """A ratio of medians and its 95 % interval."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        digits = 1 if self.median >= 2 else 2
        return f"{self.median:.{digits}f}× [{self.low:.{digits}f}, {self.high:.{digits}f}]"


def ratio(numerator: Sequence[float], denominator: Sequence[float], seed: int = 0) -> Ratio:
    """Median over median, with a percentile bootstrap that draws whole rounds."""
    if len(numerator) != len(denominator):
        raise ValueError(f"{len(numerator)} rounds over {len(denominator)}: both sides must have run in every round")
    top, bottom = np.asarray(numerator), np.asarray(denominator)
    rounds = np.random.default_rng(seed).integers(len(top), size=(DRAWS, len(top)))
    drawn = np.median(top[rounds], axis=1) / np.median(bottom[rounds], axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Ratio(median(numerator) / median(denominator), float(low), float(high))


def machine() -> str:
    """The machine in one line, without its name."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return (
        f"{model}, {os.cpu_count()} cores, {torch.get_num_threads()} torch threads, "
        f"torch {torch.__version__}, transformers {version('transformers')}"
    )


def model_folder() -> Path:
    """The embedded model as a folder that every library can read."""
    file = embedded_file()
    if file is None:
        raise SystemExit(f"the embedded model is not installed; run: {EMBEDDED_FIX}")
    return convert(file)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def kept(file: Path | None, settings: dict[str, Any], measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The row of these settings from the file; else it is measured and appended."""
    for row in known(file):
        if row["settings"] == settings:
            return row
    row = {"settings": settings, **measure()}
    print(json.dumps(row), file=sys.stderr, flush=True)
    keep(row, file)
    return row


def known(file: Path | None) -> list[dict[str, Any]]:
    """Rows that a file holds, one JSON document a line."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file and file.is_file() else []


def keep(row: Mapping[str, Any], file: Path | None) -> None:
    """Append a row to the file, where there is one."""
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a") as out:
            out.write(json.dumps(row) + "\n")


def shown(e: Estimate | None, sign: str = "") -> str:
    """An estimate with its interval; `sign` is + for gains."""
    if e is None or e.value is None:
        return "–" if e is None or e.reason is None else f"– ({e.reason})"
    ends = "" if e.low is None or e.high is None else f" [{e.low:{sign}.3f}, {e.high:{sign}.3f}]"
    return f"{e.value:{sign}.3f}{ends}"


def publish(page: str, file: Path | None) -> None:
    """Print a page, and write it where a file is named."""
    print(page)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(page, encoding="utf-8")
