"""`trimtab generate`."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from trimtab.cli import completion, options
from trimtab.cli.options import one_of, quiet
from trimtab.cli.strengths import strengths
from trimtab.decimals import decimals
from trimtab.errors import InputError
from trimtab.texts import checked_text

if TYPE_CHECKING:
    from trimtab.steering import Steering
    from trimtab.workflows.generate.generate import Shade

COOLEST, HOTTEST = 0.01, 100.0


def generate(
    prompts: Annotated[list[str] | None, typer.Argument(help="Prompts; without any, one from standard input.")] = None,
    steering: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of the steering (default out/steering); repeated: all of them together.",
            autocompletion=completion.steerings,
        ),
    ] = None,
    model: options.ModelIdOrSteerings = None,
    revision: options.Revision = None,
    adapter: options.Adapter = None,
    dtype: options.Dtype = "auto",
    device: options.Device = None,
    device_map: options.DeviceMap = None,
    quantisation: options.Quantisation = None,
    threads: options.Threads = None,
    strength: Annotated[
        list[str] | None, typer.Option(help="name=1.5 (repeatable), one number for all attributes, or a preset's name.")
    ] = None,
    off: Annotated[list[str] | None, typer.Option(help="An attribute to switch off (repeatable).")] = None,
    scope: Annotated[
        str,
        typer.Option(
            help="Steered tokens: all, prompt, last, generated, or of these thinking or answer.",
            autocompletion=completion.scopes,
        ),
    ] = "all",
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Tokens to add at most.")] = 64,
    sample: Annotated[bool, typer.Option("--sample", help="Draw tokens instead of taking the likeliest.")] = False,
    temperature: Annotated[float, typer.Option(help="With --sample.")] = 1.0,
    seed: options.Seed = 0,
    chat_template: options.ChatTemplate = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Shade tokens by what the steering sees: gates, or cosines.")
    ] = False,
    allow_mismatch: Annotated[
        bool, typer.Option("--allow-mismatch", help="Steer other weights than it was made for.")
    ] = False,
    json_: options.Json = False,
) -> None:
    """Continue prompts without and with a steering, side by side."""
    from trimtab.interventions import SCOPES

    one_of("--scope", scope, SCOPES)
    if not COOLEST <= temperature <= HOTTEST or (temperature != 1.0 and not sample):
        raise InputError(f"--temperature must be from {COOLEST} to {HOTTEST} and belongs to --sample")
    texts = prompts or [_typed()]
    if not all(texts):
        raise InputError("an empty prompt; give some text")
    steered_by = options.steering_of(steering or [Path("out/steering")], allow_mismatch)
    strength_of = strengths(steered_by, strength or [], off or [])
    source, revision = options.model_of(steered_by, model, revision)

    from trimtab.models import ensure_fits
    from trimtab.workflows.generate.generate import MAX_EDIT_SIZE_RATIO, check_length, generate, size_on

    wanted = options.model_source(source, revision, adapter, dtype, device, device_map, quantisation)
    lm = options.loaded(wanted, threads)
    with quiet():
        ensure_fits(steered_by, lm)
        notes = check_length(lm, texts, steered_by, strength_of, chat_template, max_new_tokens)
        size = size_on(lm, texts, steered_by, strength_of, chat_template)
    for note in notes:
        Console(stderr=True, soft_wrap=True).print(f"note: {note}", highlight=False, markup=False)
    if size > MAX_EDIT_SIZE_RATIO:
        Console(stderr=True, soft_wrap=True).print(
            f"warning: the edit is {size:.2g} times as large as a typical activation; beyond {MAX_EDIT_SIZE_RATIO:g} "
            "text tends to fall apart. Lower --strength, and see trimtab check for what it costs",
            highlight=False,
            markup=False,
        )
    drawn: dict[str, Any] = {"do_sample": True, "temperature": temperature} if sample else {}
    settings: dict[str, Any] = {"scope": scope, "chat_template": chat_template, "max_new_tokens": max_new_tokens}
    settings |= {"seed": seed, "explain": explain, "options": drawn}
    console = Console(soft_wrap=True)
    if json_:
        with quiet():
            result = generate(lm, texts, steered_by, strength_of, **settings)
        typer.echo(
            json.dumps({"steering": steered_by.id, "edit_size_ratio": size, "texts": [asdict(row) for row in result]})
        )
        return
    for text in texts:
        _streamed(lm, text, steered_by, strength_of, settings, console)


def _typed() -> str:
    """One prompt from standard input."""
    try:
        text = sys.stdin.read().rstrip("\n")
        text.encode()  # where the terminal's encoding is not set, Python lets odd bytes pass
    except UnicodeError as error:
        raise InputError("standard input is no UTF-8; give text in UTF-8") from error
    return checked_text(text, "standard input", "prompt")


def _streamed(
    lm: Any, text: str, steered_by: "Steering", strength_of: Any, settings: dict[str, Any], console: Console
) -> None:
    """One prompt, both continuations as they come, then the shades."""
    from trimtab.models.decoding import TextAsItComes
    from trimtab.workflows.generate.generate import shaded

    given = {name: settings[name] for name in ("chat_template", "max_new_tokens", "seed")} | settings["options"]
    console.print(Text(text, style="bold"))
    for name, steers in (
        ("plain", {}),
        ("steered", {"steering": steered_by, "strength": strength_of, "scope": settings["scope"]}),
    ):
        console.print(Text(f"{name:8}", style="dim"), end="")
        streamer = TextAsItComes(lm.tokenizer, _printed)
        with quiet():
            written = lm.generate(text, streamer=streamer, details=True, **steers, **given)
    if settings["explain"]:
        shades = shaded(lm, written.row, steered_by, strength_of, settings["scope"])
        for name in steered_by.attributes:
            console.print(_shading(shades, name, console))
    console.print()


def _printed(text: str, last: bool) -> None:
    typer.echo(text, nl=last)


def _shading(shades: "tuple[Shade, ...]", name: str, console: Console) -> Text:
    """Tokens on blue where the attribute's value is high, on orange where it is below 0; with figures if colourless."""
    out = Text(f"{name:8}", style="dim")
    colours = console.color_system is not None and not console.no_color
    for shade in shades:
        value = shade.values.get(name, 0.0)
        if not colours:
            out.append(f"{shade.text}[{decimals(value)}]")
            continue
        depth = min(abs(value), 1.0)
        strong = (1, 115, 178) if value >= 0 else (214, 95, 2)
        mixed = ",".join(str(round(255 - depth * (255 - c))) for c in strong)
        out.append(shade.text, style=f"{'white' if depth > 0.6 else 'black'} on rgb({mixed})")
    return out
