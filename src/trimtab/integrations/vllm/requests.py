"""Requests on their way to vLLM's engine: what they ask of steering is checked, resolved, and put into their salt."""

from collections.abc import Callable
from typing import Any, Final

from trimtab.errors import InputError, TrimtabError
from trimtab.integrations.vllm.offer import FIELD, Offer, applied, cache_salt
from trimtab.integrations.vllm.passes import EXTRA

_MARK: Final = "trimtab_original"


def steer_inputs(
    processor: type[Any], offer_of: Callable[[Any], Offer | None], refused: Callable[..., Exception]
) -> None:
    """Have vLLM's input processor read `extra_args["steering"]` of every request; once only.

    Args:
        processor: the class, whose `process_inputs` makes what the engine is sent.
        offer_of: the offer of an input processor; None where the server has no steerings.
        refused: vLLM's error for what is wrong with a request, raised as `refused(message, parameter=…)`.
    """
    if hasattr(processor, _MARK):
        return
    original = processor.process_inputs

    def process_inputs(self: Any, request_id: str, prompt: Any, params: Any, *args: Any, **kwargs: Any) -> Any:
        extra = getattr(params, "extra_args", None) or {}
        try:
            told = _told(extra, lambda: offer_of(self))
        except TrimtabError as error:
            raise refused(str(error), parameter=error.field) from error
        request = original(self, request_id, prompt, params, *args, **kwargs)
        if FIELD in extra:
            rest = {key: value for key, value in extra.items() if key != FIELD}
            request.sampling_params.extra_args = {**rest, EXTRA: told} if told is not None else rest or None
        if told is not None:
            if request.resumable:
                raise refused("a request that is continued by others cannot be steered", parameter=FIELD)
            tokens = request.prompt_token_ids if request.prompt_token_ids is not None else request.prompt_embeds
            request.cache_salt = cache_salt(told, len(tokens), request.cache_salt)
        return request

    setattr(processor, _MARK, original)
    processor.process_inputs = process_inputs


def _told(extra: dict[str, Any], offer: Callable[[], Offer | None]) -> dict[str, Any] | None:
    """What the workers are to be told.

    Raises:
        InputError: the request asks for what there is not, or says itself what only the server may.
    """
    if EXTRA in extra:
        raise InputError(f"{EXTRA!r} is not for requests to say; ask by {FIELD!r}", code="unsupported", field=EXTRA)
    if FIELD not in extra:
        return None
    found = offer()
    if found is None:
        raise InputError(
            "this server has no steerings: name their folder in its additional_config, as "
            '{"trimtab": {"steerings": "FOLDER"}}',
            code="unsupported",
            field=FIELD,
        )
    return applied(found.resolved(extra[FIELD]).steering)
