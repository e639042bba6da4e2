"""`trimtab check`."""

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from trimtab.cli import completion, options
from trimtab.cli.against import show_comparison
from trimtab.cli.listing import show_builtins
from trimtab.cli.options import both_or_none, one_of, quiet, resumable
from trimtab.errors import InputError
from trimtab.model_source import ModelSource
from trimtab.phrases import Phrase

if TYPE_CHECKING:
    from trimtab.behaviors import Behavior
    from trimtab.clients.chat import Endpoint
    from trimtab.languages import Code
    from trimtab.models import Model
    from trimtab.results import Report


def check(
    behaviors: Annotated[
        list[str] | None,
        typer.Argument(
            help="Files, built-in behaviors (see --list) or Hugging Face datasets (org/name).",
            autocompletion=completion.behaviors,
        ),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Show the built-in behaviors and stop.")] = False,
    model: options.ModelIdOrSteerings = None,
    revision: options.Revision = None,
    adapter: options.Adapter = None,
    dtype: options.Dtype = "auto",
    device: options.Device = None,
    device_map: options.DeviceMap = None,
    quantisation: options.Quantisation = None,
    threads: options.Threads = None,
    site: Annotated[
        str, typer.Option(help="14, attention:14, mlp:14; auto, or a range such as 10-18: chosen on the dev split.")
    ] = "auto",
    prompt_type: Annotated[
        list[str] | None,
        typer.Option(
            help="One of the seven prompt types (repeatable), or all.", autocompletion=completion.prompt_types
        ),
    ] = None,
    steering: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of a finished steering to check instead of vectors; repeated: all of them together.",
            autocompletion=completion.steerings,
        ),
    ] = None,
    strength: Annotated[
        str, typer.Option(help="Strength λ of the edit, above 0; auto: chosen on dev, or 1 for a finished steering.")
    ] = "auto",
    allow_mismatch: Annotated[
        bool, typer.Option("--allow-mismatch", help="Check a steering on other weights than it was made for.")
    ] = False,
    scope: Annotated[
        str, typer.Option(help="Steered tokens: all, prompt, last or generated.", autocompletion=completion.scopes)
    ] = "all",
    train: Annotated[int | None, typer.Option(min=2, help="Training examples.")] = None,
    eval_: Annotated[int | None, typer.Option("--eval", min=2, help="Evaluation examples.")] = None,
    seed: options.Seed = 0,
    chat_template: options.ChatTemplate = False,
    read: Annotated[str | None, typer.Option(help="Prefilled types read the last answer token, or the mean.")] = None,
    positive_instruction: options.PositiveInstruction = None,
    negative_instruction: options.NegativeInstruction = None,
    view: options.View = None,
    format: options.Format = None,
    skip_bad: options.SkipBad = False,
    min_effect: Annotated[
        float | None, typer.Option(help="Least mean effect (default 0.05 nats per token, or 0.1 logits).")
    ] = None,
    max_anti_steerable: Annotated[float, typer.Option(help="Largest share pushed the wrong way.")] = 0.25,
    max_kl: Annotated[
        float, typer.Option(help="Largest divergence on neutral text and other prompts, nats per token.")
    ] = 0.1,
    max_capability_loss: Annotated[
        float, typer.Option(help="Largest share of the capability probe that may turn wrong, net.")
    ] = 0.05,
    allow_desired_loss: Annotated[
        bool, typer.Option(help="Desired answers may become less likely, if undesired ones do even more.")
    ] = False,
    generate: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Continue N evaluation prompts and score the texts; 0: likelihood only. By default 80 or, where they "
            "leave it open, 160; none with --quick.",
        ),
    ] = None,
    judge: Annotated[
        str | None, typer.Option(help="Base URL of a chat model that compares the generated texts.", metavar="URL")
    ] = None,
    judge_model: Annotated[str | None, typer.Option(help="Name of the model there.")] = None,
    key_env: options.KeyEnv = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Measure only what the decision rests on, and stop when it is certain.")
    ] = False,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Measure everything on all examples, without stopping early.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes for several behaviors; each loads the model and gets its share of the threads. By default "
            "as many as there are cores, behaviors, and memory for; one on a GPU.",
        ),
    ] = None,
    executor: options.Executor = "local",
    out: Annotated[Path, typer.Option(help="Folder for report.html, report.json and examples.parquet.")] = Path(
        "out/check"
    ),
    require: Annotated[str | None, typer.Option(help="Exit with code 3 below this verdict: go or caution.")] = None,
    against: Annotated[
        Path | None, typer.Option(help="An earlier report of the same behavior; exit with code 3 if it got worse.")
    ] = None,
    lang: options.Lang = None,
    json_: options.Json = False,
) -> None:
    """Will steering this behavior hold? Writes a report with a verdict: go, caution, no-go or inconclusive."""
    from trimtab.behaviors import load as load_behavior

    if list_:
        show_builtins(json_)
        return
    if not behaviors:
        raise InputError("name at least one behavior: a file, or a built-in one (trimtab check --list)")
    fixed = options.strength_or_auto(strength)
    if quick and thorough:
        raise InputError("give --quick or --thorough, not both")
    one_of("--require", require, ("go", "caution"))
    one_of("--read", read, ("last", "mean"))
    language = options.language_of(lang)
    given = both_or_none(positive_instruction, negative_instruction)
    earlier = _earlier(against, behaviors)
    asked = options.endpoint("--judge", judge, "--judge-model", judge_model, key_env)
    if asked and (generate == 0 or (generate is None and quick)):
        raise InputError("--judge compares generated texts; say how many with --generate N")
    loaded = [load_behavior(source, view=view, format=format, skip_bad=skip_bad) for source in behaviors]
    if given is not None:
        loaded = [replace(b, positive_instruction=given[0], negative_instruction=given[1]) for b in loaded]
    check_folders(out, [b.name for b in loaded])

    from trimtab.experiment.executor import LOCAL
    from trimtab.results import DECISIONS
    from trimtab.results.comparison import compare
    from trimtab.verdict.decision import Thresholds
    from trimtab.verdict.next_steps import CommandWords

    Thresholds(min_effect or 0.0, max_anti_steerable, max_kl, max_capability_loss).check()

    made = None
    if steering:
        made = options.steering_of(steering, allow_mismatch)
    elif allow_mismatch:
        raise InputError("--allow-mismatch belongs to --steering, which is missing")
    source = options.EMBEDDED if model is None else model
    if made is not None:
        source, revision = options.model_of(made, model, revision)
    settings: dict[str, Any] = {
        "site": None if site == "auto" else site,
        "prompt_types": prompt_type or ["all"],
        "steering": made,
        "strength": "auto" if fixed is None else fixed,
        "scope": scope,
        "train": train,
        "evaluation": eval_,
        "seed": seed,
        "chat_template": chat_template,
        "read": read,
        "min_effect": min_effect,
        "max_anti_steerable": max_anti_steerable,
        "max_kl": max_kl,
        "max_capability_loss": max_capability_loss,
        "allow_desired_loss": allow_desired_loss,
        "generate": generate,
        "effort": "quick" if quick else "thorough" if thorough else "default",
        "command": shlex.join(["trimtab", *sys.argv[1:]]),
        "language": language,
    }

    def named(behavior: str) -> CommandWords:
        told = options.as_words(view=view, format=format, skip_bad=skip_bad)
        which = options.as_words(
            model=model, revision=revision, adapter=adapter, dtype=None if dtype == "auto" else dtype,
            quantisation=quantisation, chat_template=chat_template,
        )  # fmt: skip
        parts = options.as_words(seed=seed or None, train=train, eval=eval_)
        bound = options.as_words(max_kl=None if max_kl == 0.1 else max_kl)
        others = options.as_words(
            scope=None if scope == "all" else scope, read=read, min_effect=min_effect,
            max_anti_steerable=None if max_anti_steerable == 0.25 else max_anti_steerable,
            max_capability_loss=None if max_capability_loss == 0.05 else max_capability_loss,
            allow_desired_loss=allow_desired_loss, positive_instruction=positive_instruction,
            negative_instruction=negative_instruction,
        )  # fmt: skip
        served = "" if model is None else Path(model).name if Path(model).exists() else model
        conditions = shlex.join([*parts, *bound, *others]), shlex.join([*parts, *bound])
        return CommandWords(shlex.join([behavior, *told]), shlex.join(which), served, *conditions)

    on = options.model_source(source, revision, adapter, dtype, device, device_map, quantisation)
    if len(loaded) == 1:
        if executor != LOCAL:
            raise InputError("--executor shares out several behaviors, and this is one; leave it out")
        lm = options.loaded(on, threads)
        settings["named"] = named(behaviors[0])
        reports: tuple[Report, ...] = (_one(lm, loaded[0], asked, out, settings, shown=not json_),)
    else:
        options.about_to_load(on)
        options.use_threads(threads)
        settings["named"] = {b.name: named(word) for b, word in zip(loaded, behaviors, strict=True)}
        reports = _several(on, loaded, asked, out, workers, executor, settings, shown=not json_)
    comparison = compare(earlier, reports[0]) if earlier else None
    if json_:
        documents: list[object] = [r.model_dump(mode="json", by_alias=True) for r in reports]
        if comparison:
            documents = [{"report": documents[0], "comparison": comparison.model_dump(mode="json")}]
        typer.echo(json.dumps(documents[0] if len(documents) == 1 else documents))
    elif comparison:
        show_comparison(comparison, Console())
    if comparison and comparison.worse:
        raise typer.Exit(3)
    if require and any(DECISIONS.index(r.verdict.decision) < DECISIONS.index(require) for r in reports):
        raise typer.Exit(3)


def _earlier(file: Path | None, behaviors: list[str]) -> Any:
    """The report to compare with, read before any work."""
    if file is None:
        return None
    if len(behaviors) > 1:
        raise InputError("--against compares one behavior with its earlier report; check them one at a time")
    from trimtab.results.comparison import load_any

    return load_any(file)


def _one(
    model: "Model", behavior: "Behavior", judge: "Endpoint | None", out: Path, settings: dict[str, Any], shown: bool
) -> "Report":
    """Check a behavior; its report goes into the folder itself."""
    from trimtab.evaluation import Judge
    from trimtab.experiment.progress import OnTerminal
    from trimtab.workflows import check as run

    asked = Judge(judge, behavior) if judge else None
    with resumable(), OnTerminal.shown(behavior.name) as progress, quiet():
        report = run(model, behavior, judge=asked, folder=out, progress=progress, **settings)
    if shown:
        _show(report, out, settings["language"])
    return report


def _several(
    source: ModelSource,
    behaviors: "list[Behavior]",
    judge: "Endpoint | None",
    out: Path,
    workers: int | None,
    executor: str,
    settings: dict[str, Any],
    shown: bool,
) -> "tuple[Report, ...]":
    """Check behaviors, in parallel where cores are free; each report goes into a folder of its own."""
    from trimtab.experiment.progress import OnTerminal
    from trimtab.languages import spoken
    from trimtab.reports.check.ranking import INDEX, ranking
    from trimtab.workflows.check.several import check_several

    with resumable(), OnTerminal.shown("check", len(behaviors)) as progress, quiet():

        def finished(report: "Report") -> None:
            if shown:
                with progress.paused():
                    _show(report, out / report.behavior, settings["language"])

        reports = check_several(
            source,
            behaviors,
            folder=out,
            workers=workers,
            executor=executor,
            judge=judge,
            progress=progress,
            finished=finished,
            **settings,
        )
    if shown:
        ranking(reports, Console(), spoken(settings["language"]))
        options.say(Phrase("index: {path}", path=str(out / INDEX)), settings["language"])
    return reports


def _show(report: "Report", folder: Path, language: "Code") -> None:
    from trimtab.languages import spoken
    from trimtab.reports.check.terminal import summary

    summary(report, Console(), spoken(language))
    options.say(Phrase("report: {path}\n", path=str(folder / "report.html")), language)


def check_folders(out: Path, names: list[str]) -> None:
    """Check that one behavior can report into the folder itself, and several into one folder each.

    Raises:
        InputError: the folder cannot be used; two behaviors have one name.
    """
    options.own_folder(out)
    repeated = sorted({n for n in names if names.count(n) > 1})
    if repeated:
        raise InputError(f"two behaviors are called {repeated[0]!r}; check them one at a time with their own --out")
