"""The summary on the terminal."""

import io
from collections.abc import Callable

import pytest
from rich.cells import cell_len
from rich.console import Console

from trimtab.reports.check.terminal import summary
from trimtab.results.report import Report


def printed(report: Report, width: int = 80, encoding: str = "utf-8", **options: bool) -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
    summary(report, Console(file=file, width=width, **options))
    return file.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal_but_commands(any_report: Report, width: int) -> None:
    plain = [step.model_copy(update={"command": None}) for step in any_report.next_steps]
    lines = printed(any_report.model_copy(update={"next_steps": tuple(plain)}), width).splitlines()
    assert max(map(cell_len, lines)) <= width


def test_verdict_and_figures_are_shown(report: Report) -> None:
    text = printed(report)
    assert text.splitlines()[0].startswith("▲ caution (likelihood only)  cheerfulness")
    effect = report.prompt_types["prefilled+instruction"].effect
    assert effect is not None
    row = next(line for line in text.splitlines() if "★ prefilled+instruction " in line)
    assert f"{effect.mean:.3f} [{effect.low:.3f}, {effect.high:.3f}]" in row
    assert "prefilled+instruction+5-shot" in text
    assert "3 duplicates were dropped." in text


def test_without_colour_there_are_no_escape_codes(any_report: Report) -> None:
    assert "\x1b" not in printed(any_report)
    assert "\x1b" in printed(any_report, force_terminal=True)


def test_texts_are_not_read_as_markup(report: Report) -> None:
    text = printed(report.model_copy(update={"notes": ("[red]not a colour[/red] [/]",)}))
    assert "[red]not a colour[/red] [/]" in text


def test_ascii_terminals_get_ascii(any_report: Report) -> None:
    assert printed(any_report, encoding="ascii").isascii()


def test_missing_types_and_figures_give_their_reason(variant: Callable[[str], Report]) -> None:
    text = " ".join(printed(variant("unmeasured")).split())
    assert "5-shot: not measured: bare statements have no prompt: every difference would be equal" in text


def test_what_to_do_next_comes_last_with_commands_that_can_be_copied_whole(report: Report) -> None:
    lines = printed(report, width=60).splitlines()
    at = lines.index("What next")
    assert lines[at + 1 :][0] == "1. Read the reservation first."
    commands = [line.strip() for line in lines[at:] if line.strip().startswith("trimtab ")]
    assert commands == [step.command for step in report.next_steps if step.command]
    without = printed(report.model_copy(update={"next_steps": ()}), width=60)
    assert "What next" not in without
