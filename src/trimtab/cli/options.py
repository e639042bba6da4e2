"""Options and habits that commands share."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from trimtab.cli import completion
from trimtab.errors import InputError
from trimtab.languages import LANGUAGES, Code, own, spoken
from trimtab.model_source import ModelSource
from trimtab.nearest import meant
from trimtab.storage.atomic import fault, outside_steerings
from trimtab.threads import compute_with

if TYPE_CHECKING:
    from trimtab.clients.chat import Endpoint
    from trimtab.models import Model
    from trimtab.steering import Steering

View = Annotated[
    str | None,
    typer.Option(help="For files that hold both: 'choice' (the questions) or 'statements' (free text)."),
]
Format = Annotated[
    str | None, typer.Option(help="Name of the format (docs/behaviors.md), when the content alone does not tell.")
]
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Leave out rows that cannot be read, and count and name them in a note.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, nothing else there.")]
ModelId = Annotated[
    str,
    typer.Option(
        "--model", help="smollm2, a Hugging Face id, a folder or a .gguf file.", autocompletion=completion.models
    ),
]
ModelIdOrSteerings = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="smollm2, a Hugging Face id, a folder or a .gguf file; by default the steering's, else smollm2.",
        autocompletion=completion.models,
    ),
]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit on the Hub.")]
Adapter = Annotated[str | None, typer.Option(help="PEFT adapter to put on top.")]
Dtype = Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")]
Device = Annotated[str | None, typer.Option(help="Such as cuda:1; by default the first GPU, else the CPU.")]
DeviceMap = Annotated[
    str | None,
    typer.Option(
        "--device-map",
        help="Spread the blocks over devices, memory and disk: auto, balanced, sequential, or a JSON file that says "
        "which module goes where.",
    ),
]
Quantisation = Annotated[
    str | None,
    typer.Option(
        "--quantisation",
        help="Round weights while they are loaded: bitsandbytes-8, bitsandbytes-4, torchao-8 or torchao-4.",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        help="Threads that compute, of all processes together; by default one for each core, or OMP_NUM_THREADS. Those "
        "that wait sleep, so that other work on the machine goes on, unless OMP_WAIT_POLICY says otherwise.",
    ),
]
Executor = Annotated[
    str,
    typer.Option(
        "--executor",
        help="Where workers are: local; ray, a Ray cluster of this machine; ray:auto, the running one; or "
        "ray://HOST:PORT. ?gpus=1 behind it gives each a GPU.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="How many at a time; each loads the model and gets its share of the threads. By default this process.",
    ),
]
ChatTemplate = Annotated[
    bool, typer.Option("--chat-template/--no-chat-template", help="Put prompts through the tokenizer's chat template.")
]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of every random choice.")]
PositiveInstruction = Annotated[str | None, typer.Option(help="What the positive contexts tell the model.")]
NegativeInstruction = Annotated[str | None, typer.Option(help="What the negative contexts tell it.")]

Lang = Annotated[
    str | None,
    typer.Option(help="Language of what people read: en or ja; by default that of the environment (LC_ALL, LANG)."),
]

EMBEDDED = "smollm2"
DEFAULT_KEY = "OPENAI_API_KEY"
KeyEnv = Annotated[
    str | None,
    typer.Option(help=f"Environment variable that holds the endpoint's key (default {DEFAULT_KEY}, if set)."),
]


def endpoint(
    flag: str, url: str | None, model_flag: str, model: str | None, key_env: str | None, timeout: float = 60.0
) -> "Endpoint | None":
    """The endpoint of the command line, if there is one.

    Raises:
        InputError: a part of it without the others.
    """
    if url is None:
        if model is not None or key_env is not None:
            raise InputError(f"{model_flag} and --key-env belong to {flag}, which is missing")
        return None
    from trimtab.clients.chat import Endpoint, key_from

    if model is None:
        raise InputError(f"{flag} needs {model_flag}, the name that the server knows the model by")
    key = key_from(key_env or DEFAULT_KEY)
    if key_env is not None and not key:
        raise InputError(f"--key-env {key_env}: this environment variable is empty or not set")
    return Endpoint(url, model, key, timeout)


def loaded(source: ModelSource, threads: int | None) -> "Model":
    """The model of the command line; says so on standard error, since it may take a while."""
    about_to_load(source)
    from trimtab.models import load_from

    use_threads(threads)
    with quiet():
        return load_from(source)


def text_of(option: str, file: Path) -> str:
    """The text of a file that an option names.

    Raises:
        InputError: it cannot be read, or is not UTF-8.
    """
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{option}: {file} cannot be read: {error.strerror}", code="unreadable-file") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{option}: {file} is not UTF-8 text; save it as UTF-8", code="unreadable-file") from error


def about_to_load(source: ModelSource) -> None:
    """Say that a model is loaded."""
    Console(stderr=True).print(f"loading {source.source} …", markup=False, highlight=False)


def model_source(
    source: str,
    revision: str | None,
    adapter: str | None,
    dtype: str,
    device: str | None,
    device_map: str | None,
    quantisation: str | None,
    label: str | None = None,
) -> ModelSource:
    """What the command line says of a model; its label is the source if none is given.

    Raises:
        InputError: an option is empty, or the file of a device map cannot be read.
    """
    given = {
        "--model": source, "--revision": revision, "--adapter": adapter, "--dtype": dtype, "--device": device,
        "--device-map": device_map, "--quantisation": quantisation,
    }  # fmt: skip
    for flag, value in given.items():
        if value is not None and not value.strip():
            raise InputError(f"{flag} is empty; give a value, or leave it out")
    spread = None if device_map is None else _device_map(device_map)
    return ModelSource(source, label or source, revision, adapter, dtype, device, spread, quantisation)


def _device_map(given: str) -> str | dict[str, int | str]:
    """A word as it is; of a JSON file the device by module."""
    if not given.endswith(".json"):
        return given
    try:
        found = json.loads(Path(given).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"--device-map {given} cannot be read: {error}") from error
    if (
        not isinstance(found, dict)
        or not found
        or not all(isinstance(device, str) or type(device) is int for device in found.values())
    ):
        raise InputError(
            f"--device-map {given}: give one JSON object, the device by module, such as "
            '{"model.embed_tokens": 0, "model.layers.0": "cpu", …}'
        )
    return found


def use_threads(threads: int | None) -> None:
    """Compute with so many threads, shared out where processes are started; None leaves the number to torch."""
    if threads is not None:
        compute_with(threads)


def model_of(steering: "Steering", model: str | None, revision: str | None) -> tuple[str, str | None]:
    """The model to load for a steering, and its revision: the one that is told, else the one it was made for.

    Raises:
        InputError: the steering names no model, or one that nobody can load by its name alone.
    """
    facts = steering.made_for
    if model is not None:
        return model, revision
    if facts is None:
        raise InputError("the steering does not say which model it is for; give --model")
    if facts.id != EMBEDDED and not Path(facts.id).exists():
        if "+" in facts.id:
            raise InputError(
                f"the steering was made for {facts.id}, a model with an adapter; give --model and --adapter"
            )
        # a folder or file is kept by its own name, without the path; on the Hub that name is nobody's or a stranger's
        if facts.revision is None and "/" not in facts.id:
            raise InputError(
                f"the steering was made for {facts.id}, which was loaded from a folder or file; give --model with its "
                "path"
            )
    return facts.id, revision or facts.revision


def steering_of(folders: Sequence[Path], allow_mismatch: bool) -> "Steering":
    """The steering of one folder, or all attributes of several."""
    from trimtab.steering import Steering

    return Steering.combined([Steering.load(folder, allow_mismatch=allow_mismatch) for folder in folders])


def own_folder(out: Path, *, for_steering: bool = False) -> None:
    """Refuse, before any work, a folder that results cannot be written into, or not without harm.

    Args:
        out: what `--out` names.
        for_steering: whether an older steering there is replaced.

    Raises:
        InputError: it is the one that one stands in or above it, a file, below a file, or nothing can be written there;
            it is a steering or lies in one, which would not be loaded any more.
    """
    if why := fault(out):
        raise InputError(f"--out {str(out)!r} {why}; give a folder such as out/mine")
    if os.path.lexists(out) and not out.is_dir():
        raise InputError(f"--out {out} is a file; give a folder")
    outside_steerings(out if not for_steering else out.parent)


def not_typed(context: typer.Context, names: Iterable[str], why: str) -> None:
    """Refuse options that would not be used, be it with their defaults.

    Args:
        context: of the command.
        names: their parameters.
        why: the rest of the sentence that begins with the option.

    Raises:
        InputError: one was typed.
    """
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name not in ("DEFAULT", "DEFAULT_MAP"):
            raise InputError(f"--{name.replace('_', '-')} {why}")


def as_words(**given: str | float | None) -> list[str]:
    """Options as they are typed, those that are missing or False left out; `chat_template` is `--chat-template`."""
    words = []
    for name, value in given.items():
        if value is not None and value is not False:
            words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return words


def strength_or_auto(text: str) -> float | None:
    """A number, or None for `auto`."""
    if text == "auto":
        return None
    try:
        return float(text)
    except ValueError:
        raise InputError(f"--strength {text!r}: give a number above 0, or auto") from None


def language_of(lang: str | None) -> Code:
    """The language that was asked for, or that of the environment.

    Raises:
        InputError: none of ours.
    """
    one_of("--lang", lang, LANGUAGES)
    return next((code for code in LANGUAGES if code == lang), own())


def say(line: str, language: Code) -> None:
    """Print a line in a language, on one line however long it is; names in it are never read as markup."""
    from trimtab.reports.check.terminal import Words

    console = Console(soft_wrap=True)
    console.print(Words(console, spoken(language))(line), highlight=False, markup=False)


def one_of(flag: str, value: str | None, allowed: tuple[str, ...]) -> None:
    if value is not None and value not in allowed:
        raise InputError(f"{flag} {value!r}: {meant(value, allowed)}choose {' or '.join(allowed)}")


def both_or_none(positive: str | None, negative: str | None) -> tuple[str, str] | None:
    """The two instructions of the command line, if they are given."""
    if positive is None and negative is None:
        return None
    if not positive or not negative:
        raise InputError("give --positive-instruction and --negative-instruction, or neither")
    return positive, negative


@contextmanager
def resumable() -> Iterator[None]:
    """Say, when somebody interrupts, that nothing is lost."""
    try:
        yield
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted; the same command goes on where it stopped")
        raise


@contextmanager
def quiet() -> Iterator[None]:
    """Libraries' own chatter stays away from the terminal; errors still come."""
    import warnings

    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
