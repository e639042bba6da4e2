"""The generated reference names every command with every option, and every public name."""

import re

import typer
from docs.site.reference import MARK, pages

import trimtab
from trimtab.cli import app


def test_every_command_has_a_page_with_all_its_options() -> None:
    found = pages(f"# Reference\n\n{MARK}\n")
    group = typer.main.get_command(app)
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        page = found[f"reference/cli/{name}.md"]
        assert f"(cli/{name}.md)" in found["reference/index.md"]
        for inner in getattr(command, "commands", {"": command}).values():
            flags = [flag for option in inner.params for flag in option.opts if flag.startswith("--")]
            assert all(re.search(rf"\| `[^`]*{flag}\b", page) for flag in flags), name


def test_the_page_on_python_holds_the_public_list() -> None:
    entries = re.findall(r"^::: (\S+)$", pages(MARK)["reference/python.md"], re.MULTILINE)
    public = {name for name in trimtab.__all__ if not name.startswith("_")}
    assert {entry.rsplit(".", 1)[1] for entry in entries} == public
