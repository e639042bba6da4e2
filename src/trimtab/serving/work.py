"""From the body of a request to the engine's requests."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from trimtab.errors import InputError
from trimtab.interventions import Capabilities, Request, RequestSteering, Sampling
from trimtab.serving.answering import Part
from trimtab.serving.protocol import AskedSteering, ChatRequest, CompletionRequest
from trimtab.serving.protocol.sampling import prompts, sampling, wants_logprobs
from trimtab.serving.protocol.tools import turns
from trimtab.serving.resolution import Resolved, resolve, steering_name
from trimtab.serving.service import Service
from trimtab.serving.vocabulary import Vocabulary
from trimtab.texts import Message

if TYPE_CHECKING:
    from trimtab.serving.live import Following


@dataclass(frozen=True)
class Work:
    """What a request wants done.

    Args:
        parts: the engine's requests, those to compare with last.
        per_prompt: answers to each prompt.
        logprobs: whether log-probabilities are wanted.
        resolved: the steering; None for none.
        asked: what the body says of steering.
        following: what decided; None on a server without a store.
        unit: id of its unit; None if it names none.
    """

    parts: tuple[Part, ...]
    per_prompt: int
    logprobs: bool
    resolved: Resolved | None
    asked: AskedSteering
    following: "Following | None" = None
    unit: str | None = None

    @property
    def may_go_unsteered(self) -> bool:
        """Whether a release steers it, so that a steering that fails costs its reader nothing."""
        return self.following is not None and self.following.assignment is not None and self.resolved is not None

    def unsteered(self, fault: str) -> "Work":
        """The same work with the model as it is.

        Args:
            fault: of the steering, for the log.
        """
        assert self.following is not None
        parts = tuple(replace(part, request=replace(part.request, steering=None)) for part in self.parts)
        return replace(self, parts=parts, resolved=None, following=self.following.unsteered(fault))


async def planned(
    service: Service, asked: ChatRequest | CompletionRequest, request_id: str, unit: str | None = None
) -> Work:
    """The engine's requests for a body.

    Args:
        service: see `Service`.
        asked: the body.
        request_id: by which logs know it.
        unit: id of its unit, for releases; None if it names none.

    Raises:
        TrimtabError: what is wrong with the request, or the engine does not answer.
    """
    name = steering_name(asked.model, service.model, asked.steering)
    able = await service.capabilities()
    steering = asked.steering or AskedSteering()
    chat = isinstance(asked, ChatRequest)
    resolved = None
    if name is not None:
        mismatch = service.settings.other_weights
        resolved = resolve(service.registry, name, steering, able, chat=chat, mismatch=mismatch)
    logprobs = wants_logprobs(asked)
    if logprobs and service.vocabulary is None and not asked.return_tokens_as_token_ids:
        raise InputError(
            "logprobs: this server has no vocabulary to name tokens by; leave it out", code="unsupported",
            field="logprobs",
        )  # fmt: skip
    given, n = _prompts(asked, able, service.vocabulary), asked.n or 1
    most = service.settings.limits.choices
    if len(given) * n > most:
        raise InputError(
            f"{len(given) * n} choices are more than the {most} that a request may have; ask for fewer",
            code="out-of-range",
            field="n",
        )
    following, operations = None, service.operations
    if operations is not None:
        if resolved is None:
            following = operations.follow(unit, request_id, able, chat=chat)
        else:
            following = operations.named(unit, resolved)
        resolved = following.resolved
    parts = _parts(service, asked, request_id, given, able, resolved, steering)
    return Work(tuple(parts), n, logprobs, resolved, steering, following, unit)


def _parts(
    service: Service,
    asked: ChatRequest | CompletionRequest,
    request_id: str,
    given: list[tuple[int, ...] | tuple[Message, ...]],
    able: Capabilities,
    resolved: Resolved | None,
    steering: AskedSteering,
) -> list[Part]:
    n = asked.n or 1

    def part(index: int, beside: bool) -> Part:
        prompt = given[index // n]
        drawn = _sampling(service, asked, prompt, able, index % n)
        applied: RequestSteering | None = None if resolved is None or beside else resolved.steering
        id = f"{request_id}-{index}{'-unsteered' if beside else ''}"
        explained = steering.explain and applied is not None
        return Part(index, Request(id, prompt, drawn, applied, explained, bool(asked.stream)), beside)

    indices = range(len(given) * n)
    return [part(i, False) for i in indices] + [part(i, True) for i in indices if steering.compare]


def _sampling(
    service: Service,
    asked: ChatRequest | CompletionRequest,
    prompt: tuple[int, ...] | tuple[Message, ...],
    able: Capabilities,
    choice: int,
) -> Sampling:
    """How tokens are chosen; an answer that names no maximum ends where the model's length does.

    How many tokens a chat has is not known here: its usual maximum leaves it half of the model's length.
    """
    limits = service.settings.limits
    known = sum(isinstance(one, int) for one in prompt)
    if known >= able.max_length:
        raise InputError(
            f"the prompt has {known:,} tokens; with an answer the model takes {able.max_length:,}",
            code="out-of-range",
            field="prompt",
        )
    left = able.max_length - known
    most = limits.answer_tokens if asked.max_tokens is not None else min(limits.answer_tokens, left)
    usual = min(limits.usual_tokens, max(1, able.max_length // 2))
    drawn = sampling(asked, usual, most, choice)
    if drawn.max_tokens > left:
        after = f" after a prompt of {known:,} tokens" if known else ""  # a chat's prompt is counted by the engine
        raise InputError(
            f"max_tokens {drawn.max_tokens:,}{after} is beyond the {able.max_length:,} that the model takes; ask for "
            "fewer",
            code="out-of-range",
            field="max_tokens",
        )
    return drawn


def _prompts(
    asked: ChatRequest | CompletionRequest, able: Capabilities, vocabulary: Vocabulary | None
) -> list[tuple[int, ...] | tuple[Message, ...]]:
    if isinstance(asked, ChatRequest):
        if not able.messages:
            raise InputError(
                "messages: the model has no chat template; use /v1/completions", code="unsupported", field="messages"
            )
        return [turns(asked)]
    found: list[tuple[int, ...] | tuple[Message, ...]] = []
    for one in prompts(asked):
        if isinstance(one, str):
            if vocabulary is None:
                raise InputError(
                    "prompt: this server cannot turn text into tokens; send token ids, or a chat",
                    code="unsupported",
                    field="prompt",
                )
            one = tuple(vocabulary.ids(one))
        found.append(one)
    return found
