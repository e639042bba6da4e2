"""The command line: reads arguments, asks the workflows, prints. No logic of its own, no torch until it is needed."""

import os
import sys
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from trimtab.cli.advise import advise
from trimtab.cli.audit import audit
from trimtab.cli.brief import brief
from trimtab.cli.check import check
from trimtab.cli.convert import convert
from trimtab.cli.convert_data import convert_data
from trimtab.cli.doctor import doctor
from trimtab.cli.draft import draft
from trimtab.cli.evaluate import evaluate
from trimtab.cli.examples import show_examples
from trimtab.cli.feedback import feedback
from trimtab.cli.fit import fit
from trimtab.cli.flags import with_flags
from trimtab.cli.generate import generate
from trimtab.cli.hub import pull, push
from trimtab.cli.init import init
from trimtab.cli.judge import judge
from trimtab.cli.keys import keys
from trimtab.cli.lint import lint
from trimtab.cli.metrics import metrics
from trimtab.cli.open import open_
from trimtab.cli.predict import predict
from trimtab.cli.release import release
from trimtab.cli.serve import serve
from trimtab.cli.store import store
from trimtab.cli.study import study
from trimtab.cli.tune import tune
from trimtab.cli.vllm import vllm
from trimtab.errors import InputError, TrimtabError
from trimtab.threads import sleep_while_waiting
from trimtab.version import __version__

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Steer language models by small edits to their activations, and know beforehand whether the edit will hold.",
)


def main() -> NoReturn:
    """Entry point: errors become one message and an exit code, never a traceback."""
    sleep_while_waiting()
    try:
        _check_utf8(sys.argv[1:])
        app(standalone_mode=True)
    except TrimtabError as error:
        said = with_flags(error, flags_of(sys.argv[1:]))
        Console(stderr=True, soft_wrap=True).print(f"[bold red]error:[/] {escape(said)}", highlight=False)
        sys.exit(error.exit_code)
    except Exception as error:
        if os.environ.get("TRIMTAB_DEBUG"):
            raise
        said = f"{type(error).__name__}: {error}".strip()
        Console(stderr=True, soft_wrap=True).print(
            f"[bold red]error:[/] an error that trimtab did not expect: {escape(said)}\n"
            "Please report it; TRIMTAB_DEBUG=1 shows where it happened.",
            highlight=False,
        )
        sys.exit(4)
    sys.exit(0)


def _check_utf8(arguments: list[str]) -> None:
    """Prompts, names and paths end up in reports, artifacts and tokenizers, which hold UTF-8 only."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise InputError(f"the argument {argument!a} is no UTF-8; write or rename it so") from None


def flags_of(arguments: list[str]) -> set[str]:
    """The flags of the command that the arguments call; empty if they call none."""
    called = typer.main.get_command(app)
    for argument in arguments:
        commands = getattr(called, "commands", None)
        if commands is None:
            break
        called = commands.get(argument, called)
    return set() if hasattr(called, "commands") else {flag for one in called.params for flag in one.opts}


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"trimtab {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


commands = (
    check, advise, brief, predict, study, fit, generate, evaluate, tune, judge, convert, convert_data, push, pull, lint,
    draft, init, serve, doctor,
)  # fmt: skip
for command in commands:
    app.command()(command)
app.command(name="open")(open_)
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(vllm)
groups = {
    "keys": keys, "release": release, "metrics": metrics, "feedback": feedback, "audit": audit, "store": store,
}  # fmt: skip
for name, group in groups.items():
    app.add_typer(group, name=name)
show_examples(app)
