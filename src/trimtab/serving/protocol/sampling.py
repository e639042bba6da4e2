"""From the fields of a request to what the engine is asked for."""

from typing import Final

from trimtab.errors import InputError
from trimtab.interventions import Sampling
from trimtab.serving.protocol.requests import ChatRequest, CompletionRequest, Generation
from trimtab.serving.protocol.tools import grammar_of

COMPLETION_TOKENS: Final = 16  # of an answer to `/v1/completions` that says no maximum, as OpenAI has it
_SEEDS: Final = 2**63


def sampling(asked: ChatRequest | CompletionRequest, usual: int, most: int, choice: int) -> Sampling:
    """How the tokens of one of a request's answers are chosen.

    Args:
        asked: the request.
        usual: tokens of a chat's answer at most, where the request names no maximum.
        most: the largest maximum allowed.
        choice: number of the answer; each draws with a seed of its own, `seed + choice`.

    Raises:
        InputError: fields that contradict each other, or more tokens than allowed.
    """
    if asked.stream_options is not None and not asked.stream:
        raise InputError("stream_options belong to stream: true", code="conflicting-arguments", field="stream_options")
    return Sampling(
        max_tokens=_max_tokens(asked, usual, most),
        temperature=1.0 if asked.temperature is None else asked.temperature,
        top_p=1.0 if asked.top_p is None else asked.top_p,
        top_k=asked.top_k or 0,
        seed=None if asked.seed is None else (asked.seed + choice) % _SEEDS,
        stop=(asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop or ()),
        top_logprobs=_top_logprobs(asked),
        logit_bias={int(token): bias for token, bias in (asked.logit_bias or {}).items()},
        presence_penalty=asked.presence_penalty or 0.0,
        frequency_penalty=asked.frequency_penalty or 0.0,
        grammar=grammar_of(asked) if isinstance(asked, ChatRequest) else None,
    )


def wants_logprobs(asked: Generation) -> bool:
    """Whether the answer is to give log-probabilities of its tokens."""
    if isinstance(asked, ChatRequest):
        return bool(asked.logprobs)
    return isinstance(asked, CompletionRequest) and asked.logprobs is not None


def prompts(asked: CompletionRequest) -> list[str | tuple[int, ...]]:
    """The prompts, each a text or token ids.

    Raises:
        InputError: an empty text.
    """
    given = asked.prompt
    if isinstance(given, str):
        found: list[str | tuple[int, ...]] = [given]
    elif all(isinstance(one, int) for one in given):
        found = [tuple(one for one in given if isinstance(one, int))]
    else:
        found = [one if isinstance(one, str) else tuple(one) for one in given if not isinstance(one, int)]
    if not all(found):
        raise InputError("prompt: an empty text; give some", code="missing-value", field="prompt")
    return found


def _max_tokens(asked: ChatRequest | CompletionRequest, usual: int, most: int) -> int:
    newer = asked.max_completion_tokens if isinstance(asked, ChatRequest) else None
    if newer is not None and asked.max_tokens is not None and newer != asked.max_tokens:
        raise InputError(
            "max_tokens and max_completion_tokens differ; give one of them",
            code="conflicting-arguments",
            field="max_tokens",
        )
    wanted = asked.max_tokens if newer is None else newer
    if wanted is None:
        return min(most, usual if isinstance(asked, ChatRequest) else COMPLETION_TOKENS)
    if wanted > most:
        field = "max_tokens" if newer is None else "max_completion_tokens"
        raise InputError(
            f"{field} {wanted:,} is above the {most:,} that this server allows", code="out-of-range", field=field
        )
    return wanted


def _top_logprobs(asked: ChatRequest | CompletionRequest) -> int:
    if isinstance(asked, CompletionRequest):
        return asked.logprobs or 0
    if asked.top_logprobs is not None and not asked.logprobs:
        raise InputError("top_logprobs belong to logprobs: true", code="conflicting-arguments", field="top_logprobs")
    return asked.top_logprobs or 0
