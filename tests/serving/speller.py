"""A small engine of plain Python: it spells out the last thing it was told, letter by letter, many at once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from tests.serving.steerings import FACTS

from trimtab.errors import InputError, TrimtabError
from trimtab.interventions import (
    POSITION_SCOPES,
    AnswerScore,
    Capabilities,
    EditSummary,
    Event,
    Finish,
    GivenAnswer,
    Request,
    ScoreRequest,
    TokenEdit,
)


@dataclass
class Spelled:
    """A request on its way."""

    request: Request
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)


class Speller:
    """Answers with the prompt, in capitals where a strength is above 0; a token is a letter.

    Words in the prompt make it misbehave: `wait` (a letter takes long), `refuse`, `fail`, `crash` and `vanish` (at the
    first letter), `break` (at the third).
    """

    def __init__(self, max_length: int = 64) -> None:
        self.max_length, self.messages = max_length, True
        self.running: dict[str, Spelled] = {}
        self.seen: list[Request] = []
        self.scored: list[ScoreRequest] = []
        self.cancelled: list[str] = []
        self.closed = False
        self.down = False

    async def capabilities(self) -> Capabilities:
        if self.down:
            raise TrimtabError("the engine is starting anew")
        return Capabilities(
            FACTS,
            self.max_length,
            8,
            frozenset({"additive", "gated"}),
            frozenset(POSITION_SCOPES),
            messages=self.messages,
            scores=True,
        )

    def submit(self, request: Request) -> AsyncIterator[Event]:
        self.seen.append(request)
        one = self.running[request.id] = Spelled(request)
        return self._stream(one, prompt_of(request))

    async def score(self, request: ScoreRequest) -> tuple[AnswerScore, ...]:
        """Every token has a log-probability of −1, and −1 + strength when steered; random directions do nothing."""
        self.scored.append(request)
        gain = sum(request.steering.strength.values())
        found = []
        for text in request.texts:
            n = len(text.answer)
            if isinstance(text, GivenAnswer) and "fail" in "".join(map(_letter, text.answer)).lower():
                raise TrimtabError("the engine's process ended")
            projections = {name: {"1": gain} for name in request.steering.strength}
            found.append(AnswerScore(n, -n, n * (gain - 1), abs(gain), -n, 0.0, projections))
        await asyncio.sleep(0)
        return tuple(found)

    async def cancel(self, id: str) -> None:
        if id in self.running:
            self.cancelled.append(id)
            self.running.pop(id).cancelled.set()

    async def close(self) -> None:
        self.closed = True
        for id in list(self.running):
            await self.cancel(id)

    async def _stream(self, one: Spelled, prompt: str) -> AsyncIterator[Event]:
        request = one.request
        try:
            if "refuse" in prompt or len(prompt) > self.max_length:
                raise InputError(f"the prompt has {len(prompt)} tokens", code="out-of-range", field="prompt")
            if "\N{REPLACEMENT CHARACTER}" in prompt:
                raise InputError("the prompt holds an id that is no token", code="out-of-range", field="prompt")
            if "banana" in str(request.sampling.grammar):
                raise InputError("the grammar cannot be used: banana", field="grammar")
            if "papaya" in str(request.sampling.grammar):  # as a server behind an upstream engine says it
                raise InputError("the grammar cannot be used: papaya", field="structured_outputs.grammar")
            letters, finish = spelled(request, prompt)
            for i, letter in enumerate(letters):
                await self._pause(one, prompt, i)
                if one.cancelled.is_set():
                    yield Event(request.id, finish="cancelled")
                    return
                yield _event(request, prompt, i, letter, finish if i == len(letters) - 1 else None)
                if "vanish" in prompt:
                    return
        finally:
            self.running.pop(request.id, None)

    async def _pause(self, one: Spelled, prompt: str, i: int) -> None:
        if "fail" in prompt or ("break" in prompt and i == 2):
            raise TrimtabError("the engine's process ended")
        if "crash" in prompt:
            raise RuntimeError("secret words")
        if "wait" in prompt:
            try:
                async with asyncio.timeout(0.2):
                    await one.cancelled.wait()
            except TimeoutError:
                pass
        await asyncio.sleep(0)


class Letters:
    """The vocabulary: a token is a letter."""

    def ids(self, text: str) -> Sequence[int]:
        return [ord(letter) for letter in text]

    def letters(self, token: int) -> bytes:
        return chr(token).encode()


def prompt_of(request: Request) -> str:
    """The last turn, or the letters of token ids."""
    last = request.prompt[-1]
    return "".join(map(_letter, request.prompt)) if isinstance(last, int) else last.content  # type: ignore[arg-type]


def _letter(token: int) -> str:
    """A replacement character for ids that no letter has."""
    return chr(token) if token < 0xD800 or 0xDFFF < token <= 0x10FFFF else "\N{REPLACEMENT CHARACTER}"


def loud(request: Request) -> bool:
    return request.steering is not None and any(value > 0 for value in request.steering.strength.values())


def spelled(request: Request, prompt: str) -> tuple[str, Finish]:
    """The letters of an answer, and why it ends."""
    text = prompt.upper() if loud(request) else prompt
    most = request.sampling.max_tokens
    for stop in request.sampling.stop:
        if stop in text[:most]:
            return text[: text.index(stop)] + "\0", "stop"  # the stop text's token says nothing
    return (text, "stop") if len(text) <= most else (text[:most], "length")


def _event(request: Request, prompt: str, i: int, letter: str, finish: Finish | None) -> Event:
    token = ord(letter)
    top = {token + k: -0.5 - k for k in range(request.sampling.top_logprobs)}
    run = len(prompt) if i == 0 else 1
    steered, gates = request.steering is not None, {"warm": 0.25 if i == 0 else 0.75}
    touched = run if loud(request) else 0
    explained: tuple[TokenEdit, ...] = ()
    if request.explain and steered:
        explained = tuple(TokenEdit(ord(one), True, gates, 0.1) for one in (prompt if i == 0 else letter))
    return Event(
        request.id,
        letter.strip("\0"),
        (token,),
        (-0.5,),
        (top,),
        EditSummary(run, touched, gates, 0.1 if touched else 0.0) if steered else None,
        explained,
        len(prompt) if i == 0 else None,
        finish,
    )
