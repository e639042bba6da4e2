"""A chat model as judge of answers: which of two is better, or five scores of one (methods: Zheng et al. 2023,
2306.05685; HelpSteer, 2311.09528).

Which answer is shown first moves judges. So every pair is put in both orders, and where the orders have different
verdicts it is a tie, counted as such.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trimtab.evaluation.judges.asking import Asker, AskOptions, Missing, in_parallel, seed_of
from trimtab.evaluation.judges.costs import CostEstimate
from trimtab.evaluation.judges.questions import Choice, Question, about_answer, about_pair
from trimtab.evaluation.judges.records import Answer, Pair, PairVerdict, RatedAnswer, distinct
from trimtab.evaluation.judges.rubrics import HELPSTEER, Rubric

_PLACES = {"A": 1, "B": -1, "tie": 0}


@dataclass(frozen=True)
class PairJudge:
    """Compares answers to the same prompts by asking a chat model.

    Args:
        options: the model, and how it is asked.
        rubric: what makes an answer better.

    Example:
        >>> from trimtab.clients.chat import Endpoint
        >>> from trimtab.evaluation import AskOptions, Pair, PairJudge
        >>> judge = PairJudge(AskOptions(Endpoint("http://localhost:8000/v1", "my-model")))
        >>> judge.verdicts([Pair("1", "Name a colour.", "Blue.", "Blue.")])[0].verdict  # one text twice: not asked
        0
    """

    options: AskOptions
    rubric: Rubric = HELPSTEER

    @property
    def identity(self) -> str:
        """Model and server."""
        return self.options.endpoint.identity

    def estimate(self, pairs: Sequence[Pair], *, seed: int = 0) -> CostEstimate:
        """What `verdicts` will take, less the answers that are kept; nothing is sent.

        Args:
            pairs: to be judged.
            seed: as given to `verdicts`.

        Raises:
            InputError: see `verdicts`.
        """
        asked = [pair for pair in distinct(pairs) if not _same(pair)]
        return self.options.estimate((question, at, r) for pair in asked for question, at, r in self._put(pair, seed))

    def verdicts(
        self,
        pairs: Sequence[Pair],
        *,
        seed: int = 0,
        done: Callable[[], object] = lambda: None,
        failed: Callable[[str], object] = lambda why: None,
    ) -> tuple[PairVerdict, ...]:
        """Judge pairs, in both orders.

        Args:
            pairs: with different ids.
            seed: of the sampling; sent to the server.
            done: called after each pair.
            failed: called at the end with what the last failed question met, if any has failed.

        Returns:
            A verdict for every pair in their order, missing ones named.

        Raises:
            InputError: two pairs of one id; the server refuses every request (key, model, URL); a file that cannot be
                used.
        """
        with self.options.asker() as asker:
            found = in_parallel(
                lambda pair: self._verdict(asker, pair, seed),
                distinct(pairs),
                parallel=self.options.parallel,
                done=done,
                stop=asker.pace.stop,
            )
            asker.check_answered(failed)
        return tuple(found)

    def _put(self, pair: Pair, seed: int) -> Iterator[tuple[Question[Choice], int, int]]:
        """Question, seed and repeat: each repeat in both orders."""
        for repeat in range(self.options.repeats):
            at = seed_of(seed, repeat, pair.prompt, pair.first, pair.second)
            for a, b in ((pair.first, pair.second), (pair.second, pair.first)):
                yield about_pair(self.rubric, pair.prompt, a, b, self.options.longest), at, repeat

    def _verdict(self, asker: Asker, pair: Pair, seed: int) -> PairVerdict:
        if _same(pair):
            return PairVerdict(pair.id, self.identity, (0,))
        places: list[int] = []  # 1: the answer shown first is better
        for question, at, repeat in self._put(pair, seed):
            said = asker.ask(question, at, repeat=repeat, temperature=self.options.temperature)
            if isinstance(said, Missing):
                return PairVerdict(pair.id, self.identity, missing=said.why)
            places.append(_PLACES[said])
        verdicts = np.array(places).reshape(-1, 2) * [-1, 1]  # [repeats, 2], 1: the pair's second answer is better
        agreed = verdicts[:, 0] == verdicts[:, 1]
        return PairVerdict(
            pair.id, self.identity, tuple(int(v) for v in np.where(agreed, verdicts[:, 0], 0)),
            disagreed=int((~agreed).sum()), shown_first=(1 + float(np.mean(places))) / 2,
        )  # fmt: skip


@dataclass(frozen=True)
class ScoreJudge:
    """Scores answers by asking a chat model; a `Scorer`.

    Args:
        options: the model, and how it is asked.
        rubric: its criteria.

    Example:
        >>> from trimtab.clients.chat import Endpoint
        >>> from trimtab.evaluation import AskOptions, ScoreJudge
        >>> ScoreJudge(AskOptions(Endpoint("http://localhost:8000/v1", "my-model"))).criteria
        ('helpfulness', 'correctness', 'coherence', 'complexity', 'verbosity')
    """

    options: AskOptions
    rubric: Rubric = HELPSTEER

    @property
    def identity(self) -> str:
        """Model and server."""
        return self.options.endpoint.identity

    @property
    def criteria(self) -> tuple[str, ...]:
        """Names of the scores."""
        return self.rubric.names

    def estimate(self, answers: Sequence[Answer], *, seed: int = 0) -> CostEstimate:
        """What `scores` will take, less the answers that are kept; nothing is sent."""
        return self.options.estimate((q, at, r) for answer in distinct(answers) for q, at, r in self._put(answer, seed))

    def scores(
        self,
        answers: Sequence[Answer],
        *,
        seed: int = 0,
        done: Callable[[], object] = lambda: None,
        failed: Callable[[str], object] = lambda why: None,
    ) -> tuple[RatedAnswer, ...]:
        """Score answers, each by itself.

        Args:
            answers: with different ids.
            seed: of the sampling; sent to the server.
            done: called after each answer.
            failed: see `PairJudge.verdicts`.

        Returns:
            Scores from 0 to 4 of every answer in their order, missing ones named.

        Raises:
            InputError: see `PairJudge.verdicts`.
        """
        with self.options.asker() as asker:
            found = in_parallel(
                lambda answer: self._scores(asker, answer, seed), distinct(answers), parallel=self.options.parallel,
                done=done, stop=asker.pace.stop,
            )  # fmt: skip
            asker.check_answered(failed)
        return tuple(found)

    def _put(self, answer: Answer, seed: int) -> Iterator[tuple[Question[dict[str, int]], int, int]]:
        for repeat in range(self.options.repeats):
            question = about_answer(self.rubric, answer.prompt, answer.text, self.options.longest)
            yield question, seed_of(seed, repeat, answer.prompt, answer.text), repeat

    def _scores(self, asker: Asker, answer: Answer, seed: int) -> RatedAnswer:
        given: list[dict[str, int]] = []
        for question, at, repeat in self._put(answer, seed):
            said = asker.ask(question, at, repeat=repeat, temperature=self.options.temperature)
            if isinstance(said, Missing):
                return RatedAnswer(answer.id, self.identity, missing=said.why)
            given.append(said)
        means = {name: float(np.mean([scores[name] for scores in given])) for name in self.criteria}
        return RatedAnswer(answer.id, self.identity, means)


def n_cut(items: Sequence[Any], longest: int) -> int:
    """Items of which a text is too long for the judge to be shown whole."""
    fields = ("prompt", "first", "second", "text")
    return sum(any(len(getattr(item, name, "")) > longest for name in fields) for item in items)


def _same(pair: Pair) -> bool:
    return pair.first.strip() == pair.second.strip()
