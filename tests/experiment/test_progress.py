"""What is said of long work: plain lines without a terminal, lines above one bar on one, nothing if silent."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import pytest

from trimtab.experiment.progress import OnTerminal, Silent

LOOK = "evaluation: +0.51 [0.45, 0.57] after 64 of 146 examples"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal of 100 columns."""
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}.items():
        monkeypatch.setenv(name, value)
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    return Terminal()


@contextmanager
def shown_on(terminal: Terminal, title: str, pieces: int = 1) -> Iterator[OnTerminal]:
    """What a terminal on standard error would be sent."""
    with patch("sys.stderr", terminal), OnTerminal.shown(title, pieces) as progress:
        yield progress


def lines(text: str) -> list[str]:
    """What was written, without colours and cursor movements."""
    return [line.rstrip() for line in re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)) if line.strip()]


def drawn(progress: OnTerminal, terminal: Terminal) -> list[str]:
    """What the next drawing shows below what stays."""
    terminal.seek(0)
    terminal.truncate()
    progress.bar.refresh()
    return lines(terminal.getvalue())


def several(progress: OnTerminal) -> None:
    for name in ("kind", "brief"):
        own = progress.of(name)
        own.begin(100, 30.0)
        own.advance("choice", 20)
    progress.of("kind").advance("evaluation", 30)
    progress.of("kind").say(LOOK)


def test_without_a_terminal_every_line_is_a_plain_line_and_no_bar_is_drawn(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with OnTerminal.shown("check", 2) as progress:
        several(progress)
        with progress.paused():
            print("a table")  # noqa: T201
        progress.of("kind").end()
    out, err = capsys.readouterr()
    assert out == "a table\n"
    said = "about 100 tokens to compute, roughly 30 seconds"
    assert lines(err) == [f"kind: {said}", f"brief: {said}", f"kind: {LOOK}"]
    assert "\x1b" not in err


def test_on_a_terminal_a_line_stays_above_the_bar_and_the_bar_tells_the_stage(terminal: Terminal) -> None:
    with shown_on(terminal, "kind") as progress:
        progress.begin(100, 30.0)
        progress.advance("evaluation", 50)
        progress.say(LOOK)
        said = lines(terminal.getvalue())
        assert f"kind: {LOOK}" in said
        (bar,) = drawn(progress, terminal)
    assert bar.startswith("kind: evaluation")
    assert "50%" in bar


def test_where_several_are_in_work_each_has_a_line_with_what_it_said_last_above_one_bar(terminal: Terminal) -> None:
    with shown_on(terminal, "check", 2) as progress:
        several(progress)
        first, second, bar = drawn(progress, terminal)
        assert first == f"kind   {LOOK}"
        assert second == "brief  choice · about 100 tokens to compute, roughly 30 seconds"
        assert bar.startswith("check (0 of 2 done)")
        assert "35%" in bar
        progress.of("kind").advance("divergence", 10)
        assert drawn(progress, terminal)[0] == f"kind   divergence · {LOOK}"
        progress.of("kind").end()
        (bar,) = drawn(progress, terminal)
    assert bar.startswith("brief: choice (1 of 2 done)")
    assert "50%" in bar  # 60 of 60, and 20 of 100


def test_pieces_that_have_not_begun_count_as_much_as_the_others_and_those_kept_nothing(terminal: Terminal) -> None:
    with shown_on(terminal, "check", 4) as progress:
        progress.of("kept").end()
        progress.of("kind").begin(100, 30.0)
        progress.of("kind").advance("choice", 30)
        (bar,) = drawn(progress, terminal)
        assert "10%" in bar
        progress.of("kind").end()  # it took less than expected, as the others will
        (bar,) = drawn(progress, terminal)
    assert "33%" in bar


def test_a_line_longer_than_the_terminal_is_cut_and_markup_is_only_text(terminal: Terminal) -> None:
    with shown_on(terminal, "check", 2) as progress:
        progress.of("[red]a").say("[/] " + "long " * 50)
        progress.of("b").advance("choice", 1)
        first, *_ = drawn(progress, terminal)
    assert len(first) <= 100
    assert first.startswith("[red]a  [/] long")
    assert first.endswith("…")


def test_silence_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    silent = Silent()
    for progress in (silent, silent.of("kind")):
        progress.begin(100, 30.0)
        progress.say(LOOK)
        progress.advance("evaluation", 50)
        progress.end()
    assert capsys.readouterr() == ("", "")
