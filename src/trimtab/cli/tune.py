"""`trimtab tune`."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from trimtab.cli import completion, options
from trimtab.cli.options import one_of, quiet, resumable
from trimtab.errors import InputError
from trimtab.phrases import Phrase


def tune(
    steering: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Folders of steerings with the same attributes; or else give --method.",
            autocompletion=completion.steerings,
        ),
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME:SOURCE?option=value&… (repeatable), as of trimtab evaluate; its label is an attribute."
        ),
    ] = None,
    side: Annotated[
        list[str] | None,
        typer.Option(help="A task that counts like the others, but nothing is fitted to (repeatable)."),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(help="NAME?option=value,value&… (repeatable), fitted to the tasks; every value is searched."),
    ] = None,
    site: Annotated[
        list[str] | None,
        typer.Option(help="14, attention:14; 10-18: each of these blocks (repeatable); every site is searched."),
    ] = None,
    gate: Annotated[
        list[float] | None,
        typer.Option(help="Log-odds added to gates (repeatable): searched for each attribute; by default none."),
    ] = None,
    max_factor: Annotated[float, typer.Option(help="Largest strength of an attribute, over its default.")] = 2.0,
    sampler: Annotated[str, typer.Option(help="tpe, gp (slower proposals), sobol or random.")] = "tpe",
    trials: Annotated[int, typer.Option(min=1, help="Budget; raising it goes on where the search ended.")] = 60,
    max_damage: Annotated[
        float, typer.Option(help="Nats per token, the worst of neutral text, prompts and desired answers.")
    ] = 0.1,
    max_capability_loss: Annotated[
        float, typer.Option(help="Largest share of the capability probe that may turn wrong, net.")
    ] = 0.05,
    max_loss: Annotated[
        float, typer.Option(help="What the recommended trial may lose on a task, as a share of its scale.")
    ] = 0.01,
    model: options.ModelIdOrSteerings = None,
    revision: options.Revision = None,
    adapter: options.Adapter = None,
    dtype: options.Dtype = "auto",
    device: options.Device = None,
    device_map: options.DeviceMap = None,
    quantisation: options.Quantisation = None,
    threads: options.Threads = None,
    allow_mismatch: Annotated[
        bool, typer.Option("--allow-mismatch", help="Steer other weights than the steering was made for.")
    ] = False,
    scope: Annotated[
        str,
        typer.Option(
            help="Steered tokens: all, prompt, last, generated, or of these thinking or answer.",
            autocompletion=completion.scopes,
        ),
    ] = "all",
    train: Annotated[int, typer.Option(help="Training examples of each task, at most.")] = 150,
    dev: Annotated[int, typer.Option(help="Units of each task that trials are scored on, at most.")] = 40,
    test: Annotated[int, typer.Option(help="Units of each task that measure the recommended one, at most.")] = 120,
    damage_texts: Annotated[int, typer.Option(min=1, help="Texts of each kind that damage is measured on.")] = 16,
    seed: options.Seed = 0,
    chat_template: options.ChatTemplate = False,
    out: Annotated[Path, typer.Option(help="Folder for the page, the record, the trials and the steering.")] = Path(
        "out/tune"
    ),
    lang: options.Lang = None,
    json_: options.Json = False,
) -> None:
    """Search strengths, sites and gates for the best trade-offs between tasks, and keep them as presets."""
    from trimtab.interventions import SCOPES

    if not task:
        raise InputError("give at least one --task (trimtab evaluate --list shows them)")
    one_of("--scope", scope, SCOPES)
    language = options.language_of(lang)
    options.own_folder(out)

    from trimtab.experiment.progress import OnTerminal
    from trimtab.experiment.task_parts import Sizes
    from trimtab.languages import spoken
    from trimtab.reports.tune.files import PAGE
    from trimtab.reports.tune.terminal import tuning_summary
    from trimtab.steering import Steering
    from trimtab.workflows.tune import tune as run
    from trimtab.workflows.tune.settings import Settings
    from trimtab.workflows.tune.yardstick import Limits

    shifts = tuple(gate) if gate else (0.0,)
    limits, sizes = Limits(max_damage, max_capability_loss, max_loss), Sizes(train, dev, test)
    numbers = (sampler, trials, max_factor, shifts, limits, sizes, damage_texts, seed)
    Settings(*numbers, scope, chat_template)  # type: ignore[arg-type]  # refused before the model is loaded
    given = [Steering.load(folder, allow_mismatch=allow_mismatch) for folder in steering or ()]
    source, revision = options.model_of(given[0], model, revision) if given else (model or options.EMBEDDED, revision)
    wanted = options.model_source(source, revision, adapter, dtype, device, device_map, quantisation)
    lm = options.loaded(wanted, threads)
    with resumable(), OnTerminal.shown("tune") as progress, quiet():
        found = run(
            lm,
            task,
            methods=method or (),
            site=site,
            steering=given,
            side=side or (),
            sampler=sampler,
            trials=trials,
            max_factor=max_factor,
            gates=shifts,
            max_damage=max_damage,
            max_capability_loss=max_capability_loss,
            max_loss=max_loss,
            train=train,
            dev=dev,
            test=test,
            damage_texts=damage_texts,
            seed=seed,
            scope=scope,  # type: ignore[arg-type]
            chat_template=chat_template,
            folder=out,
            progress=progress,
            command=shlex.join(["trimtab", *sys.argv[1:]]),
            language=language,
        ).record
    if json_:
        typer.echo(found.model_dump_json(by_alias=True))
        return
    tuning_summary(found, Console(), spoken(language))
    if found.recommended is not None:
        command = f"trimtab generate --steering {shlex.quote(str(out / 'steering'))} --strength recommended"
        options.say(Phrase("use it: {command}", command=command), language)
    options.say(Phrase("page: {path}", path=str(out / PAGE)), language)
