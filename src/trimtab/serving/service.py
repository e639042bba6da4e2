"""What the routes of a server share."""

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trimtab.errors import TrimtabError
from trimtab.interventions import Capabilities, Engine
from trimtab.serving.errors import HttpError
from trimtab.serving.limits import Admission
from trimtab.serving.metrics import Metrics
from trimtab.serving.registry import Registry
from trimtab.serving.settings import Settings
from trimtab.serving.vocabulary import Vocabulary

if TYPE_CHECKING:  # what it needs is imported only on a server with a store
    from trimtab.serving.live import Operations
    from trimtab.serving.monitoring import Monitor


@dataclass
class Service:
    """What the routes of a server share.

    Args:
        engine: runs the model.
        registry: the steerings.
        settings: see `Settings`.
        vocabulary: None where texts cannot be turned into token ids.
        admission: who may ask for how much.
        metrics: what is counted.
        operations: releases and exposures; None on a server without a store.
        monitor: watches what is served; None on a server that watches nothing.
    """

    engine: Engine
    registry: Registry
    settings: Settings
    vocabulary: Vocabulary | None
    admission: Admission
    metrics: Metrics
    operations: "Operations | None" = None
    monitor: "Monitor | None" = None
    _capabilities: Capabilities | None = field(default=None, init=False)

    async def asked_capabilities(self) -> Capabilities:
        """What the engine says now.

        Raises:
            HttpError: it says nothing in time (503).
            TrimtabError: it failed.
        """
        seconds = self.settings.limits.ready_seconds
        try:
            async with asyncio.timeout(seconds):
                self._capabilities = await self.engine.capabilities()
        except TimeoutError:
            raise HttpError(
                f"the engine did not answer within {seconds:g} seconds; try again", status=503, word="not_ready",
                retry_after=seconds,
            ) from None  # fmt: skip
        if self.operations is not None:
            self.operations.knows(self._capabilities)
        return self._capabilities

    async def capabilities(self) -> Capabilities:
        """What the engine said first; it does not change while it runs one model.

        Raises:
            TrimtabError: as for `asked_capabilities`.
        """
        return self._capabilities or await self.asked_capabilities()

    @property
    def model(self) -> str:
        """The name by which requests ask for the model."""
        return self.settings.model

    def counted_failure(self, error: TrimtabError) -> TrimtabError:
        """The same error, counted if it is the engine's."""
        if type(error) is TrimtabError:
            self.metrics.failures.inc()
        return error
