"""An answer as an exposure: what its request was given, and what it did."""

import json
import time
from collections.abc import Sequence
from time import perf_counter

from trimtab.behaviors.chats import flatten
from trimtab.operations import Exposure
from trimtab.serving.caller import Caller
from trimtab.serving.live.following import Following
from trimtab.serving.protocol import ChatRequest, CompletionRequest
from trimtab.serving.protocol.tools import turns
from trimtab.serving.tally import Tally


def exposure(
    asked: ChatRequest | CompletionRequest,
    caller: Caller,
    following: Following,
    tally: Tally,
    *,
    first_token_seconds: float | None,
    failed: str | None,
    texts: bool,
) -> Exposure:
    """What a request was given.

    Args:
        asked: the request.
        caller: whose it is.
        following: what decided for it.
        tally: what came of it.
        first_token_seconds: from its arrival; None if there was none.
        failed: `error` or `cancelled` where the answer did not come to its end.
        texts: whether prompt and answer are kept.
    """
    seconds = perf_counter() - caller.began
    given, resolved = following.assignment, following.resolved
    finishes = {choice.finish for choice in tally.choices}
    answers = tuple(choice.text for choice in tally.choices)
    return Exposure(
        request=caller.request_id,
        time=time.time() - seconds,
        model=asked.model,
        arm=following.arm,
        unit=following.unit,
        release=None if given is None else given.release,
        version=None if given is None else given.version,
        dry_run=given is not None and given.dry_run,
        propensity=None if given is None else given.propensity,
        artifact=None if resolved is None else resolved.steering.artifact,
        strength={} if resolved is None else dict(resolved.steering.strength),
        scope=None if resolved is None else resolved.steering.scope,
        gates=tally.edited.gates,
        selected=tally.edited.selected,
        touched=tally.edited.touched,
        edit_size_ratio=None if resolved is None or not tally.edited.measured else tally.edited.edit_size_ratio,
        prompt_tokens=tally.usage.prompt_tokens,
        answer_tokens=tally.usage.completion_tokens,
        first_token_seconds=first_token_seconds,
        seconds=seconds,
        finish=failed or ("length" if "length" in finishes else "stop"),
        prompt=_prompt(asked) if texts else None,
        answer=_joined(answers) if texts else None,
        answers=() if failed else answers,
    )


def judged_text(asked: ChatRequest | CompletionRequest, tally: Tally) -> tuple[str, str]:
    """Prompt and first answer in words, for a judge; a prompt that is no text is left out."""
    if isinstance(asked, ChatRequest):
        return flatten(turns(asked)), tally.choices[0].text
    return asked.prompt if isinstance(asked.prompt, str) else "", tally.choices[0].text


def _prompt(asked: ChatRequest | CompletionRequest) -> str:
    """A text as it is; turns, token ids and several prompts as JSON."""
    if isinstance(asked, ChatRequest):
        return json.dumps([{"role": turn.role, "content": turn.content} for turn in turns(asked)], ensure_ascii=False)
    return asked.prompt if isinstance(asked.prompt, str) else json.dumps(asked.prompt, ensure_ascii=False)


def _joined(answers: Sequence[str]) -> str:
    return answers[0] if len(answers) == 1 else json.dumps(answers, ensure_ascii=False)
