"""Every command that the documentation shows exists: its verb, its options, and the values that they are given."""

import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from trimtab.cli import app

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^ *```(\w*)[^\n]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
CALL = re.compile(r"^\s*(?:\$ )?(?:[A-Z_]+=\S+ )*trimtab (.*)$")
INLINE = re.compile(r"(?<!`)`trimtab ([^`\n]+)`(?!`)")


def fenced(text: str) -> list[str]:
    """The commands of trimtab in a page's blocks of code, each as one line, without what the shell adds."""
    found = []
    for _, block in FENCE.findall(text):
        lines = re.sub(r"\\\n\s*", " ", block).splitlines()
        found += [match[1] for line in lines if (match := CALL.match(line))]
    return found


def words(line: str) -> list[str]:
    """Words of a command up to a comment, a pipe or a redirection."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&<>")
    lexer.whitespace_split = True
    kept: list[str] = []
    for word in lexer:
        if word.strip("|;&<>") == "":
            break
        kept.append(word)
    return kept


@cache
def group() -> Any:
    """The whole command line."""
    return typer.main.get_command(app)


def command(given: list[str]) -> tuple[Any, list[str]]:
    """The command that the first words name, and the rest of the words."""
    found: Any = group()
    rest = list(given)
    while hasattr(found, "commands") and rest and not rest[0].startswith("-"):
        assert rest[0] in found.commands, f"there is no command {rest[0]!r}"
        found = found.commands[rest.pop(0)]
    return found, rest


def unknown_options(found: Any, rest: list[str]) -> set[str]:
    """Options among the words that the command does not have; whatever stands behind -- is for another program."""
    known = {o for p in found.params for o in (*p.opts, *p.secondary_opts)} | {"--help", "-h"}
    own = rest[: rest.index("--")] if "--" in rest else rest
    return {word.split("=")[0] for word in own if re.match(r"--?[a-z]", word)} - known


def parsed(line: str) -> None:
    """Raise unless the command line takes these words; one that is cut by … is held to its verb and options alone."""
    given = words(line)
    found, rest = command(given)
    assert not (unknown := unknown_options(found, rest)), f"{found.name} has no option {', '.join(sorted(unknown))}"
    if "…" not in line and not hasattr(found, "commands"):
        found.make_context(found.name, rest)


def said(error: BaseException) -> str:
    """What an error says, whatever library it is of."""
    return str(error.format_message() if hasattr(error, "format_message") else error)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_on_pages_are_taken_by_the_command_line(page: Path) -> None:
    text = page.read_text()
    failed = []
    for line in fenced(text):
        try:
            parsed(line)
        except Exception as error:
            failed.append(f"trimtab {line}\n    {said(error)}")
    for line in INLINE.findall(text):
        if line.split()[0].isupper():  # VERB, any of them
            continue
        found, rest = command(words(line))
        if unknown := unknown_options(found, rest):
            failed.append(f"`trimtab {line}`\n    no option {', '.join(sorted(unknown))}")
    assert not failed, f"{page.relative_to(ROOT)} shows what does not exist:\n" + "\n".join(failed)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("chekc sentiment", "no command 'chekc'"),
        ("release begin cheerful", "no command 'begin'"),
        ("check sentiment --sight 14 …", "no option --sight"),
        ("check sentiment --train many", "valid integer"),
        ("release create --treatment a", "Missing argument"),
    ],
)
def test_what_does_not_exist_is_found(line: str, reason: str) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011, what is raised is the command line's own affair
        parsed(line)
    assert reason in said(caught.value)


def test_commands_are_found_over_several_lines_behind_prompts_and_before_comments() -> None:
    page = "```\n$ trimtab check a.jsonl \\\n    --site 14   # a comment\n```\n\n```python\nx\n```\ntrimtab prose\n"
    assert [words(line) for line in fenced(page)] == [["check", "a.jsonl", "--site", "14"]]
    assert words("generate 'a # b' --json | jq .") == ["generate", "a # b", "--json"]
