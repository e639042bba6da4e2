"""Who writes: a chat model behind an endpoint, or one that is loaded."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from trimtab.clients.chat import Endpoint, EndpointError, Turn
from trimtab.errors import InputError
from trimtab.models import Model
from trimtab.workflows.draft.asking import one_turn

TEMPERATURE = 0.8
_FEW = 0.25  # share of conversations that may fail for reasons of their own


class Writer(Protocol):
    """Answers conversations."""

    @property
    def identity(self) -> str:
        """Who it is, for the record."""
        ...

    def say(self, conversations: Sequence[Sequence[Turn]], seed: int, max_tokens: int) -> list[str | None]:
        """The next turn of every conversation; None for one that could not be had.

        Raises:
            EndpointError: more than a quarter of them could not be had.
        """
        ...


@dataclass(frozen=True)
class EndpointWriter:
    """A chat model behind a server; several requests are under way at once.

    Raises:
        InputError: less than one request at once.
    """

    endpoint: Endpoint
    parallel: int = 4

    def __post_init__(self) -> None:
        if self.parallel < 1:
            raise InputError(
                f"parallel {self.parallel}: at least one request must be under way",
                code="out-of-range",
                field="parallel",
            )

    @property
    def identity(self) -> str:
        """Model and server."""
        return self.endpoint.identity

    def say(self, conversations: Sequence[Sequence[Turn]], seed: int, max_tokens: int) -> list[str | None]:
        """See `Writer`."""
        failed: list[EndpointError] = []

        def one(k: int) -> str | None:
            try:
                return self.endpoint.chat(
                    conversations[k], seed=seed + k, max_tokens=max_tokens, temperature=TEMPERATURE
                )
            except EndpointError as error:
                failed.append(error)
                return None

        with ThreadPoolExecutor(self.parallel) as pool:
            try:
                said = list(pool.map(one, range(len(conversations))))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        if len(failed) > _FEW * len(conversations):
            raise failed[-1]  # the server is down, rather than at odds with one conversation
        return said


@dataclass(frozen=True)
class LoadedWriter:
    """A model of this process, put through its chat template.

    Raises:
        InputError: the model has no chat template.
    """

    model: Model

    def __post_init__(self) -> None:
        if not getattr(self.model.tokenizer, "chat_template", None):
            raise InputError(
                f"{self.model.id} has no chat template, so it cannot be asked for examples; "
                "take an instruction-tuned model, or an endpoint",
                code="unsupported",
                field="writer",
            )

    @property
    def identity(self) -> str:
        """The model's id."""
        return self.model.id

    def say(self, conversations: Sequence[Sequence[Turn]], seed: int, max_tokens: int) -> list[str | None]:
        """See `Writer`."""
        prompts = [one_turn(turns) for turns in conversations]
        options = {"do_sample": True, "temperature": TEMPERATURE, "top_p": 0.95}
        return [
            text.strip() or None
            for text in self.model.generate(
                prompts, chat_template=True, max_new_tokens=max_tokens, seed=seed, **options
            )
        ]
