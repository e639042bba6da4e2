"""What the tutorials show with a `$` in front is really run, page by page, and says what the page says it says.

`make test-tutorials` does it. Lines that are compared are those that do not hang on the machine: decisions, states of
releases, refusals.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

TUTORIALS = Path(__file__).parents[1] / "docs" / "tutorials"
PAGES = ("first-verdict", "your-behavior", "three-attributes", "release", "study")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FIXED = re.compile(r"^(?:[✔!✘?] (?:go|caution|no-go|inconclusive)|release '.*|error: .*)", re.MULTILINE)
NOT_HERE = ("xdg-open", "make ")  # a browser, and what installs


@dataclass(frozen=True)
class Shown:
    """A command on a page, and the output that stands below it."""

    command: str
    output: str


def complete(command: str) -> bool:
    """Whether a shell would run this, or wait for more lines."""
    return subprocess.run(["bash", "-n", "-c", command], capture_output=True).returncode == 0


def shown(text: str) -> Iterator[Shown]:
    """The commands of a page in order."""
    for language, block in BLOCK.findall(text):
        lines = iter([] if language else block.splitlines())
        command, output = "", []
        for line in lines:
            if not line.startswith("$ "):
                output.append(line)
                continue
            if command:
                yield Shown(command, "\n".join(output))
            command, output = line[2:], []
            while not complete(command) or command.endswith("\\"):
                command += "\n" + next(lines)
        if command:
            yield Shown(command, "\n".join(output))


class Shell:
    """Runs the commands of one page in one folder, as one session would: what is exported stays."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "COLUMNS": "80", "NO_COLOR": "1",
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }  # fmt: skip
        (folder / "bin").mkdir()
        program = folder / "bin" / "trimtab"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m trimtab "$@"\n')
        program.chmod(0o755)
        self.servers: list[subprocess.Popen[bytes]] = []

    def run(self, command: str) -> str:
        """Output and errors of a command; its exit code must be 2 where it is refused, else 0."""
        if command.startswith("export "):
            name, _, value = command.removeprefix("export ").partition("=")
            self.environment[name] = value
            return ""
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=self.environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert done.returncode == (2 if "error:" in done.stdout else 0), f"{command}\n{done.stdout}"
        return done.stdout

    def serve(self, command: str) -> None:
        """Start a server and wait until it has told its address."""
        log = self.folder / "serve.log"
        with log.open("wb") as written:
            server = subprocess.Popen(
                ["bash", "-c", f"exec {command}"], cwd=self.folder, env=self.environment, stdout=written, stderr=written
            )
        self.servers.append(server)
        while "serving at" not in log.read_text():
            assert server.poll() is None, log.read_text()
            time.sleep(1)

    def close(self) -> None:
        for server in self.servers:
            server.send_signal(signal.SIGTERM)
            server.wait()


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    found = Shell(tmp_path)
    yield found
    found.close()


@pytest.mark.parametrize("page", PAGES)
def test_every_tutorial_has_commands_to_run(page: str) -> None:
    commands = [each.command for each in shown((TUTORIALS / f"{page}.md").read_text())]
    assert sum(command.startswith("trimtab ") for command in commands) >= 1
    assert not any("…" in command for command in commands)


@pytest.mark.parametrize("page", PAGES)
def test_the_japanese_tutorial_shows_the_same_commands_and_outputs(page: str) -> None:
    japanese = TUTORIALS.parent / "ja" / "tutorials" / f"{page}.md"
    steps = [Shown(re.sub(r" +# .*", "", each.command), each.output) for each in shown(japanese.read_text())]
    english = shown((TUTORIALS / f"{page}.md").read_text())
    assert steps == [Shown(re.sub(r" +# .*", "", each.command), each.output) for each in english]


def test_commands_and_their_outputs_are_told_apart() -> None:
    page = "```json\n{}\n```\n\n```\n$ for k in 1 2; do\n    echo $k\n  done\n1\n2\n$ echo \\\n  3\n3\n```\n"
    assert list(shown(page)) == [Shown("for k in 1 2; do\n    echo $k\n  done", "1\n2"), Shown("echo \\\n  3", "3")]


@pytest.mark.slow
@pytest.mark.embedded
@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_tutorial_do_what_it_says(page: str, shell: Shell, embedded: object) -> None:
    for file in TUTORIALS.glob("*.jsonl"):
        shutil.copy(file, shell.folder)
    for step in shown((TUTORIALS / f"{page}.md").read_text()):
        if step.command.startswith(NOT_HERE):
            continue
        if step.command.startswith("trimtab serve"):
            shell.serve(step.command)
            continue
        output = shell.run(step.command)
        fixed = FIXED.findall(step.output)
        for _ in range(120):  # what a server does by itself takes until its next look
            if all(line in output for line in fixed) or "release status" not in step.command:
                break
            time.sleep(5)
            output = shell.run(step.command)
        assert all(line in output for line in fixed), f"{step.command}\nsays not {fixed}:\n{output}"
