"""`trimtab fit`."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from trimtab.cli import completion, options
from trimtab.cli.options import quiet, resumable
from trimtab.errors import InputError
from trimtab.phrases import Phrase, with_commas


def fit(
    behaviors: Annotated[
        list[str] | None,
        typer.Argument(
            help="Files, built-in behaviors or Hugging Face datasets; one attribute each.",
            autocompletion=completion.behaviors,
        ),
    ] = None,
    method: Annotated[str, typer.Option(help="How the steering is made; see --list.")] = "mean-difference",
    list_: Annotated[bool, typer.Option("--list", help="Show the methods with their sources and stop.")] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="A hyperparameter of the method, name=value, or name=@FILE for the text of a file (repeatable).",
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
        list[str] | None,
        typer.Option(
            help="14, attention:14, mlp:14 (repeatable); auto, or a range such as 10-18: chosen on the dev split."
        ),
    ] = None,
    prompt_type: Annotated[str, typer.Option(help="How training examples are put to the model.")] = "prefilled",
    strength: Annotated[
        str, typer.Option(help="Default strength of every attribute, above 0; auto: chosen on the dev split.")
    ] = "auto",
    train: Annotated[int | None, typer.Option(min=2, help="Training examples.")] = None,
    eval_: Annotated[int | None, typer.Option("--eval", min=2, help="Evaluation examples.")] = None,
    seed: options.Seed = 0,
    max_kl: Annotated[float, typer.Option(help="Largest divergence on neutral text, nats per token.")] = 0.1,
    chat_template: options.ChatTemplate = False,
    condition: Annotated[
        list[str] | None,
        typer.Option(
            help="FILE, or NAME=FILE for one attribute (repeatable): prompts it acts on (positive) and leaves alone."
        ),
    ] = None,
    backfire: Annotated[
        float | None,
        typer.Option(
            help="Leave prompts alone, so that at most this share of the examples acted on is pushed the wrong way."
        ),
    ] = None,
    shrink_toward: Annotated[
        list[str] | None,
        typer.Option(
            metavar="instruction|built-in|PATH",
            help="For few examples: draw the vector toward the direction of the instruction, of the built-in "
            "behaviors, or of the steering in a folder (repeatable).",
        ),
    ] = None,
    check: Annotated[bool, typer.Option("--check/--no-check", help="Check every attribute by itself.")] = True,
    view: options.View = None,
    format: options.Format = None,
    skip_bad: options.SkipBad = False,
    out: Annotated[Path, typer.Option(help="Folder for the steering; reports go into DIR-checks.")] = Path(
        "out/steering"
    ),
    lang: options.Lang = None,
    json_: options.Json = False,
) -> None:
    """Make a steering from contrast examples, with a check of every attribute."""
    if list_:
        _show_methods(json_)
        return
    if not behaviors:
        raise InputError("name at least one behavior: a file, or a built-in one (trimtab check --list)")
    chosen = options.strength_or_auto(strength)
    language = options.language_of(lang)
    hyperparameters = _hyperparameters(set_ or [])
    from trimtab.behaviors import load as load_behavior
    from trimtab.workflows.fit.fit import fit as run
    from trimtab.workflows.fit.fit import makers_of
    from trimtab.workflows.fit.selection import grid

    loaded = [load_behavior(source, view=view, format=format, skip_bad=skip_bad) for source in behaviors]
    conditions = _conditions(condition or [], [b.name for b in loaded])
    makers_of(
        method, grid(hyperparameters), [b.name for b in loaded], strength=chosen, max_kl=max_kl, conditional=conditions,
        backfire=backfire,
    )  # fmt: skip
    prompts = {file: load_behavior(file, skip_bad=skip_bad) for file in dict.fromkeys(conditions.values())}
    work = _folders(out)

    from trimtab.experiment.progress import OnTerminal
    from trimtab.languages import spoken
    from trimtab.reports.fit.files import PAGE
    from trimtab.reports.fit.terminal import gate_summary
    from trimtab.results.report import IN_WORDS
    from trimtab.workflows.fit.directions import read_toward

    toward = read_toward(shrink_toward or [])
    wanted = options.model_source(model, revision, adapter, dtype, device, device_map, quantisation)
    lm = options.loaded(wanted, threads)
    with resumable(), OnTerminal.shown("fit") as progress, quiet():
        result = run(
            lm,
            loaded,
            method=method,
            site=site,
            prompt_type=prompt_type,
            strength=chosen,
            train=train,
            evaluation=eval_,
            seed=seed,
            max_kl=max_kl,
            chat_template=chat_template,
            condition={name: prompts[file] for name, file in conditions.items()} or None,
            backfire=backfire,
            shrink_toward=toward,
            verify=check,
            folder=work,
            save_to=out,
            progress=progress,
            command=shlex.join(["trimtab", *sys.argv[1:]]),
            language=language,
            **hyperparameters,
        )
    if json_:
        document = {"id": result.steering.id, "attributes": dict(result.steering.attributes)}
        document |= {"sites": [str(s) for s in result.steering.edits], "reliability": result.reliability}
        typer.echo(json.dumps({**document, "notes": result.notes, "out": str(out), "page": str(work / PAGE)}))
        return
    said = spoken(language)
    sites = with_commas([str(site) for site in result.steering.edits])
    made = Phrase("{method} at site {sites}", method=method, sites=sites) if result.steering.edits else method
    options.say(Phrase("{made}, saved in {path}", made=made, path=str(out)), language)
    verdicts = result.reliability.get("attributes", {})
    for name, default in result.steering.attributes.items():
        line = Phrase("  {name}, strength {strength}", name=name, strength=f"{default:g}")
        if name in verdicts:
            line = Phrase("{line}: {decision}", line=line, decision=IN_WORDS[verdicts[name]["decision"]])
        options.say(line, language)
    for note in result.notes:
        options.say(Phrase("  {note}", note=note), language)
    gate_summary(result.training, Console(soft_wrap=True), said)
    for warning in result.reservations:
        told = said(Phrase("warning: {what}", what=warning))
        Console(stderr=True, soft_wrap=True).print(told, highlight=False, markup=False)
    options.say(Phrase("page: {path}", path=str(work / PAGE)), language)
    if result.reports:
        options.say(Phrase("reports: {path}", path=str(work)), language)


def _show_methods(as_json: bool) -> None:
    from trimtab.steering.methods import method, method_names

    known = {name: method(name).source for name in method_names()}
    if as_json:
        typer.echo(json.dumps(known))
        return
    for name, source in known.items():
        Console().print(f"[bold]{name}[/]  {source}", highlight=False)


def _folders(out: Path) -> Path:
    """The folder for reports beside the steering's; neither may be one that could not be written in the end."""
    from trimtab.steering.artifact import check_artifact_folder

    options.own_folder(out, for_steering=True)
    check_artifact_folder(out)
    work = out.with_name(f"{out.name}-checks")
    options.own_folder(work)
    return work


def _conditions(words: list[str], names: list[str]) -> dict[str, str]:
    """Files by attribute: of `NAME=FILE` for one, of `FILE` for all others."""
    pairs = [word.partition("=") for word in words]
    own = [(name, file) for name, sign, file in pairs if sign and name in names]
    rest = [word for word, (name, sign, _) in zip(words, pairs, strict=True) if not (sign and name in names)]
    if len(rest) > 1:
        raise InputError(
            f"--condition {rest[0]} and {rest[1]} are both for all attributes; write NAME=FILE, or give one"
        )
    twice = [name for name, _ in own if [n for n, _ in own].count(name) > 1]
    if twice:
        raise InputError(f"{twice[0]!r} is given two conditions; give one --condition")
    return dict.fromkeys(names, rest[0]) | dict(own) if rest else dict(own)


def _hyperparameters(pairs: list[str]) -> dict[str, Any]:
    """`name=value` pairs; values as JSON where they are, else as words, or as the text of a file behind an `@`."""
    result: dict[str, Any] = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign or not name.isidentifier() or name in result:
            raise InputError(f"--set {pair!r}: write name=value, each name once")
        if value.startswith("@"):
            result[name] = options.text_of(f"--set {name}", Path(value[1:]))
            continue
        try:
            result[name] = json.loads(value)
        except ValueError:
            result[name] = value
    return result
