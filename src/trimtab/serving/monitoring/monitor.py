"""The work of monitoring, beside the answers: scores what is to be scored, and tells alarms. Never waited for."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from math import inf
from typing import TYPE_CHECKING, Any, Final

from trimtab.errors import InputError, TrimtabError
from trimtab.interventions import AnswerScore, Engine, GivenAnswer, ScoreRequest
from trimtab.operations import SteeredAnswers
from trimtab.serving.monitoring.before import answers_before, told_before
from trimtab.serving.monitoring.canary import compared
from trimtab.serving.monitoring.checked import Checked
from trimtab.serving.monitoring.observations import ALPHA, Alarm, Looked, Observations, OnAlarm
from trimtab.serving.monitoring.setups import Setup, to_look_at
from trimtab.serving.monitoring.shadow import random_seed, shadowed
from trimtab.serving.registry import Registry
from trimtab.texts import Message

if TYPE_CHECKING:
    from trimtab.serving.live import Operations

QUEUE: Final = 64
"""Answers that may wait to be scored; further ones are dropped and counted."""
_LONGEST: Final = 1024  # tokens of an answer that is scored, without its prompt
_TEXTS: Final = 16  # of a canary in one request to the engine
_GLANCE: Final = 1.0  # seconds between two glances at what is live, and between two tests of what came


@dataclass(frozen=True)
class Watching:
    """What is watched.

    Args:
        shadow: share of steered answers that are scored, 0 to 1.
        canaries: checks whose rows are scored again.
        every: minutes between looks of a canary; at what has come live it looks at once.
        max_kl: bound on the mean divergence of live answers, nats per token; None for none.
        alpha: chance of any false alarm of each kind.
        since: figures of answers that came from then on are read back from the store, seconds since 1970.

    Raises:
        InputError: a number out of range, two checks of one name.
    """

    shadow: float = 0.0
    canaries: tuple[Checked, ...] = ()
    every: float = 60.0
    max_kl: float | None = None
    alpha: float = ALPHA
    since: float = 0.0

    def __post_init__(self) -> None:
        for name, value, fits, wanted in (
            ("shadow", self.shadow, 0 <= self.shadow <= 1, "a share from 0 to 1"),
            ("canary_every", self.every, 0 < self.every < inf, "minutes above 0"),
            ("shadow_max_kl", self.max_kl, self.max_kl is None or 0 < self.max_kl < inf, "nats per token above 0"),
            ("alpha", self.alpha, 0 < self.alpha < 1, "a chance between 0 and 1"),
        ):
            if not fits:
                raise InputError(f"{name} {value!r} must be {wanted}", code="out-of-range", field=name)
        names = [one.name for one in self.canaries]
        if len(set(names)) < len(names):
            raise InputError(
                f"two canaries are called {max(names, key=names.count)!r}; rename one of their folders",
                code="repeated-name",
                field="canary",
            )


@dataclass(frozen=True)
class Answered:
    """A finished answer under a steering.

    Args:
        request: id of the HTTP request.
        unit: whose it is; None if nobody says.
        setup: the steering that was applied, and by which release.
        prompt, answer: what was written, `answer` in tokens.
        gates, edit_size: what the edits did.
    """

    request: str
    unit: str | None
    setup: Setup
    prompt: tuple[int, ...] | tuple[Message, ...]
    answer: tuple[int, ...]
    gates: Mapping[str, float]
    edit_size: float


class Monitor:
    """Watches one server. Belongs to its event loop from `start` to `stop`.

    Args:
        engine: scores.
        registry: the steerings.
        watching: what is watched.
        log: takes lines about looks and alarms.
        operations: releases that are followed; None without a store.
        on_alarm: is told every alarm, in a thread, one after the other; what it raises is logged.
    """

    def __init__(
        self, engine: Engine, registry: Registry, watching: Watching, log: Any,
        operations: "Operations | None" = None, on_alarm: Sequence[OnAlarm] = (),
    ) -> None:  # fmt: skip
        self.observations = Observations(watching.alpha, watching.max_kl)
        self.on_alarm: list[OnAlarm] = list(on_alarm)
        self._engine, self._registry, self._operations = engine, registry, operations
        self._watching, self._log = watching, log
        self._scores = None if operations is None else SteeredAnswers(operations.store)
        self._waiting: asyncio.Queue[Answered] = asyncio.Queue(QUEUE)
        self._alarms: asyncio.Queue[Alarm] = asyncio.Queue()
        self._ids = map(str, count())
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to work.

        Raises:
            InputError: the engine scores no answers, and some are to be scored.
            TrimtabError: it does not answer.
        """
        scoring = self._watching.shadow or self._watching.canaries
        if scoring and not (await self._engine.capabilities()).scores:
            raise InputError(
                "the engine of this server scores no answers; leave out shadow and canary",
                code="unsupported",
                field="shadow" if self._watching.shadow else "canary",
            )
        await self._read_back()
        work: list[Callable[[], Any]] = [self._tell, self._shadow, self._settle]
        work += [partial(self._canary, checked) for checked in self._watching.canaries]
        self._tasks = [asyncio.create_task(self._on_and_on(act)) for act in work]

    async def stop(self) -> None:
        """End; what waits is not scored any more, what came is tested, and alarms that wait are told."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._raised(self.observations.settle())
        while not self._alarms.empty():
            await self._told(self._alarms.get_nowait())

    def answered(self, one: Answered) -> None:
        """An answer has come to its end; waits for nothing."""
        self.observations.add_answer(one.setup, self._hashed(one.unit), one.gates, one.edit_size)
        if not shadowed(one.request, self._watching.shadow):
            return
        if not one.answer or len(one.answer) > _LONGEST:
            self.observations.drop("too long" if one.answer else "empty")
            return
        try:
            self._waiting.put_nowait(one)
        except asyncio.QueueFull:
            self.observations.drop("queue full")

    async def look(self, checked: Checked) -> list[Looked]:
        """Score a canary's rows under everything live that it is about.

        Returns:
            One look for each steering.
        """
        looks = []
        for setup in to_look_at(checked, self._registry, self._operations):
            try:
                scores = await self._scored(checked, setup)
                level = self.observations.level(checked.name, setup)
                looked = Looked(checked.name, setup, await asyncio.to_thread(compared, checked, scores, level))
            except TrimtabError as error:
                looked = Looked(checked.name, setup, None, str(error))
            self._log_look(looked)
            self._raised(self.observations.add_canary(looked))
            looks.append(looked)
        self.observations.forget(checked.name, {looked.setup.key for looked in looks})
        return looks

    async def _read_back(self) -> None:
        """Go on where the server ended; without a store, or while it does not answer, figures begin anew."""
        if self._operations is None:
            return
        try:
            answers = await asyncio.to_thread(answers_before, self._operations, self._registry, self._watching.since)
            told = await asyncio.to_thread(told_before, self._operations)
        except TrimtabError as error:
            self._log.error("figures_begin_anew", reason=str(error))
            return
        self.observations.read_back(answers, told)
        if answers:
            self._log.info("figures_read_back", answers=len(answers))

    def _hashed(self, unit: str | None) -> str | None:
        """A unit's id as the store has it."""
        return unit if unit is None or self._operations is None else self._operations.exposures.hashed(unit)

    async def _scored(self, checked: Checked, setup: Setup) -> list[AnswerScore]:
        texts = checked.texts
        scores: list[AnswerScore] = []
        for i in range(0, len(texts), _TEXTS):
            request = ScoreRequest(
                f"canary-{next(self._ids)}", texts[i : i + _TEXTS], setup.steering, checked.chat_template,
                checked.choices,
            )  # fmt: skip
            scores += await self._engine.score(request)
        return scores

    def _log_look(self, looked: Looked) -> None:
        run = looked.run
        told = {"check": looked.check, **looked.setup.record}
        if run is None:
            self._log.error("canary_failed", **told, reason=looked.fault)
            return
        say = self._log.error if run.verdict == "worse than checked" else self._log.info
        say("canary", **told, verdict=run.verdict, reason=run.reason)

    async def _canary(self, checked: Checked) -> None:
        """Look, and wait until the next look is due, or something is live that was not looked at."""
        looked = {one.setup.identity for one in await self.look(checked)}
        clock = asyncio.get_running_loop().time
        due = clock() + 60 * self._watching.every
        while (left := due - clock()) > 0:
            await asyncio.sleep(min(_GLANCE, left))
            if {one.identity for one in to_look_at(checked, self._registry, self._operations)} - looked:
                return

    async def _shadow(self) -> None:
        one = await self._waiting.get()
        id, given = f"shadow-{next(self._ids)}", GivenAnswer(one.prompt, one.answer)
        request = ScoreRequest(id, (given,), one.setup.steering, random=random_seed(one.request))
        try:
            (score,) = await self._engine.score(request)
        except TrimtabError as error:
            self.observations.drop("failed")
            self._log.error("shadow_failed", reason=str(error))
            return
        self._raised(self.observations.add_shadow(one.setup, self._hashed(one.unit), score))
        if self._scores is not None:
            try:
                await asyncio.to_thread(self._scores.scored, one.request, score)
            except TrimtabError as error:
                self._log.error("score_not_kept", reason=str(error))

    async def _settle(self) -> None:
        await asyncio.sleep(_GLANCE)
        self._raised(self.observations.settle())

    async def _tell(self) -> None:
        await self._told(await self._alarms.get())

    def _raised(self, alarms: Sequence[Alarm]) -> None:
        for alarm in alarms:
            self._log.error("alarm", **alarm.record)
            self._alarms.put_nowait(alarm)

    async def _told(self, alarm: Alarm) -> None:
        for listener in self.on_alarm:
            try:
                await asyncio.to_thread(listener, alarm.kind, alarm.reason, alarm.figures)
            except Exception as error:  # of any kind: others are told all the same
                self._log.error("alarm_not_told", kind=alarm.kind, error=f"{type(error).__name__}: {error}")

    async def _on_and_on(self, act: Callable[[], Any]) -> None:
        """Again and again until the end, whatever happens."""
        while True:
            try:
                await act()
            except Exception as error:
                self._log.error("unexpected", error=f"{type(error).__name__}: {error}")
                await asyncio.sleep(1.0)
