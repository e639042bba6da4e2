"""`trimtab study`."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from trimtab.cli import completion, options
from trimtab.cli.options import quiet, resumable
from trimtab.errors import InputError
from trimtab.model_source import ModelSource
from trimtab.phrases import Phrase


def study(
    behaviors: Annotated[
        list[str],
        typer.Argument(
            help="Files, built-in behaviors or Hugging Face datasets (org/name).", autocompletion=completion.behaviors
        ),
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help="smollm2, a Hugging Face id, a folder or a .gguf (repeatable).",
            autocompletion=completion.models,
        ),
    ] = None,
    dtype: Annotated[
        list[str] | None, typer.Option(help="auto, float32, bfloat16 or float16 (repeatable: each with every model).")
    ] = None,
    device: options.Device = None,
    device_map: options.DeviceMap = None,
    quantisation: options.Quantisation = None,
    threads: options.Threads = None,
    site: Annotated[
        list[str] | None,
        typer.Option(
            help="14, attention:14, mlp:14; 10-18: each of these blocks (repeatable); auto: the middle's residual."
        ),
    ] = None,
    prompt_type: Annotated[
        list[str] | None,
        typer.Option(
            help="One of the seven prompt types (repeatable), or all.", autocompletion=completion.prompt_types
        ),
    ] = None,
    equal_dose: Annotated[float, typer.Option(help="Dose that every vector is brought to, besides strength 1.")] = 0.1,
    slopes: Annotated[bool, typer.Option("--slopes", help="Measure effects over strengths −1.5 … 1.5 too.")] = False,
    nulls: Annotated[
        int, typer.Option(min=0, help="So many copies of every behavior with shuffled labels, as controls.")
    ] = 0,
    control: Annotated[
        list[str] | None, typer.Option(help="A behavior of the list with nothing to steer toward (repeatable).")
    ] = None,
    train: Annotated[int | None, typer.Option(min=2, help="Training examples.")] = None,
    eval_: Annotated[int | None, typer.Option("--eval", min=2, help="Evaluation examples.")] = None,
    seed: options.Seed = 0,
    chat_template: options.ChatTemplate = False,
    view: options.View = None,
    format: options.Format = None,
    skip_bad: options.SkipBad = False,
    workers: options.Workers = None,
    executor: options.Executor = "local",
    out: Annotated[Path, typer.Option(help="Folder for report.html, study.json and cells.parquet.")] = Path(
        "out/study"
    ),
    lang: options.Lang = None,
    json_: options.Json = False,
) -> None:
    """Behaviors × prompt types × sites × models: geometry and effects of each, and what they show together."""
    from trimtab.behaviors import load as load_behavior
    from trimtab.behaviors.controls import CONTROLS, shuffled_copy

    language = options.language_of(lang)
    options.own_folder(out)
    loaded = [load_behavior(source, view=view, format=format, skip_bad=skip_bad) for source in behaviors]
    names = [b.name for b in loaded]
    unknown = sorted(set(control or []) - set(names))
    if unknown:
        raise InputError(f"--control {unknown[0]}: no behavior of this study has this name")

    from trimtab.experiment.progress import OnTerminal
    from trimtab.languages import spoken
    from trimtab.workflows.study import families_of
    from trimtab.workflows.study import study as run

    families = families_of(names)
    controls = [name for name in names if name in (*CONTROLS, "null", *(control or []))]
    for behavior in loaded[: len(names)]:
        for k in range(nulls):
            copy = shuffled_copy(behavior, k)
            loaded.append(copy)
            controls.append(copy.name)
            families[copy.name] = families[behavior.name]
    options.use_threads(threads)
    with resumable(), OnTerminal.shown("study") as progress, quiet():
        result = run(
            sources(model or ["smollm2"], dtype or ["auto"], device, device_map, quantisation),
            loaded,
            folder=out,
            site=site,
            prompt_types=prompt_type or "all",
            equal_dose=equal_dose,
            slopes=slopes,
            train=train,
            evaluation=eval_,
            seed=seed,
            chat_template=chat_template,
            controls=controls,
            families=families,
            workers=workers,
            executor=executor,
            progress=progress,
            command=shlex.join(["trimtab", *sys.argv[1:]]),
            language=language,
        )
    if json_:
        typer.echo(json.dumps(result.model_dump(mode="json", by_alias=True)))
        return
    from trimtab.reports.study.terminal import study_summary

    study_summary(result, Console(), spoken(language))
    options.say(Phrase("report: {path}", path=str(out / "report.html")), language)


def sources(
    models: list[str], dtypes: list[str], device: str | None, device_map: str | None, quantisation: str | None
) -> list[ModelSource]:
    """Every model in every dtype; the label names the dtype only where it tells two apart."""
    return [
        options.model_source(
            source,
            None,
            None,
            dtype,
            device,
            device_map,
            quantisation,
            label=source if len(dtypes) == 1 else f"{source} {dtype}",
        )
        for source in models
        for dtype in dtypes
    ]
