"""Asking a judge: each question until its answer can be read, within a budget and at a pace, and never twice."""

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from trimtab.clients.chat import Endpoint, EndpointError, Turn
from trimtab.errors import InputError, TrimtabError
from trimtab.evaluation.judges.costs import (
    ANSWER_TOKENS,
    Budget,
    BudgetReached,
    CostEstimate,
    Prices,
    Purse,
    Spent,
    most_tokens_of,
    tokens_of,
)
from trimtab.evaluation.judges.kept import KeptAnswers, key_of
from trimtab.evaluation.judges.pace import Pace, PursedMeter, Stopped
from trimtab.evaluation.judges.questions import Question

V = TypeVar("V")
R = TypeVar("R")
Why = Literal["unclear", "failed", "budget"]

_MAX_FAILURES: Final = 8  # questions in a row without an answer: the server is down
_AGAIN_TEMPERATURE: Final = 0.7  # at least, of a question whose answer could not be read


@dataclass(frozen=True)
class Missing:
    """An answer that could not be had.

    Args:
        why: `unclear`: no try gave an answer that can be read; `failed`: the server gave none; `budget`: not asked.
    """

    why: Why


@dataclass(frozen=True)
class AskOptions:
    """How a judge is asked.

    Args:
        endpoint: the chat model.
        repeats: times that every question is put; more than one needs a temperature above 0.
        tries: how often a question is put at most, until the answer can be read.
        parallel: requests under way at once.
        max_tokens: upper limit of an answer, reasoning included.
        temperature: of the first try; later ones have at least 0.7.
        longest: characters of a text that the judge is shown; longer ones are cut and counted.
        requests_per_minute: sent at most, evenly spread; None for no limit but the server's own.
        prices: of tokens, for estimates and budgets of money.
        budget: asking stops before it is exceeded.
        file: where answers are kept, so that nothing is asked twice; None for nowhere.

    Raises:
        InputError: numbers out of their range, or repeats that could not differ.

    Example:
        >>> from trimtab.clients.chat import Endpoint
        >>> from trimtab.evaluation import AskOptions
        >>> options = AskOptions(Endpoint("http://localhost:8000/v1", "my-model"), repeats=3, temperature=0.7)
        >>> options.tries
        3
    """

    endpoint: Endpoint
    repeats: int = 1
    tries: int = 3
    parallel: int = 4
    max_tokens: int = 1024
    temperature: float = 0.0
    longest: int = 16_000
    requests_per_minute: float | None = None
    prices: Prices | None = None
    budget: Budget = field(default_factory=Budget)
    file: Path | None = None

    def __post_init__(self) -> None:
        for name in ("repeats", "tries", "parallel", "max_tokens", "longest"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} {getattr(self, name)}: give at least 1", code="out-of-range", field=name)
        if not 0 <= self.temperature <= 2:
            raise InputError(f"temperature {self.temperature}: give 0 to 2", code="out-of-range", field="temperature")
        if self.repeats > 1 and self.temperature == 0:
            raise InputError(
                f"{self.repeats} repeats at temperature 0 would be the same answer again; give a temperature above 0",
                code="conflicting-arguments",
                field="temperature",
            )
        if self.requests_per_minute is not None and not 0 < self.requests_per_minute < float("inf"):
            raise InputError(
                f"{self.requests_per_minute} requests a minute; give a number above 0",
                code="out-of-range",
                field="requests_per_minute",
            )
        Purse(self.budget, self.prices, Spent())

    @contextmanager
    def asker(self) -> Iterator["Asker"]:
        """What asks, while inside; the file is locked as long."""
        with KeptAnswers(self.file) as kept:
            pace = Pace(self.requests_per_minute, self.endpoint.pause)
            purse = Purse(self.budget, self.prices, kept.spent)
            yield Asker(self.endpoint, self.tries, self.max_tokens, kept, purse, pace)

    def estimate(self, questions: Iterable[tuple[Question[Any], int, int]]) -> CostEstimate:
        """What it takes to ask questions, each with its seed and repeat, less what is kept; nothing is sent."""
        file = self.file if self.file is not None and self.file.exists() else None
        total = kept = sent = most = prompt = bound = 0
        with KeptAnswers(file) as known:
            asker = Asker(self.endpoint, self.tries, self.max_tokens, known)
            for question, seed, repeat in questions:
                total += 1
                missing = asker.tries_left(question, seed, repeat, self.temperature)
                kept += not missing
                sent += bool(missing)
                most += len(missing)
                prompt += tokens_of(missing[0]) if missing else 0
                bound += sum(most_tokens_of(turns) + self.max_tokens for turns in missing)
        answer = sent * min(ANSWER_TOKENS, self.max_tokens)
        cost = self.prices.of(prompt, answer) if self.prices else None
        most_answer = most * self.max_tokens
        most_cost = self.prices.of(bound - most_answer, most_answer) if self.prices else None
        return CostEstimate(total, kept, sent, most, prompt, answer, bound, cost, most_cost)


class Asker:
    """Puts questions to one judge, from several threads, and knows whether its server still answers.

    Args:
        endpoint: the judge.
        tries: of a question.
        max_tokens: of an answer.
        kept: answers of before.
        purse: the budget.
        pace: the limit of the rate.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        tries: int,
        max_tokens: int,
        kept: KeptAnswers | None = None,
        purse: Purse | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.endpoint, self.tries, self.max_tokens = endpoint, tries, max_tokens
        self.kept = KeptAnswers(None) if kept is None else kept
        self.purse = Purse(Budget(), None, Spent()) if purse is None else purse
        self.pace = Pace(None, endpoint.pause) if pace is None else pace
        self.answered = False  # by the server, in this run
        self.recalled = False  # whether a kept answer was used
        self.fault: TrimtabError | None = None  # the last one
        self._streak = 0  # failures in a row
        self._lock = threading.Lock()
        self._asking: dict[str, threading.Lock] = {}

    def ask(self, question: Question[V], seed: int, *, repeat: int = 0, temperature: float = 0.0) -> V | Missing:
        """What the judge says, or why that could not be had.

        Args:
            question: what is asked.
            seed: of the first try; every further one has the next.
            repeat: number of the repetition.
            temperature: of the first try.
        """
        for k in range(self.tries):
            said = self._said(question, *self._put(k, seed, temperature), repeat)
            if isinstance(said, Missing):
                return said
            if (value := question.read(said)) is not None:
                return value
        return Missing("unclear")

    def check_answered(self, failed: Callable[[str], object] = lambda why: None) -> None:
        """To be called at the end.

        Args:
            failed: called with the last fault, if there was one.

        Raises:
            InputError: the server has refused every question, and not for its content.
        """
        if isinstance(self.fault, InputError) and not self.answered and (self.fault.field or not self.recalled):
            raise self.fault
        if self.fault is not None:
            failed(str(self.fault))

    def tries_left(self, question: Question[Any], seed: int, repeat: int, temperature: float) -> list[list[Turn]]:
        """Conversations that may have to be sent yet, the next one first; none if the kept answers suffice."""
        left: list[list[Turn]] = []
        for k in range(self.tries):
            at, heat = self._put(k, seed, temperature)
            turns = question.turns(at)
            said = self.kept.get(self._key(question, turns, at, heat, repeat))
            if said is not None and question.read(said) is not None and not left:
                return []
            if said is None:
                left.append(turns)
        return left

    def _put(self, k: int, seed: int, temperature: float) -> tuple[int, float]:
        """Seed and temperature of try k."""
        return seed + k, max(temperature, _AGAIN_TEMPERATURE) if k else temperature

    def _key(self, question: Question[Any], turns: Sequence[Turn], seed: int, temperature: float, repeat: int) -> str:
        return key_of(self.endpoint.identity, turns, question.schema, [repeat, seed, temperature, self.max_tokens])

    def _said(self, question: Question[Any], seed: int, temperature: float, repeat: int) -> str | Missing:
        turns = question.turns(seed)
        key = self._key(question, turns, seed, temperature, repeat)
        with self._lock:
            alone = self._asking.setdefault(key, threading.Lock())
        with alone:
            known = self.kept.get(key)
            if known is not None:
                self.recalled = True
                return known
            if self._streak >= _MAX_FAILURES:
                return Missing("failed")
            return self._sent(key, question, turns, seed, temperature)

    def _sent(
        self, key: str, question: Question[Any], turns: list[Turn], seed: int, temperature: float
    ) -> str | Missing:
        meter = PursedMeter(self.purse, self.pace, Spent(1, most_tokens_of(turns), self.max_tokens))
        answer: str | None = None
        why: Why = "failed"
        try:
            answer = self.endpoint.complete(
                turns, seed=seed, max_tokens=self.max_tokens, temperature=temperature, schema=question.schema,
                meter=meter,
            ).text  # fmt: skip
        except BudgetReached:
            why = "budget"
        except Stopped:
            pass
        except (EndpointError, InputError) as error:
            with self._lock:
                # A server that answers others and refuses this one may object to its content, unless it names a field.
                others = self.answered or self.recalled
                self._streak += isinstance(error, EndpointError) or not others or error.field is not None
                self.fault = error
        finally:
            meter.close()
        if meter.spent.requests:
            self.kept.keep(key, answer, meter.spent)
        if answer is None:
            return Missing(why)
        with self._lock:
            self.answered, self._streak = True, 0
        return answer


def seed_of(seed: int, *about: object) -> int:
    """A seed from the run's seed and what is asked, whatever the order of the questions."""
    return int(hashlib.sha256(repr((seed, *about)).encode()).hexdigest()[:7], 16)


def in_parallel(
    work: Callable[..., R],
    *columns: Iterable[Any],
    parallel: int,
    done: Callable[[], object] = lambda: None,
    stop: Callable[[], object] = lambda: None,
) -> list[R]:
    """Results of `work` on rows, in their order; nothing more is begun once one has raised, or somebody interrupts.

    Args:
        work: called with a value of each column.
        columns: of rows.
        parallel: rows at once.
        done: called after each row.
        stop: called then, so that rows under way end soon.
    """
    results = []
    with ThreadPoolExecutor(parallel) as pool:
        try:
            for result in pool.map(work, *columns):
                results.append(result)
                done()
        except BaseException:
            stop()
            pool.shutdown(cancel_futures=True)
            raise
    return results
