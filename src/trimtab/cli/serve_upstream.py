"""`trimtab serve --upstream`: options, and the engine behind a URL that they ask for."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trimtab.errors import InputError

if TYPE_CHECKING:
    from trimtab.serving.engines.upstream import UpstreamEngine
    from trimtab.serving.registry import Registry
    from trimtab.serving.vocabulary import Vocabulary

Upstream = Annotated[
    list[str] | None,
    typer.Option(
        help="Base URL of a server that runs the model, such as vLLM with trimtab's plug-in: http://host:8000/v1. "
        "Repeatable, for several that run the same one; nothing is loaded here then."
    ),
]
UpstreamKeyEnv = Annotated[
    str | None, typer.Option(help="Environment variable that holds the key of the upstream servers.")
]
Tokenizer = Annotated[
    Path | None,
    typer.Option(
        help="Folder with the tokenizer.json of the upstream model, for completions of text, log-probabilities and "
        "/tokenize; chats and token ids need none."
    ),
]


def passed_on(
    urls: list[str], key_env: str | None, tokenizer: Path | None, registry: "Registry"
) -> "tuple[UpstreamEngine, Vocabulary | None, str]":
    """The engine behind the URLs, the vocabulary, and the name that the servers have for their model.

    Args:
        urls: of the servers.
        key_env: the environment variable that holds their key; None for none.
        tokenizer: folder with the model's tokenizer; None for none.
        registry: the steerings here.

    Raises:
        InputError: a URL that is none, a variable without a key, a folder without a tokenizer.
        TrimtabError: no server answers.
    """
    from trimtab.clients.chat import key_from
    from trimtab.serving.engines.upstream import UpstreamEngine, Upstreams, model_name
    from trimtab.serving.vocabulary import folder_vocabulary

    key = "" if key_env is None else key_from(key_env)
    if key_env is not None and not key:
        raise InputError(
            f"the environment variable {key_env} holds no key", code="missing-value", field="upstream_key_env"
        )
    upstreams = Upstreams(urls, key)
    vocabulary = None if tokenizer is None else folder_vocabulary(tokenizer)
    name = asyncio.run(model_name(upstreams))

    def kinds() -> frozenset[str]:
        return frozenset(kind for one in registry.loaded.values() for kind in one.kinds)

    return UpstreamEngine(upstreams, kinds), vocabulary, name
