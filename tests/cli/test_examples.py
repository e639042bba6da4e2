"""The help of every verb ends with an example, and the command line understands each of them."""

import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from trimtab.cli import app
from trimtab.cli.examples import EXAMPLES


def verbs(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, below in getattr(command, "commands", {}).items():
        yield from verbs(below, (*words, name))
    if not hasattr(command, "commands"):
        yield " ".join(words), command


VERBS = dict(verbs(typer.main.get_command(app)))


def test_every_verb_has_an_example_and_no_example_is_of_nothing() -> None:
    assert VERBS.keys() == EXAMPLES.keys()


@pytest.mark.parametrize("verb", EXAMPLES)
def test_the_example_is_of_the_verb_and_can_be_read(verb: str) -> None:
    words = shlex.split(EXAMPLES[verb])
    above = verb.split()
    assert words[: 1 + len(above)] == ["trimtab", *above]
    command = VERBS[verb]
    context = command.make_context(verb, words[1 + len(above) :])  # UsageError: a flag or a word too many, or too few
    flags = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= flags | ({"--port"} if verb == "vllm" else set())
    assert command.get_help(context).rstrip().endswith(EXAMPLES[verb].split()[-1]) or command.epilog
    assert command.epilog == f"Example: {EXAMPLES[verb]}"
