"""`trimtab vllm`."""

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from rich.console import Console

from trimtab.cli import completion
from trimtab.errors import InputError

_HELD: Final = "--structured-outputs-config"
# vLLM's: which library holds answers to grammars. Its first choice lets a model write blanks without end inside of
# JSON; llguidance, which `trimtab serve` has too, allows those alone that `trimtab serve --upstream` asks for.


def vllm(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(help="smollm2, a Hugging Face id, a folder or a .gguf file.", autocompletion=completion.models),
    ],
    steerings: Annotated[Path, typer.Option(help="Folder that holds folders of steerings; requests name them.")],
    allow_mismatch: Annotated[
        bool, typer.Option("--allow-mismatch", help="Serve steerings made for other weights of the same shapes.")
    ] = False,
    compare_weights: Annotated[
        bool,
        typer.Option(
            "--compare-weights/--no-compare-weights",
            help="Load the model here first, and refuse steerings made for other weights. Without it, answers "
            "say that they were not compared.",
        ),
    ] = True,
) -> None:
    """Serve a model by vLLM, with a steering for every request; whatever stands behind -- is for vLLM."""
    if find_spec("vllm") is None:
        raise InputError(
            "vLLM is not installed; pip install 'trimtab[vllm]', in an environment of its own", code="not-installed"
        )
    if not steerings.is_dir():
        raise InputError(f"{steerings} is no folder; give the one that holds the folders of steerings",
                         code="no-such-file", field="steerings")  # fmt: skip
    from trimtab.models.loading import located

    where, name = located(model)
    named = [] if "--served-model-name" in context.args else ["--served-model-name", name]
    told = any(word == "--config" or word.startswith((_HELD, "--config=")) for word in context.args)
    held = [] if told else [_HELD, '{"backend": "guidance"}']
    _start(where, _config(where, steerings, allow_mismatch, compare_weights), [*held, *named, *context.args])


def _config(model: str, steerings: Path, allow_mismatch: bool, compare: bool) -> str:
    """What vLLM is told of steering, as the JSON of its `additional_config`."""
    from trimtab.integrations.vllm.setup import Setup

    facts = None
    if compare:
        import trimtab

        Console(stderr=True).print(f"comparing the weights of {model} …", highlight=False, markup=False)
        facts = trimtab.load(model).facts
    return json.dumps(Setup(steerings.resolve(), allow_mismatch, facts).config())


def _start(model: str, config: str, rest: list[str]) -> NoReturn:
    """Become vLLM's server: the same process, with the plug-in named."""
    from trimtab.integrations.vllm.setup import NAME

    named = [name for name in os.environ.get("VLLM_PLUGINS", "").split(",") if name and name != NAME]
    environment = {**os.environ, "VLLM_PLUGINS": ",".join([*named, NAME])}
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", model]
    os.execve(sys.executable, [*command, "--additional-config", config, *rest], environment)  # noqa: S606 - no shell
