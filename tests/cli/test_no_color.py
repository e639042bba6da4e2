"""NO_COLOR (no-color.org): on a terminal nothing is coloured, and what colours would tell is told in figures."""

import io
import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

import pytest
from rich.console import Console

from trimtab.cli.generate import _shading
from trimtab.experiment.progress import OnTerminal
from trimtab.workflows.generate.generate import Shade

# Select Graphic Rendition with a colour among its parts; bold and dim are none.
COLORED = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;[\d;]+)?m")


def on_terminal(folder: Path, *arguments: str, **environment: str) -> str:
    """What a command writes to a terminal of its own."""
    pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")
    ours, theirs = pty.openpty()
    wanted = {"TERM": "xterm-256color", "COLUMNS": "100", **environment}
    clean = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", "trimtab", *arguments], stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder,
        env={**clean, **wanted},
    )  # fmt: skip
    os.close(theirs)
    written = b""
    with suppress(OSError):  # Linux raises where the other side is closed
        while piece := os.read(ours, 65536):
            written += piece
    os.close(ours)
    process.wait()
    return written.decode()


@pytest.mark.parametrize(
    "arguments", [("lint", "--help"), ("lint", "sentiment"), ("lint", "nothing-like-it"), ("chek",)]
)
def test_a_command_on_a_terminal_is_colored_unless_no_color_is_set(arguments: tuple[str, ...], tmp_path: Path) -> None:
    assert COLORED.search(on_terminal(tmp_path, *arguments))
    without = on_terminal(tmp_path, *arguments, NO_COLOR="1")
    assert without.strip()
    assert not COLORED.search(without)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def bar(monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "100", **environment}.items():
        monkeypatch.setenv(name, value)
    terminal = Terminal()
    with patch("sys.stderr", terminal), OnTerminal.shown("fit") as progress:
        progress.begin(100, 60.0)
        progress.advance("dev", 30)
        progress.bar.refresh()
    return terminal.getvalue()


def test_a_progress_bar_has_no_colors_either(monkeypatch: pytest.MonkeyPatch) -> None:
    assert COLORED.search(bar(monkeypatch))
    without = bar(monkeypatch, NO_COLOR="1")
    assert "30%" in without
    assert not COLORED.search(without)


def test_tokens_that_would_be_shaded_have_their_figures_instead() -> None:
    shades = (Shade(" good", {"warm": 0.75}), Shade(" day", {"warm": -0.25}))
    colored = Console(file=Terminal(), force_terminal=True, color_system="truecolor")
    plain = Console(file=Terminal(), force_terminal=True, color_system="truecolor", no_color=True)
    assert _shading(shades, "warm", colored).plain == "warm     good day"
    assert _shading(shades, "warm", plain).plain == "warm     good[0.75] day[-0.25]"
