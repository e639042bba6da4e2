"""The search itself: trial after trial, each kept when it is finished."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trimtab.experiment.progress import Progress
from trimtab.results.figures import Told
from trimtab.steering import Steering
from trimtab.storage.steps import Ledger
from trimtab.workflows.tune.candidates import Candidate, with_gates
from trimtab.workflows.tune.front import means
from trimtab.workflows.tune.samplers import Finished, propose
from trimtab.workflows.tune.space import Point, Space
from trimtab.workflows.tune.yardstick import Outcome, Yardstick


class Tried(Told):
    """A trial: what was chosen, and what it came to."""

    point: Point
    outcome: Outcome

    @property
    def told(self) -> Finished:
        """What samplers learn of it."""
        gains = self.outcome.gains
        return Finished(self.point, means(gains) if gains else None, self.outcome.excess)


@dataclass(frozen=True)
class Search:
    """A search whose trials depend on nothing but what is given here.

    Args:
        space: of choices.
        candidates: the steerings.
        sampler: see `trimtab.workflows.tune.samplers`.
        seed: of the proposals.
        yardstick: what trials are measured by.
        ledger: keeps them; its key names all of the above.
    """

    space: Space
    candidates: Sequence[Candidate]
    sampler: str
    seed: int
    yardstick: Yardstick
    ledger: Ledger

    @property
    def attributes(self) -> list[str]:
        """Names, in the order of a point's factors."""
        return list(self.candidates[0].steering.attributes)

    def kept(self, n: int) -> list[Tried]:
        """The first trials of n, as far as they were finished before."""
        found: list[Tried] = []
        for k in range(n):
            text = self.ledger.text(f"trial {k}")
            if text is None:
                break
            found.append(Tried.model_validate_json(text))
        return found

    def run(self, n: int, progress: Progress) -> list[Tried]:
        """Trials up to n."""
        done = self.kept(n)
        if len(done) < n:
            progress.begin(n - len(done), (n - len(done)) * self._pace(done), "trials")
        for k in range(len(done), n):
            tried = self.next(done)
            self.ledger.keep(f"trial {k}", tried.model_dump_json())
            done.append(tried)
            progress.advance(f"trial {k + 1}", 1)
        return done

    def next(self, done: Sequence[Tried]) -> Tried:
        """The trial that follows."""
        point = propose(self.sampler, self.space, self.seed, [tried.told for tried in done])
        return Tried(point=point, outcome=self.yardstick.measure(self.steering_at(point), self.strengths_at(point)))

    def steering_at(self, point: Point) -> Steering:
        """The candidate with its gates."""
        return with_gates(
            self.candidates[point.candidate].steering, dict(zip(self.attributes, point.gates, strict=True))
        )

    def strengths_at(self, point: Point) -> dict[str, float]:
        """By attribute: the candidate's defaults times the point's factors."""
        defaults = self.candidates[point.candidate].steering.attributes
        return {name: defaults[name] * x for name, x in zip(self.attributes, point.factors, strict=True)}

    def _pace(self, done: Sequence[Tried]) -> float:
        """Seconds a trial, from those that were done, or else from one more measuring of the first."""
        seconds = list(self._seconds(done))
        return sum(seconds) / len(seconds)

    def _seconds(self, done: Sequence[Tried]) -> Iterator[float]:
        for tried in done:
            yield tried.outcome.seconds
        if not done:
            start = self.space.start
            yield self.yardstick.measure(self.steering_at(start), self.strengths_at(start)).seconds
