"""`trimtab advise`."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from trimtab.cli import options
from trimtab.cli.options import one_of, quiet, resumable


def advise(
    behavior: Annotated[str, typer.Argument(help="A file, a built-in behavior or a Hugging Face dataset.")],
    every: Annotated[bool, typer.Option("--every", help="Try all remedies, not only until one holds on dev.")] = False,
    minutes: Annotated[float | None, typer.Option(help="Start no further remedy after so many minutes.")] = None,
    instructions: Annotated[
        Path | None,
        typer.Option(help="Further wordings of the instruction to try, one a line; behind a tab the opposite one."),
    ] = None,
    model: options.ModelId = "smollm2",
    revision: options.Revision = None,
    adapter: options.Adapter = None,
    dtype: options.Dtype = "auto",
    device: options.Device = None,
    device_map: options.DeviceMap = None,
    quantisation: options.Quantisation = None,
    threads: options.Threads = None,
    site: Annotated[str, typer.Option(help="Of the vector: 14, attention:14, mlp:14; auto: chosen on dev.")] = "auto",
    train: Annotated[int | None, typer.Option(min=2, help="Training examples.")] = None,
    eval_: Annotated[int | None, typer.Option("--eval", min=2, help="Evaluation examples.")] = None,
    seed: options.Seed = 0,
    chat_template: options.ChatTemplate = False,
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
    out: Annotated[
        Path, typer.Option(help="Folder for the page, the remedies, the chosen steering and its check.")
    ] = Path("out/advice"),
    require: Annotated[str | None, typer.Option(help="Exit with code 3 below this verdict: go or caution.")] = None,
    lang: options.Lang = None,
    json_: options.Json = False,
) -> None:
    """What else would work where one vector does not hold? Tries remedies on dev and checks the best one once."""
    from trimtab.behaviors import load as load_behavior

    one_of("--require", require, ("go", "caution"))
    language = options.language_of(lang)
    wordings = "" if instructions is None else options.text_of("--instructions", instructions)
    loaded = load_behavior(behavior, view=view, format=format, skip_bad=skip_bad)
    options.own_folder(out)

    from trimtab.experiment.numbers import above_0
    from trimtab.experiment.progress import OnTerminal
    from trimtab.languages import spoken
    from trimtab.phrases import Phrase
    from trimtab.reports.advise.files import PAGE
    from trimtab.reports.advise.terminal import advice_summary
    from trimtab.results import DECISIONS
    from trimtab.verdict.decision import Thresholds
    from trimtab.verdict.next_steps import CommandWords
    from trimtab.workflows.advise import advise as run

    Thresholds(min_effect or 0.0, max_anti_steerable, max_kl).check()
    if minutes is not None:
        above_0("minutes", minutes)
    told = options.as_words(view=view, format=format, skip_bad=skip_bad)
    which = options.as_words(
        model=None if model == "smollm2" else model, revision=revision, adapter=adapter,
        dtype=None if dtype == "auto" else dtype, quantisation=quantisation, chat_template=chat_template,
    )  # fmt: skip
    parts = options.as_words(seed=seed or None, train=train, eval=eval_)
    wanted = options.model_source(model, revision, adapter, dtype, device, device_map, quantisation)
    lm = options.loaded(wanted, threads)
    with resumable(), OnTerminal.shown(loaded.name) as progress, quiet():
        result = run(
            lm,
            loaded,
            folder=out,
            site=None if site == "auto" else site,
            train=train,
            evaluation=eval_,
            seed=seed,
            chat_template=chat_template,
            min_effect=min_effect,
            max_anti_steerable=max_anti_steerable,
            max_kl=max_kl,
            every=every,
            minutes=minutes,
            instructions=wordings,
            progress=progress,
            command=shlex.join(["trimtab", *sys.argv[1:]]),
            language=language,
            named=CommandWords(
                shlex.join([behavior, *told]), shlex.join(which), "" if model == "smollm2" else model,
                shlex.join(parts), shlex.join(parts),
            ),
        )  # fmt: skip
    if json_:
        typer.echo(result.record.model_dump_json(by_alias=True))
    else:
        advice_summary(result.record, Console(soft_wrap=True), spoken(language))
        if result.record.folder is not None:
            options.say(Phrase("steering: {path}", path=str(out / result.record.folder)), language)
        options.say(Phrase("page: {path}", path=str(out / PAGE)), language)
    decision = result.record.decision
    if require and (decision is None or DECISIONS.index(decision) < DECISIONS.index(require)):
        raise typer.Exit(3)
