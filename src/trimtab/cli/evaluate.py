"""`trimtab evaluate`."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from trimtab.cli import options
from trimtab.cli.options import quiet, resumable
from trimtab.errors import InputError
from trimtab.phrases import Phrase


def evaluate(
    task: Annotated[
        list[str] | None,
        typer.Option(help="NAME:SOURCE?option=value&…, such as truthfulqa:questions.json (repeatable); see --list."),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME?option=value,value&… (repeatable); dev chooses among values. LABEL+LABEL puts two others "
            "together. See trimtab fit --list."
        ),
    ] = None,
    side: Annotated[
        list[str] | None, typer.Option(help="A task like --task that is measured and not fitted to (repeatable).")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Show the tasks with their options and stop.")] = False,
    seeds: Annotated[int, typer.Option(min=1, help="How many deals of the rows, and starts of trainings.")] = 5,
    damage: Annotated[
        list[float] | None,
        typer.Option(help="Nats per token at which all are compared (repeatable; default 0.05 and 0.2)."),
    ] = None,
    trials: Annotated[int, typer.Option(min=1, help="Candidates of each method on dev, at most.")] = 4,
    contrast: Annotated[
        list[str] | None,
        typer.Option(help="FIRST,SECOND: a named difference (repeatable; default the first method and each other)."),
    ] = None,
    site: Annotated[
        str | None, typer.Option(help="14, attention:14; by default the blocks that do best on dev.")
    ] = None,
    model: options.ModelId = "smollm2",
    revision: options.Revision = None,
    adapter: options.Adapter = None,
    dtype: options.Dtype = "auto",
    device: options.Device = None,
    device_map: options.DeviceMap = None,
    quantisation: options.Quantisation = None,
    threads: options.Threads = None,
    train: Annotated[int, typer.Option(help="Training examples of each task, at most.")] = 150,
    dev: Annotated[int, typer.Option(help="Units of each task to choose by, at most.")] = 40,
    test: Annotated[int, typer.Option(help="Units of each task to measure, at most.")] = 120,
    damage_texts: Annotated[int, typer.Option(help="Texts of each group that damage is measured on.")] = 16,
    chat_template: options.ChatTemplate = False,
    open_lockbox: Annotated[
        bool, typer.Option("--open-lockbox", help="Measure the rows that were locked away: once, after test; recorded.")
    ] = False,
    workers: options.Workers = None,
    executor: options.Executor = "local",
    out: Annotated[Path, typer.Option(help="Folder for protocol, results, page and steerings.")] = Path("out/evaluate"),
    lang: options.Lang = None,
    json_: options.Json = False,
) -> None:
    """Methods against each other on tasks, at equal damage, and against what a merely broken model reaches."""
    if list_:
        _show_tasks(json_)
        return
    if not task or not method:
        raise InputError("give at least one --task and one --method (trimtab evaluate --list, trimtab fit --list)")
    pairs = [_pair(text) for text in contrast] if contrast else None
    language = options.language_of(lang)
    options.own_folder(out)

    from trimtab.experiment.progress import OnTerminal
    from trimtab.languages import spoken
    from trimtab.reports.evaluate.terminal import evaluation_summary
    from trimtab.workflows.evaluate.evaluate import DAMAGES
    from trimtab.workflows.evaluate.evaluate import evaluate as run

    options.use_threads(threads)
    with resumable(), OnTerminal.shown("evaluate") as progress, quiet():
        found = run(
            options.model_source(model, revision, adapter, dtype, device, device_map, quantisation),
            task,
            method,
            folder=out,
            side=side or (),
            seeds=seeds,
            damages=tuple(damage) if damage else DAMAGES,
            trials=trials,
            site=site,
            train=train,
            dev=dev,
            test=test,
            contrasts=pairs,
            damage_texts=damage_texts,
            chat_template=chat_template,
            open_lockbox=open_lockbox,
            workers=workers,
            executor=executor,
            progress=progress,
            command=shlex.join(["trimtab", *sys.argv[1:]]),
            language=language,
        )
    if json_:
        typer.echo(found.model_dump_json(by_alias=True))
        return
    evaluation_summary(found, Console(), spoken(language))
    page = out / ("report.html" if found.part == "test" else "report-lockbox.html")
    options.say(Phrase("page: {path}", path=str(page)), language)


def _pair(text: str) -> tuple[str, str]:
    first, sign, second = (part.strip() for part in text.partition(","))
    if not sign or not first or not second or "," in second:
        raise InputError(f"--contrast {text!r}: write FIRST,SECOND, two labels of methods or floors")
    return first, second


def _show_tasks(as_json: bool) -> None:
    import inspect

    from trimtab.evaluation.tasks import task_class, task_names, task_options

    known = {
        name: {k: "" if v is inspect.Parameter.empty else v for k, v in task_options(task_class(name)).items()}
        for name in task_names()
    }
    if as_json:
        typer.echo(json.dumps({name: {"source": task_class(name).source, "options": o} for name, o in known.items()}))
        return
    for name, defaults in known.items():
        shown = ", ".join(f"{k}={v}" for k, v in defaults.items()) or "no options"
        Console().print(f"[bold]{name}[/]  {shown}  ({task_class(name).source})", highlight=False)
