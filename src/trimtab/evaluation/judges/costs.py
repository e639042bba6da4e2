"""What questions to a judge cost: an estimate first, and a budget that is kept while asking.

Tokens are estimated as one for every four bytes of UTF-8, and four for every turn. No tokenizer in use makes more
tokens than bytes, so for a budget a request counts with its bytes until the server says how many tokens it was.
"""

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from trimtab.clients.chat import Turn
from trimtab.clients.replies import Usage
from trimtab.errors import InputError

BYTES_PER_TOKEN: Final = 4
TURN_TOKENS: Final = 4
ANSWER_TOKENS: Final = 120  # of reasons in a few sentences and a verdict
_MOST_TURN_TOKENS: Final = 64  # of a server's template around a turn
_MILLION: Final = 1_000_000
_MOST_MONEY: Final = 1e12  # of any currency; more is a slip, and its sums are no numbers


@dataclass(frozen=True)
class Prices:
    """What a server asks for its tokens, in any money.

    Args:
        prompt: for a million tokens read.
        answer: for a million tokens written.

    Raises:
        InputError: negative, above 1e12 or no number.

    Example:
        >>> from trimtab.evaluation import Prices
        >>> Prices(prompt=0.5, answer=2.0).of(1_000_000, 100_000)
        0.7
    """

    prompt: float
    answer: float

    def __post_init__(self) -> None:
        for name in ("prompt", "answer"):
            _check_amount(getattr(self, name), f"price of {name} tokens", "prices", least=0.0)

    def of(self, prompt: int, answer: int) -> float:
        """The money for so many tokens read and written."""
        return (self.prompt * prompt + self.answer * answer) / _MILLION


@dataclass(frozen=True)
class Budget:
    """What asking may cost at most, earlier runs on the same file included; None: no limit.

    Args:
        requests: sent, repeated ones included.
        tokens: read and written.
        cost: money; needs `Prices`.

    Raises:
        InputError: an amount that is not above 0.

    Example:
        >>> from trimtab.evaluation import Budget
        >>> Budget(requests=500, cost=2.5).tokens is None
        True
    """

    requests: int | None = None
    tokens: int | None = None
    cost: float | None = None

    def __post_init__(self) -> None:
        for name in ("requests", "tokens", "cost"):
            if (amount := getattr(self, name)) is not None:
                _check_amount(amount, f"a budget of {name}", "budget", least=math.ulp(0.0))


@dataclass(frozen=True)
class Spent:
    """What has been used.

    Args:
        requests: sent.
        prompt: tokens read, as the server counts.
        answer: tokens written.
    """

    requests: int = 0
    prompt: int = 0
    answer: int = 0

    def plus(self, other: "Spent") -> "Spent":
        """Both together."""
        return Spent(self.requests + other.requests, self.prompt + other.prompt, self.answer + other.answer)


@dataclass(frozen=True)
class CostEstimate:
    """What a run will take, before it begins.

    Args:
        questions: that the judgements need.
        kept: of these, answers that are on disk already.
        requests: to be sent where every answer can be used.
        most_requests: where each question needs all its tries (repetitions after faults of the server come on top).
        prompt_tokens, answer_tokens: of `requests`, one token for every four bytes of UTF-8 and 120 an answer.
        most_tokens: read and written by `most_requests`, every answer as long as it may be.
        cost, most_cost: money for these; None without prices.

    Example:
        >>> from trimtab.clients.chat import Endpoint
        >>> from trimtab.evaluation import AskOptions, Pair, PairJudge
        >>> judge = PairJudge(AskOptions(Endpoint("http://localhost:8000/v1", "my-model")))
        >>> estimate = judge.estimate([Pair("1", "Name a colour.", "Blue.", "I do not know.")])
        >>> estimate.requests, estimate.most_requests  # in both orders; up to three tries each
        (2, 6)
    """

    questions: int
    kept: int
    requests: int
    most_requests: int
    prompt_tokens: int
    answer_tokens: int
    most_tokens: int
    cost: float | None
    most_cost: float | None


def tokens_of(turns: Sequence[Turn]) -> int:
    """Tokens of a conversation, estimated."""
    return sum(math.ceil(len(turn["content"].encode()) / BYTES_PER_TOKEN) + TURN_TOKENS for turn in turns)


def most_tokens_of(turns: Sequence[Turn]) -> int:
    """Tokens that a conversation has at most."""
    return sum(len(turn["content"].encode()) + _MOST_TURN_TOKENS for turn in turns)


class BudgetReached(Exception):  # noqa: N818 - no error: it ends the asking as it was told to
    """The next request might exceed the budget."""


class Purse:
    """What is spent and what is reserved for requests under way, against the budget; safe between threads.

    Args:
        budget: not to be exceeded.
        prices: for its money.
        spent: by earlier runs.

    Raises:
        InputError: a budget of money without prices.
    """

    def __init__(self, budget: Budget, prices: Prices | None, spent: Spent) -> None:
        if budget.cost is not None and prices is None:
            raise InputError(
                "a budget of money needs the prices of a million tokens", code="missing-value", field="prices"
            )
        self._budget, self._prices = budget, prices
        self.spent = spent
        self._reserved = Spent()
        self._change = threading.Condition()

    def reserve(self, most: Spent) -> None:
        """Set aside what a request takes at most, when there is room for it.

        Raises:
            BudgetReached: nothing is under way, and with this request the budget might be exceeded.
        """
        with self._change:
            while self._beyond(most):
                if not self._reserved.requests:
                    raise BudgetReached
                self._change.wait()  # what is under way mostly takes less than was set aside for it
            self._reserved = self._reserved.plus(most)

    def _beyond(self, most: Spent) -> bool:
        total = self.spent.plus(self._reserved).plus(most)
        money = self._prices.of(total.prompt, total.answer) if self._prices else 0.0
        amounts = (total.requests, total.prompt + total.answer, money)
        limits = (self._budget.requests, self._budget.tokens, self._budget.cost)
        return any(limit is not None and amount > limit for limit, amount in zip(limits, amounts, strict=True))

    def pay(self, reserved: Spent, spent: Spent) -> None:
        """A request is done: what it took stands in place of what was reserved."""
        with self._change:
            back = Spent(-reserved.requests, -reserved.prompt, -reserved.answer)
            self._reserved = self._reserved.plus(back)
            self.spent = self.spent.plus(spent)
            self._change.notify_all()


def spent_by(status: int | None, usage: Usage | None, most: Spent) -> Spent:
    """What a request took: nothing but itself where the server refused or failed; the most where nobody can know."""
    if status is not None and status != 200:
        return Spent(requests=1)
    return most if usage is None else Spent(1, usage.prompt, usage.answer)


def _check_amount(amount: float, what: str, field: str, least: float) -> None:
    if isinstance(amount, bool) or not least <= amount <= _MOST_MONEY:
        wanted = f"{'above 0' if least else 'at least 0'}, and {_MOST_MONEY:.0e} at most"
        raise InputError(f"{what}: {amount}; give a number {wanted}", code="out-of-range", field=field)
