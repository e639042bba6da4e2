"""What the plug-in is told when vLLM starts, and what it tells the workers: plain JSON in `additional_config`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trimtab.errors import InputError
from trimtab.interventions import ModelFacts

NAME: Final = "trimtab"
"""The plug-in's key in `additional_config`, and its name among vLLM's plug-ins."""


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    id: str
    revision: str | None
    architecture: str
    d_model: int
    n_blocks: int
    digest: str
    shapes: str


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    steerings: Annotated[str, Field(min_length=1)]
    allow_mismatch: bool = False
    facts: _Facts | None = None
    sites: list[str] = []


@dataclass(frozen=True)
class Setup:
    """How the plug-in is set up.

    Args:
        folder: holds the folders of steerings.
        allow_mismatch: whether steerings made for other weights of the same shapes may steer.
        facts: of the model, with the digest of its weights; None where nobody has computed it.
        sites: behind which the workers put the operation that edits; they enter vLLM's key of compiled models, so that
            one compiled without them is never taken for one with them.
    """

    folder: Path
    allow_mismatch: bool = False
    facts: ModelFacts | None = None
    sites: tuple[str, ...] = ()

    @staticmethod
    def of(additional_config: Any) -> "Setup | None":
        """What vLLM's `additional_config` says; None if it does not mention the plug-in.

        Raises:
            InputError: it says something else than the plug-in takes.
        """
        given = additional_config.get(NAME) if isinstance(additional_config, dict) else None
        if given is None:
            return None
        try:
            read = _Given.model_validate(given)
        except ValidationError as error:
            fault = error.errors()[0]
            place = ".".join(map(str, ("additional_config", NAME, *fault["loc"])))
            raise InputError(f"{place}: {fault['msg']}", code="wrong-type", field=place) from error
        facts = None if read.facts is None else ModelFacts(**read.facts.model_dump())
        return Setup(Path(read.steerings), read.allow_mismatch, facts, tuple(read.sites))

    def config(self) -> dict[str, Any]:
        """The same as JSON values, for `additional_config`."""
        given = _Given(
            steerings=str(self.folder),
            allow_mismatch=self.allow_mismatch,
            facts=None if self.facts is None else _Facts(**vars(self.facts)),
            sites=list(self.sites),
        )
        return {NAME: given.model_dump()}
