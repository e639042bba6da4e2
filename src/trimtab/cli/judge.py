"""`trimtab judge`."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from trimtab.cli import options
from trimtab.cli.options import quiet, resumable
from trimtab.errors import InputError
from trimtab.languages import spoken
from trimtab.phrases import Phrase


def judge(
    file: Annotated[
        Path,
        typer.Argument(help="Rows with prompt, first and second (two answers), or prompt and answer: CSV, JSONL, …"),
    ],
    endpoint: Annotated[
        str, typer.Option(help="Base URL of a server that speaks OpenAI's protocol, such as https://host/v1.")
    ],
    endpoint_model: Annotated[str, typer.Option(help="Name of the judge at the endpoint.")],
    key_env: options.KeyEnv = None,
    rubric: Annotated[Path | None, typer.Option(help="TOML file with criteria of your own (docs/judges.md).")] = None,
    people: Annotated[
        Path | None, typer.Option(help="File of people's judgements of the same rows: id, rater, verdict or scores.")
    ] = None,
    labelled: Annotated[
        Path | None, typer.Option(help="File of other pairs with a label, such as LLMBar's, to measure the judge on.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Times that each question is put.")] = 1,
    temperature: Annotated[
        float | None, typer.Option(min=0.0, max=2.0, help="Of the judge (default 0, or 0.7 with repeats).")
    ] = None,
    parallel: Annotated[int, typer.Option(min=1, max=256, help="Requests under way at a time.")] = 4,
    rate: Annotated[float | None, typer.Option(help="Requests a minute at most.")] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for each piece of an answer.")] = 60.0,
    prompt_price: Annotated[float | None, typer.Option(help="Money for a million tokens read.")] = None,
    answer_price: Annotated[float | None, typer.Option(help="Money for a million tokens written.")] = None,
    max_requests: Annotated[int | None, typer.Option(min=1, help="Stop before more requests are sent.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Stop before more tokens are used.")] = None,
    max_cost: Annotated[float | None, typer.Option(help="Stop before more money is spent.")] = None,
    estimate: Annotated[bool, typer.Option("--estimate", help="Say what it will take, and ask nothing.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for answers and results (default out/judge-NAME).")] = None,
    seed: options.Seed = 0,
    lang: options.Lang = None,
    json_: options.Json = False,
) -> None:
    """Have a chat model judge answers, in pairs or by scores, and say how far it agrees with people."""
    language = options.language_of(lang)
    behind = options.endpoint("--endpoint", endpoint, "--endpoint-model", endpoint_model, key_env, timeout)
    assert behind is not None
    if (prompt_price is None) != (answer_price is None):
        raise InputError("give --prompt-price and --answer-price, or neither")
    folder = out or Path("out") / f"judge-{file.stem}"
    options.own_folder(folder)

    from trimtab.evaluation import HELPSTEER, AskOptions, Budget, Prices, Rubric
    from trimtab.experiment.progress import OnTerminal
    from trimtab.reports.judge.terminal import cost_summary, judging_summary
    from trimtab.workflows.judge import Work
    from trimtab.workflows.judge import judge as run

    asked = AskOptions(
        behind,
        repeats=repeats,
        temperature=temperature if temperature is not None else 0.0 if repeats == 1 else 0.7,
        parallel=parallel,
        requests_per_minute=rate,
        prices=None if prompt_price is None or answer_price is None else Prices(prompt_price, answer_price),
        budget=Budget(max_requests, max_tokens, max_cost),
    )
    used = HELPSTEER if rubric is None else Rubric.load(rubric)
    work = Work.read(file, asked, rubric=used, people=people, labelled=labelled, folder=folder, seed=seed)
    if estimate:
        cost = work.estimate()
        if json_:
            typer.echo(cost.model_dump_json())
        else:
            cost_summary(cost, Console(), spoken(language))
        return
    with resumable(), OnTerminal.shown(file.stem) as progress, quiet():
        record = run(work, progress=progress, command=shlex.join(["trimtab", *sys.argv[1:]]))
    if json_:
        typer.echo(record.model_dump_json(by_alias=True))
    else:
        judging_summary(record, Console(), spoken(language))
        options.say(Phrase("every judgement: {path}", path=str(folder / "judgements.csv")), language)
    if record.fault and not record.n:
        raise typer.Exit(4)
