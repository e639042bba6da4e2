"""`trimtab draft`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from trimtab.cli import options
from trimtab.cli.lint import print_findings
from trimtab.cli.options import both_or_none, quiet, resumable
from trimtab.model_source import ModelSource


def draft(
    name: Annotated[str, typer.Argument(help="Short name of the behavior; also of the file.")],
    description: Annotated[
        str, typer.Option(help="What the positive side does, in a few words: 'speaks in rhymes'.", show_default=False)
    ],
    n: Annotated[int, typer.Option("--n", min=2, help="Rows wanted.")] = 200,
    out: Annotated[Path | None, typer.Option(help="JSONL file to write (default NAME.jsonl).")] = None,
    endpoint: Annotated[
        str | None, typer.Option(help="Base URL of a server that speaks OpenAI's protocol, such as https://host/v1.")
    ] = None,
    endpoint_model: Annotated[str | None, typer.Option(help="Name of the model at the endpoint.")] = None,
    key_env: options.KeyEnv = None,
    parallel: Annotated[int, typer.Option(min=1, max=256, help="Requests to the endpoint at a time.")] = 4,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for the endpoint.")] = 60.0,
    model: options.ModelId = "smollm2",
    revision: options.Revision = None,
    adapter: options.Adapter = None,
    dtype: options.Dtype = "auto",
    device: options.Device = None,
    device_map: options.DeviceMap = None,
    quantisation: options.Quantisation = None,
    threads: options.Threads = None,
    seed: options.Seed = 0,
    positive_instruction: options.PositiveInstruction = None,
    negative_instruction: options.NegativeInstruction = None,
    json_: options.Json = False,
) -> None:
    """Have a chat model write contrast examples for a behavior; the file is for you to edit, then check."""
    instructions = both_or_none(positive_instruction, negative_instruction)
    from trimtab.workflows.draft import draft as run
    from trimtab.workflows.draft import writable

    file = writable(Path(f"{name}.jsonl") if out is None else out)
    behind = options.endpoint("--endpoint", endpoint, "--endpoint-model", endpoint_model, key_env, timeout)
    wanted = options.model_source(model, revision, adapter, dtype, device, device_map, quantisation)
    writer = _loaded(wanted, threads) if behind is None else _behind(behind, parallel)

    from trimtab.experiment.progress import OnTerminal

    with resumable(), OnTerminal.shown(name) as progress, quiet():
        result = run(writer, name, description, file=file, n=n, seed=seed, instructions=instructions, progress=progress)
    written = len(result.behavior.examples)
    if json_:
        typer.echo(
            json.dumps(
                {
                    "file": str(result.file), "n": written, "wanted": n, "answered": result.n_answered,
                    "dropped": result.dropped, "findings": [asdict(f) for f in result.findings],
                }
            )
        )  # fmt: skip
        return
    print_findings(result.behavior, result.findings)
    console = Console(soft_wrap=True)
    dropped = "".join(f"; {count} left out {why}" for why, count in result.dropped.items())
    short = "" if written >= n else f" instead of {n}"
    console.print(f"{written} rows{short} of {result.n_answered} messages{dropped}", highlight=False, markup=False)
    console.print(
        f"read and correct them: {result.file}\nthen: trimtab check {result.file}", highlight=False, markup=False
    )


def _loaded(wanted: ModelSource, threads: int | None) -> Any:
    from trimtab.workflows.draft import LoadedWriter

    return LoadedWriter(options.loaded(wanted, threads))


def _behind(endpoint: Any, parallel: int) -> Any:
    from trimtab.workflows.draft import EndpointWriter

    return EndpointWriter(endpoint, parallel)
