"""The generated pages of the reference: one for each command, read from the command line, and one for Python."""

from collections.abc import Iterator
from typing import Any, Final

import typer

import trimtab
from trimtab.cli import app

MARK: Final = "<!-- commands -->"
_WORKING: Final = (
    "load",
    "check",
    "predict",
    "study",
    "fit",
    "vector",
    "generate",
    "evaluate",
    "tune",
    "draft",
    "lint",
)


def pages(index: str) -> dict[str, str]:
    """All generated pages by their path; `index` is the text of the reference's first page, with `MARK` in it."""
    commands = dict(_commands(typer.main.get_command(app), ""))
    rows = [f"| [`trimtab {name}`](cli/{name}.md) | {_line(_summary(c))} |" for name, c in commands.items()]
    table = "\n".join(["| command | what it does |", "|---|---|", *rows])
    found = {f"reference/cli/{name}.md": _page(name, command) for name, command in commands.items()}
    return {"reference/index.md": index.replace(MARK, table), "reference/python.md": _python(), **found}


def _commands(group: Any, before: str) -> Iterator[tuple[str, Any]]:
    yield from ((name, command) for name, command in sorted(group.commands.items()) if not command.hidden)


def _summary(command: Any) -> str:
    return str(command.help or "").split("\n\n")[0]


def _line(text: str) -> str:
    """Text for one cell of a table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _page(name: str, command: Any) -> str:
    lines = [f"# trimtab {name}", "", *_described(name, command)]
    for inner, subcommand in _commands(command, name) if hasattr(command, "commands") else ():
        lines += ["", f"## {inner}", "", *_described(f"{name} {inner}", subcommand)]
    return "\n".join(lines) + "\n"


def _described(name: str, command: Any) -> list[str]:
    """Help, usage and a table of the arguments and options of one command."""
    context = command.make_context(name, [], resilient_parsing=True)
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [" ".join(str(command.help or "").split()), "", "```", f"trimtab {name} {usage}", "```"]
    records = [record for p in command.get_params(context) if (record := p.get_help_record(context))]
    if hasattr(command, "commands"):
        return lines
    rows = [f"| `{flags.replace('|', chr(92) + '|')}` | {_line(said)} |" for flags, said in records]
    return [*lines, "", "| option | meaning |", "|---|---|", *rows]


def _python() -> str:
    """The public list of `trimtab`, in the order of work, each from its docstring."""
    public = [name for name in trimtab.__all__ if not name.startswith("_")]
    kinds = [name for name in public if name[0].isupper()]
    functions = [*_WORKING, *sorted({*public} - {*kinds, *_WORKING})]
    lines = [
        "# Python",
        "",
        "`import trimtab as tt` loads no torch; names are loaded on first use.",
        "",
        "## Functions",
    ]
    lines += [_entry(name) for name in functions]
    lines += ["", "## Classes", *map(_entry, sorted(kinds))]
    return "\n".join(lines) + "\n"


def _entry(name: str) -> str:
    """The place where one public name is described, found by where it is defined: some share their module's name."""
    found = getattr(trimtab, name)
    return f"\n::: {found.__module__}.{found.__qualname__}"
