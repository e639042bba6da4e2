"""`trimtab convert-data`."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from trimtab.cli import completion, options
from trimtab.errors import InputError
from trimtab.storage.atomic import fault, outside_steerings


def convert_data(
    source: Annotated[
        str,
        typer.Argument(
            help="File or folder, built-in behavior or Hugging Face dataset (org/name).",
            autocompletion=completion.behaviors,
        ),
    ],
    target: Annotated[Path, typer.Argument(metavar="OUT.jsonl", help="JSONL file to write.")],
    positive: Annotated[
        str | None, typer.Option(help="Field with the wanted answer, if it is called otherwise.")
    ] = None,
    negative: Annotated[str | None, typer.Option(help="Field with the unwanted answer.")] = None,
    prompt: Annotated[str | None, typer.Option(help="Field with the prompt that both follow.")] = None,
    text: Annotated[str | None, typer.Option(help="Field with the one text of a row, with --label.")] = None,
    label: Annotated[str | None, typer.Option(help="Field with the side of a text: 1 or 0, yes or no …")] = None,
    view: options.View = None,
    format: options.Format = None,
    skip_bad: options.SkipBad = False,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    json_: options.Json = False,
) -> None:
    """Any behavior as one plain JSONL file, to look at, to edit and to check: it is read back as it was."""
    _check_target(target, source, force)
    given = {"positive": positive, "negative": negative, "prompt": prompt, "text": text, "label": label}
    from trimtab.behaviors import load
    from trimtab.behaviors.writing import write

    fields = {ours: name for ours, name in given.items() if name is not None}
    behavior = load(source, view=view, format=format, skip_bad=skip_bad, fields=fields)
    write(behavior, target)
    if json_:
        typer.echo(
            json.dumps(
                {
                    "file": str(target), "behavior": behavior.name, "n": len(behavior.examples),
                    "pairing": behavior.pairing, "digest": behavior.digest, "notes": list(behavior.notes),
                }
            )
        )  # fmt: skip
        return
    from trimtab.results.numbers import plain

    console = Console(soft_wrap=True)
    first = behavior.examples[0]
    console.print(
        f"[bold]{escape(plain(behavior.name))}[/]: {len(behavior.examples)} examples, pairing {behavior.pairing}",
        highlight=False,
    )
    for name, text in (("prompt", first.prompt), ("positive", first.positive), ("negative", first.negative)):
        if text:
            console.print(f"  {name}: {_short(text)}", highlight=False, markup=False)
    for note in behavior.notes:
        console.print(f"  note: {escape(plain(note))}", highlight=False)
    console.print(f"written: {target}\nthen: trimtab lint {target}", highlight=False, markup=False)


def _short(text: str) -> str:
    said = ascii(text) if not text.isprintable() and not text.replace("\n", "").isprintable() else repr(text)
    return said if len(said) <= 100 else said[:99] + "…"


def _check_target(target: Path, source: str, force: bool) -> None:
    """
    Raises:
        InputError: the target cannot be written, is there already, or is the source.
    """
    if why := fault(target):
        raise InputError(f"{str(target)!r} {why}; give another target")
    if target.is_dir():
        raise InputError(f"{target} is a folder; give a file, such as {target / 'behavior.jsonl'}")
    if target.suffix.lower() != ".jsonl":
        raise InputError(f"{target}: behaviors are written as JSONL; give a name that ends in .jsonl")
    if target.exists() and Path(source).exists() and target.resolve() == Path(source).resolve():
        raise InputError(f"{target} is the source, and sources stay; give another target")
    if target.exists() and not force:
        raise InputError(f"{target} is there already; give another target, or --force to write over it")
    outside_steerings(target.parent)
