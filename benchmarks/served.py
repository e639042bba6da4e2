"""What the benchmarks of serving share: a server as a process of its own, what it says, its memory, its steerings."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

import httpx2
import torch

import trimtab as tt
from trimtab.interventions import Edit
from trimtab.steering.edits import Additive, Gated, Stack

TEXTS = (
    "The film was",
    "The food in this town is",
    "My neighbour told me that",
    "On Monday the weather",
    "Dear Sir or Madam",
    "The best way to learn",
    "In the year 1900",
    "A good friend is someone",
    "The train left",
    "She opened the door and",
    "Water boils when",
    "The committee decided",
    "To make bread, you",
    "The old house by the sea",
    "If I had more time",
    "The result of the test",
)
SIZE = 0.15  # of an edit of the soak, as a share of the activations' length


@dataclass
class Process:
    """A server process.

    Args:
        process: as started.
        url: of its API.
        lines: what it has written to standard error, the last of it.
    """

    process: subprocess.Popen[str]
    url: str
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=100_000))

    @property
    def engine(self) -> int | None:
        """Process id of the model's process; None while there is none."""
        try:  # a process that was started again is the child of another thread
            children = [
                c for f in Path(f"/proc/{self.process.pid}/task").glob("*/children") for c in f.read_text().split()
            ]
        except OSError:
            return None
        found = [int(child) for child in children if "resource_tracker" not in _command(int(child))]
        return found[-1] if found else None

    def stop(self) -> int:
        """Tell it to stop, and wait; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(120)


@contextmanager
def started(command: Sequence[str], sign: Callable[[str], str | None]) -> Iterator[Process]:
    """A server, until the end of the block.

    Args:
        command: starts it.
        sign: the URL that a line of its standard error names, if it does; the server listens from then on.

    Raises:
        SystemExit: it ended before.
    """
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment)
    assert process.stderr is not None
    found, errors = Process(process, ""), process.stderr
    rest = Thread(target=lambda: found.lines.extend(errors))
    try:
        for line in errors:
            found.lines.append(line)
            if url := sign(line):
                found.url = url
                break
        else:
            raise SystemExit(f"{' '.join(command)} ended with status {process.wait()}:\n{''.join(found.lines)}")
        rest.start()
        yield found
    finally:
        process.kill()
        process.wait()
        if rest.ident is not None:
            rest.join()
        errors.close()


def free_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass
class Vllm:
    """`trimtab vllm` as a process group of its own, on a port that stays the same when it is started again.

    Args:
        python: of an environment that has vLLM.
        arguments: of `trimtab vllm`.
        log: takes what it writes.
    """

    python: str
    arguments: Sequence[object]
    log: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Of its API."""
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        """Start it, and wait until it answers.

        Raises:
            SystemExit: it ended before.
        """
        command = [self.python, "-m", "trimtab", "vllm", *map(str, self.arguments), "--port", str(self.port)]
        environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        with self.log.open("a") as file:
            self.process = subprocess.Popen(
                command, stdout=file, stderr=subprocess.STDOUT, env=environment, start_new_session=True
            )
        while not self._answers():
            if self.process.poll() is not None:
                raise SystemExit(f"{' '.join(command)} ended:\n{self.log.read_text()[-5000:]}")
            time.sleep(0.5)

    def kill(self) -> None:
        """SIGKILL, to all its processes."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def resident(self) -> float | None:
        """Memory of all its processes in MB; None while there is none."""
        if self.process is None or self.process.poll() is not None:
            return None
        found = [resident(pid) for pid in _group(self.process.pid)]
        return sum(one for one in found if one is not None) or None

    def _answers(self) -> bool:
        try:
            return httpx2.get(f"http://127.0.0.1:{self.port}/health", timeout=5).status_code == 200
        except httpx2.HTTPError:
            return False


def _group(leader: int) -> Iterator[int]:
    """Processes of a group."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(ProcessLookupError):
                if os.getpgid(int(folder.name)) == leader:
                    yield int(folder.name)


def trimtab_serve(*arguments: object) -> list[str]:
    """The command that starts our server on a free port."""
    return [sys.executable, "-m", "trimtab", "serve", "--port", "0", *map(str, arguments)]


def trimtab(*arguments: object, allowed: Sequence[int] = (0,)) -> tuple[int, str]:
    """The exit status of a command, and what it says.

    Raises:
        SystemExit: the status is none of those allowed.
    """
    command = [sys.executable, "-m", "trimtab", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in allowed:
        raise SystemExit(f"{' '.join(command)} ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.returncode, done.stdout


def our_url(line: str) -> str | None:
    """The sign by which our server says that it listens."""
    found = re.search(r"serving at (\S+)", line)
    return found and found.group(1)


def resident(pid: int) -> float | None:
    """Memory of a process in MB; None if it has ended."""
    try:
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return None
    return int(found.group(1)) / 1000 if found else None


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def save_steerings(model: tt.Model, folder: Path, size: float) -> Mapping[str, list[str]]:
    """Steerings of several kinds along random directions, as folders.

    Args:
        model: that they fit.
        folder: where.
        size: of an edit at strength 1, as a share of the activations' median length; 0 runs the edits and changes
            nothing.

    Returns:
        Attributes by name.
    """
    sites = [tt.Site(model.n_blocks // 3), tt.Site(model.n_blocks // 2)]
    h = model.capture(TEXTS, sites, read="mean").activations
    length = float(torch.cat([h[site].norm(dim=1) for site in sites]).median())
    generator = torch.Generator().manual_seed(0)

    def directions(n: int) -> torch.Tensor:
        drawn = torch.randn(n, model.d_model, generator=generator)
        found: torch.Tensor = size * length * drawn / drawn.norm(dim=1, keepdim=True)
        return found

    def gated(n: int) -> Gated:
        weights = torch.randn(n, model.d_model, generator=generator) / length
        return Gated(directions(n), weights, torch.zeros(n))

    pair: dict[tt.Site, Edit] = {
        sites[0]: Additive(directions(2)),
        sites[1]: Stack(((Additive(directions(1)), (0,)), (gated(1), (1,)))),
    }
    made = {
        "additive": tt.Steering({sites[1]: Additive(directions(1))}, {"warm": 1.0}, made_for=model.facts),
        "gated": tt.Steering({sites[1]: gated(3)}, {"kind": 1.0, "true": 1.0, "calm": 1.0}, made_for=model.facts),
        "several": tt.Steering(pair, {"short": 1.0, "formal": 0.5}, made_for=model.facts),
    }
    for name, steering in made.items():
        steering.save(folder / name)
    return {name: list(steering.attributes) for name, steering in made.items()}


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""
