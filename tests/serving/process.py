"""`trimtab serve` as a process of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import httpx2
import pytest


@dataclass
class Serving:
    """A server process and where it listens."""

    process: subprocess.Popen[str]
    url: str
    said: str

    def post(self, body: dict[str, Any], timeout: float = 60.0) -> httpx2.Response:
        return httpx2.post(f"{self.url}/completions", json=body, timeout=timeout)

    @property
    def engine(self) -> int:
        """Process id of the model's process."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")  # one that was started again is a thread's
        children = [child for task in tasks for child in task.read_text().split()]
        named = [int(p) for p in children if "resource_tracker" not in Path(f"/proc/{p}/cmdline").read_text()]
        return named[-1]


@contextmanager
def serving(*arguments: object) -> Iterator[Serving]:
    command = [sys.executable, "-m", "trimtab", "serve", "--port", "0", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    read = None
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if found := re.search(r"serving at (\S+)", line):
                read = Thread(target=process.stderr.read)  # or a full pipe stops the server
                read.start()
                yield Serving(process, found.group(1), "".join(lines))
                break
        else:
            pytest.fail("".join(lines))
    finally:
        process.kill()
        process.wait()
        if read is not None:
            read.join()
        assert process.stderr is not None
        process.stderr.close()
