"""`trimtab predict`."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from trimtab.cli import completion, options
from trimtab.cli.options import quiet
from trimtab.errors import InputError
from trimtab.languages import Code, spoken
from trimtab.phrases import Phrase


def predict(
    behaviors: Annotated[
        list[str] | None,
        typer.Argument(
            help="Files, built-in behaviors or Hugging Face datasets (org/name).", autocompletion=completion.behaviors
        ),
    ] = None,
    model: options.ModelId = "smollm2",
    revision: options.Revision = None,
    adapter: options.Adapter = None,
    dtype: options.Dtype = "auto",
    device: options.Device = None,
    device_map: options.DeviceMap = None,
    quantisation: options.Quantisation = None,
    threads: options.Threads = None,
    site: Annotated[
        str | None,
        typer.Option(help="14, attention:14, mlp:14; 10-18: each of these blocks; auto: the middle's residual."),
    ] = None,
    prompt_type: Annotated[
        list[str] | None,
        typer.Option(
            help="One of the seven prompt types (repeatable), or all.", autocompletion=completion.prompt_types
        ),
    ] = None,
    train: Annotated[int | None, typer.Option(min=2, help="Training examples.")] = None,
    eval_: Annotated[
        int | None, typer.Option("--eval", min=2, help="Examples left for the evaluation of a check.")
    ] = None,
    seed: options.Seed = 0,
    chat_template: options.ChatTemplate = False,
    view: options.View = None,
    format: options.Format = None,
    skip_bad: options.SkipBad = False,
    calibration: Annotated[
        Path | None, typer.Option(help="File that --fit wrote, instead of what comes with the package.")
    ] = None,
    fit: Annotated[
        list[Path] | None, typer.Option(help="Folder of a study: fit a calibration to it instead (repeatable).")
    ] = None,
    min_effect: Annotated[
        float | None, typer.Option(help="With --fit: the effect's interval must lie above this, as in a check.")
    ] = None,
    max_anti_steerable: Annotated[
        float | None, typer.Option(help="With --fit: the anti-steerable share's interval must lie below this.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="With --fit: folder for calibrations.json and report.html.")] = None,
    lang: options.Lang = None,
    json_: options.Json = False,
) -> None:
    """From activations alone, in seconds: how likely steering will work, and how much it will do."""
    language = options.language_of(lang)
    if fit:
        if behaviors or calibration:
            raise InputError("--fit takes studies only; predict behaviors in a second command, with --calibration")
        _fit(fit, min_effect, max_anti_steerable, out or Path("out/predict"), seed, json_, language)
        return
    for flag, given in (("--min-effect", min_effect), ("--max-anti-steerable", max_anti_steerable), ("--out", out)):
        if given is not None:
            raise InputError(f"{flag} belongs to --fit, which is missing")
    if not behaviors:
        raise InputError("name a behavior to predict, or a study to fit with --fit")

    from trimtab.behaviors import load as load_behavior
    from trimtab.results.calibration_files import load_calibrations

    loaded = [load_behavior(source, view=view, format=format, skip_bad=skip_bad) for source in behaviors]
    known = load_calibrations(calibration) if calibration else None

    from trimtab.experiment.progress import OnTerminal
    from trimtab.reports.prediction.terminal import prediction_summary
    from trimtab.workflows.predict.predict import predict as run

    wanted = options.model_source(model, revision, adapter, dtype, device, device_map, quantisation)
    lm = options.loaded(wanted, threads)
    with OnTerminal.shown("predict") as progress, quiet():
        result = run(
            lm,
            loaded,
            site=site,
            prompt_types=prompt_type or ["all"],
            train=train,
            evaluation=eval_,
            seed=seed,
            chat_template=chat_template,
            calibrations=known,
            progress=progress,
            command=shlex.join(["trimtab", *sys.argv[1:]]),
        )
    if json_:
        typer.echo(result.model_dump_json(by_alias=True))
    else:
        prediction_summary(result, Console(), spoken(language))


def _fit(
    folders: list[Path],
    min_effect: float | None,
    max_anti_steerable: float | None,
    out: Path,
    seed: int,
    json_: bool,
    language: Code,
) -> None:
    """Fit calibrations to studies, show and keep them."""
    options.own_folder(out)

    from trimtab.reports.prediction.files import save_calibrations
    from trimtab.reports.prediction.terminal import calibration_summary
    from trimtab.results.study_files import load_study
    from trimtab.workflows.predict.calibrate import MAX_ANTI_STEERABLE, calibrate

    result = calibrate(
        [load_study(folder) for folder in folders],
        min_effect=min_effect,
        max_anti_steerable=MAX_ANTI_STEERABLE if max_anti_steerable is None else max_anti_steerable,
        seed=seed,
        command=shlex.join(["trimtab", *sys.argv[1:]]),
    )
    save_calibrations(result, out, spoken(language))
    if json_:
        typer.echo(json.dumps(result.model_dump(mode="json", by_alias=True)))
        return
    calibration_summary(result, Console(), spoken(language))
    options.say(Phrase("report: {path}", path=str(out / "report.html")), language)
    options.say(Phrase("calibrations: {path}", path=str(out / "calibrations.json")), language)
