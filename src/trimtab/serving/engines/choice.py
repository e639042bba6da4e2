"""Which engine runs a model: the batching one, unless a trial shows that the model cannot be batched."""

import logging
from collections.abc import Callable

from trimtab.errors import InputError
from trimtab.interventions import Engine, Steerable
from trimtab.models import Model
from trimtab.serving.engines.batching import Limits
from trimtab.serving.engines.one_by_one import OneByOneEngine
from trimtab.serving.engines.transformers import TransformersEngine

LOG = logging.getLogger("trimtab")


def engine_for(model: Model, steerings: Callable[[str], Steerable | None], limits: Limits | None = None) -> Engine:
    """The fastest engine that runs a model right; a log line says so where it is the slower one.

    Args:
        model, steerings, limits: as of `TransformersEngine`.

    Raises:
        InputError: the model has no tokenizer, or it is steered already.
    """
    try:
        return TransformersEngine(model, steerings, limits)
    except InputError as error:
        if (error.code, error.field) != ("unsupported", "model"):
            raise
        why = str(error)
    engine = OneByOneEngine(model, steerings, limits, why)
    LOG.warning(engine.note)
    return engine
