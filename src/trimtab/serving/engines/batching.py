"""transformers' continuous batching, set up so that requests with different steerings can share its passes."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from trimtab.errors import InputError
from trimtab.models import Model
from trimtab.models.generate import plain_settings

PAGE = 256  # tokens; the cache of a request grows by whole pages


@dataclass(frozen=True)
class Limits:
    """How much an engine takes on at once.

    Args:
        max_running: requests that share a batch; others wait.
        max_length: tokens of prompt and answer together; None for what the model's context and the cache hold.
        cache_tokens: tokens of all running requests together; beyond, some wait and are run again from their start.
        batch_tokens: the most tokens in one pass; longer prompts take several.

    Raises:
        InputError: a limit below 1.

    Example:
        >>> from trimtab.serving.engines.batching import Limits
        >>> Limits(max_running=4).cache_tokens
        32768
    """

    max_running: int = 16
    max_length: int | None = None
    cache_tokens: int = 32768
    batch_tokens: int = 512

    def __post_init__(self) -> None:
        for name in ("max_running", "max_length", "cache_tokens", "batch_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} {value!r} must be 1 or more", code="out-of-range", field=name)

    def length_for(self, model: Model) -> int:
        """Tokens that a request may have, prompt and answer together."""
        longest = min(model.context_length, self.cache_tokens)
        return longest if self.max_length is None else min(longest, self.max_length)

    def pages_for(self, model: Model) -> int:
        """Pages of the cache: no more than running requests can fill, and a page for each of them at least."""
        needed = self.max_running * ceil(self.length_for(model) / PAGE)
        return max(self.max_running, min(needed, ceil(self.cache_tokens / PAGE)))


def batching_manager(model: Model, limits: Limits) -> Any:
    """A manager that decodes greedily, one pass after the other.

    Prefixes are never shared: two prompts that begin alike may be steered differently. One pass is finished before the
    next one is laid out, since the hooks ask which requests the current one holds.

    Raises:
        InputError: transformers cannot batch this model.
    """
    from transformers import ContinuousBatchingConfig

    settings = plain_settings(model.hf.generation_config)
    if settings.eos_token_id is None:
        settings.eos_token_id = -1
    config = ContinuousBatchingConfig(
        page_size=PAGE,
        num_blocks=limits.pages_for(model),
        max_batch_tokens=max(limits.batch_tokens, limits.max_running),
        max_requests_per_batch=limits.max_running,
        max_blocks_per_request=0,
        allow_block_sharing=False,
        use_async_batching=False,
        use_cuda_graph=False,
        auto_switch_to_flash=False,
    )
    try:
        return model.hf.init_continuous_batching(settings, config)
    except (AttributeError, ValueError, TypeError) as error:
        raise unsupported(model, str(error)) from error


def unsupported(model: Model, what: str) -> InputError:
    """The error for a model that cannot be batched."""
    return InputError(
        f"transformers cannot batch {type(model.hf).__name__} continuously: {what}", code="unsupported", field="model"
    )


def requests_in_pass(manager: Any) -> Sequence[tuple[str, int]]:
    """The requests of the pass that a manager is running, in the order of its tokens, with their numbers of tokens."""
    entries = manager.batch_processor.inputs_and_outputs.requests_in_batch
    return [(entry.state.request_id, entry.query_length) for entry in entries]
