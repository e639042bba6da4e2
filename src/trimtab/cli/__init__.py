"""The command line: reads arguments, asks the workflows, prints. No logic of its own, no torch until it is needed."""

import json
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trimtab import __version__
from trimtab.errors import InputError, TrimtabError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Steer language models by small edits to their activations, and know beforehand whether the edit will hold.",
)


def main() -> NoReturn:
    """Entry point: errors become one message and an exit code, never a traceback."""
    try:
        app(standalone_mode=True)
    except TrimtabError as error:
        Console(stderr=True, soft_wrap=True).print(f"[bold red]error:[/] {escape(str(error))}", highlight=False)
        sys.exit(error.exit_code)
    except Exception as error:
        if os.environ.get("TRIMTAB_DEBUG"):
            raise
        said = f"{type(error).__name__}: {error}".strip()
        Console(stderr=True, soft_wrap=True).print(
            f"[bold red]error:[/] trimtab failed where it should not have: {escape(said)}\n"
            "Please report it; TRIMTAB_DEBUG=1 shows where it happened.",
            highlight=False,
        )
        sys.exit(4)
    sys.exit(0)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"trimtab {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


Sources = Annotated[
    list[str], typer.Argument(help="Files, built-in behaviors (sentiment, null) or Hugging Face datasets (org/name).")
]
View = Annotated[
    str | None,
    typer.Option(help="For files that hold both: 'choice' (the questions) or 'statements' (free text)."),
]
Format = Annotated[str | None, typer.Option(help="Name of the reader, when the content alone does not tell.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, nothing else there.")]


@app.command()
def check(
    behaviors: Sources,
    model: Annotated[str, typer.Option(help="smollm2, a Hugging Face id, a folder or a .gguf file.")] = "smollm2",
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit on the Hub.")] = None,
    adapter: Annotated[str | None, typer.Option(help="PEFT adapter to put on top.")] = None,
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    device: Annotated[str | None, typer.Option(help="Such as cuda:1; by default the first GPU, else the CPU.")] = None,
    site: Annotated[
        str, typer.Option(help="14, attention:14, mlp:14; auto, or a range such as 10-18: chosen on the dev split.")
    ] = "auto",
    prompt_type: Annotated[
        list[str] | None, typer.Option(help="One of the seven prompt types (repeatable), or all.")
    ] = None,
    strength: Annotated[float, typer.Option(help="Strength λ of the edit, above 0.")] = 1.0,
    scope: Annotated[str, typer.Option(help="Steered tokens: all, prompt, last or generated.")] = "all",
    train: Annotated[int | None, typer.Option(min=2, help="Training examples.")] = None,
    eval_: Annotated[int | None, typer.Option("--eval", min=2, help="Evaluation examples.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of splits and resampling.")] = 0,
    chat_template: Annotated[
        bool, typer.Option("--chat-template/--no-chat-template", help="Put prompts through the chat template.")
    ] = False,
    read: Annotated[str | None, typer.Option(help="Prefilled types read the last answer token, or the mean.")] = None,
    positive_instruction: Annotated[str | None, typer.Option(help="What the positive contexts tell the model.")] = None,
    negative_instruction: Annotated[str | None, typer.Option(help="What the negative contexts tell it.")] = None,
    view: View = None,
    format: Format = None,
    min_effect: Annotated[
        float | None, typer.Option(help="Least mean effect (default 0.05 nats per token, or 0.1 logits).")
    ] = None,
    max_anti_steerable: Annotated[float, typer.Option(help="Largest share pushed the wrong way.")] = 0.25,
    out: Annotated[Path, typer.Option(help="Folder for report.html, report.json and examples.parquet.")] = Path(
        "out/check"
    ),
    require: Annotated[str | None, typer.Option(help="Exit with code 3 below this verdict: go or caution.")] = None,
    json_: Json = False,
) -> None:
    """Will steering this behavior hold? Writes a report with a verdict: go, caution, no-go or inconclusive."""
    from trimtab.behaviors import load as load_behavior

    _one_of("--require", require, ("go", "caution"))
    _one_of("--read", read, ("last", "mean"))
    loaded = [load_behavior(source, view=view, format=format) for source in behaviors]
    loaded = [_instructed(b, positive_instruction, negative_instruction) for b in loaded]
    folders = _folders(out, [b.name for b in loaded])

    from trimtab.models import load
    from trimtab.reports import DECISIONS
    from trimtab.reports.terminal import summary
    from trimtab.workflows import check as run
    from trimtab.workflows.progress import OnTerminal

    Console(stderr=True).print(f"loading {model} …", markup=False, highlight=False)
    with _quiet():
        lm = load(model, revision=revision, adapter=adapter, dtype=dtype, device=device)
    reports = []
    for behavior, folder in zip(loaded, folders, strict=True):
        with _resumable(), OnTerminal.shown(behavior.name) as progress, _quiet():
            report = run(
                lm,
                behavior,
                site=None if site == "auto" else site,
                prompt_types=prompt_type or ["all"],
                strength=strength,
                scope=scope,  # type: ignore[arg-type]  # checked there
                train=train,
                evaluation=eval_,
                seed=seed,
                chat_template=chat_template,
                read=read,  # type: ignore[arg-type]  # checked above
                min_effect=min_effect,
                max_anti_steerable=max_anti_steerable,
                folder=folder,
                progress=progress,
                command=shlex.join(["trimtab", *sys.argv[1:]]),
            )
        reports.append(report)
        if not json_:
            summary(report, Console())
            Console(soft_wrap=True).print(f"report: {folder / 'report.html'}\n", highlight=False, markup=False)
    if json_:
        documents = [r.model_dump(mode="json", by_alias=True) for r in reports]
        typer.echo(json.dumps(documents[0] if len(documents) == 1 else documents))
    if require and any(DECISIONS.index(r.verdict.decision) < DECISIONS.index(require) for r in reports):
        raise typer.Exit(3)


@app.command()
def lint(
    behaviors: Sources,
    view: View = None,
    format: Format = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with code 3 when there is an error or warning.")
    ] = False,
    json_: Json = False,
) -> None:
    """What is wrong with the examples, before any model sees them."""
    from trimtab.behaviors import lint as examine
    from trimtab.behaviors import load

    results = []
    for source in behaviors:
        behavior = load(source, view=view, format=format)
        results.append((behavior, examine(behavior)))
    if json_:
        documents = [
            {"behavior": b.name, "n": len(b.examples), "notes": list(b.notes), "findings": [asdict(f) for f in found]}
            for b, found in results
        ]
        typer.echo(json.dumps(documents[0] if len(documents) == 1 else documents))
    else:
        for behavior, found in results:
            _print_findings(behavior, found)
    if strict and any(f.severity != "info" for _, found in results for f in found):
        raise typer.Exit(3)


@app.command()
def doctor(json_: Json = False) -> None:
    """Versions, devices, dtypes, cache; what is missing and the command that mends it."""
    from trimtab.doctor import examine

    found = examine()
    if json_:
        typer.echo(json.dumps({"trimtab": __version__, "findings": [asdict(f) for f in found]}))
    else:
        table = Table(box=None, pad_edge=False)
        for column in ("part", "state", "detail", "mend with"):
            table.add_column(column, overflow="fold")
        for f in found:
            style = {"ok": "green", "missing": "yellow", "broken": "bold red"}[f.state]
            table.add_row(f.part, f"[{style}]{f.state}[/]", escape(f.detail), escape(f.mend))
        Console().print(table)
    if any(f.state == "broken" for f in found):
        raise typer.Exit(4)


def _one_of(flag: str, value: str | None, allowed: tuple[str, ...]) -> None:
    if value is not None and value not in allowed:
        raise InputError(f"{flag} {value!r}: choose {' or '.join(allowed)}")


def _instructed(behavior: Any, positive: str | None, negative: str | None) -> Any:
    """The behavior with instructions from the command line, if there are any."""
    from dataclasses import replace

    if positive is None and negative is None:
        return behavior
    if not positive or not negative:
        raise InputError("give --positive-instruction and --negative-instruction, or neither")
    return replace(behavior, positive_instruction=positive, negative_instruction=negative)


def _folders(out: Path, names: list[str]) -> list[Path]:
    """One behavior reports into the folder itself, several into one folder each."""
    if not str(out).strip() or str(out) == ".":
        raise InputError("--out needs a folder of its own, such as out/check")
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file; give a folder")
    if len(names) == 1:
        return [out]
    repeated = sorted({n for n in names if names.count(n) > 1})
    if repeated:
        raise InputError(f"two behaviors are called {repeated[0]!r}; check them one at a time with their own --out")
    return [out / name for name in names]


def _print_findings(behavior: Any, found: Any) -> None:
    from trimtab.reports.numbers import plain

    console = Console()
    console.print(f"[bold]{escape(plain(behavior.name))}[/]: {len(behavior.examples)} examples", highlight=False)
    for note in behavior.notes:
        console.print(f"  note: {escape(plain(note))}", highlight=False)
    for f in found:
        style = {"error": "bold red", "warning": "yellow", "info": "cyan"}[f.severity]
        rows = f" ({', '.join(f.rows)})" if f.rows else ""
        console.print(f"  [{style}]{f.severity}[/] {escape(plain(f'{f.code}: {f.message}{rows}'))}", highlight=False)
    if not any(f.severity != "info" for f in found):
        console.print("  [green]clean[/]")


@contextmanager
def _resumable() -> Iterator[None]:
    """Say, when somebody interrupts, that nothing is lost."""
    try:
        yield
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted; the same command goes on where it stopped")
        raise


@contextmanager
def _quiet() -> Iterator[None]:
    """Libraries' own chatter stays away from the terminal; errors still come."""
    import warnings

    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
