"""What steering does to the text that the model writes, by a held-out classifier, by a judge, and by fluency."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, get_args

import numpy as np

from trimtab.clients.chat import EndpointError
from trimtab.errors import InputError
from trimtab.evaluation import Classifier, Fluency, HeldOut, Judge, Judgement, Shift, fluency
from trimtab.experiment.experiment import Experiment
from trimtab.experiment.instrument import SIDES, Floats
from trimtab.experiment.steps import Step, identity
from trimtab.measurements.continuations import CONTINUATION_TOKENS, Continuation, ContinuationPair, unwritten
from trimtab.models import Encoded
from trimtab.models.scoring import score
from trimtab.phrases import Phrase, untranslated
from trimtab.results.consequences import Generated
from trimtab.results.figures import Estimate, estimate
from trimtab.statistics import Interval
from trimtab.storage.steps import Arrays

LIKELIHOOD_ONLY = Generated.without(Phrase("no text was asked for (--generate N)"))

Which = Literal["base", "steered"]
Write = Callable[[int, int], Sequence[ContinuationPair]]


# Of each of two looks, so that both together err in 5 % (Pocock 1977).
TWO_LOOKS_LEVEL = 0.9706


@dataclass(frozen=True, eq=False)
class Scored:
    """What the scores of generated text come to, and by whom.

    Args:
        figures: for the report.
        texts: what was written.
        classifier: that scored; None where there was none.
    """

    figures: Generated
    texts: tuple[ContinuationPair, ...] = ()
    classifier: HeldOut | None = None


def looks_at(on: Experiment, written: Sequence[int]) -> tuple[int, ...]:
    """After how many texts they are looked at, of those that there are; none where the answers are labels."""
    if on.behavior.answer_kind == "choice":
        return ()
    return tuple(dict.fromkeys(min(n, len(on.splits.eval)) for n in written))


def generated(on: Experiment, write: Write, looks: Sequence[int], judge: Judge | None) -> Scored:
    """Continue evaluation prompts, plain and steered, and score what was written.

    The classifier is fitted to the training examples' answers; the evaluation answers show whether it can judge. After
    a look that decides, or where it cannot judge, no more is written.

    Args:
        on: the behavior's experiment, at the strength in question.
        write: what is written after evaluation prompts, those from a first to before another.
        looks: numbers of texts, increasing, of `looks_at`.
        judge: a chat model to ask, or None.
    """
    if not looks:
        return Scored(
            Generated.without(
                Phrase("the answers are labels: text written after a question does not show the behavior")
            )
        )
    texts = [*write(0, looks[0])]
    flow = _flow(on, texts)
    level = 0.95 if len(looks) == 1 else TWO_LOOKS_LEVEL
    learnt: HeldOut | None = None
    try:
        learnt = held_out_classifier(on)
    except InputError as error:
        none = Estimate(reason=Phrase("no classifier: {error}", error=error.message))
        scores = Generated(n=len(texts), auroc=none, shift=none, fell=none)
    else:
        shift = _shift(on, learnt, texts, level)
        for end in looks[1:]:
            if shift.difference is None or not shift.difference.low <= 0 <= shift.difference.high:
                break
            texts += write(len(texts), end)
            shift = _shift(on, learnt, texts, level)
        quality = learnt.quality
        scores = Generated(
            n=len(texts),
            level=level,
            auroc=_shown(quality.auroc, quality.n_positive, quality.reason),
            shift=_shown(shift.difference, shift.n, shift.reason),
            fell=_shown(shift.fell, shift.n, shift.reason),
        )
    scores = scores.model_copy(
        update={
            "repeated": _shown(flow.repeated_3.difference, flow.repeated_3.n, flow.repeated_3.reason),
            "perplexity_ratio": _shown(flow.perplexity_ratio, flow.log_prob.n, flow.log_prob.reason),
        }
    )
    if judge is not None:
        scores = scores.model_copy(update=_judged(on, texts, on.splits.eval.clusters[: len(texts)], judge))
    return Scored(scores, tuple(texts), learnt)


def held_out_classifier(on: Experiment) -> HeldOut:
    """A classifier of the training answers, with how well it tells the evaluation answers apart."""
    train, evaluation = (
        [[getattr(e, side) for e in part.examples] for side in SIDES] for part in (on.splits.train, on.splits.eval)
    )
    classifier = Classifier.fit(train[0], train[1], seed=on.seed, clusters=on.splits.train.clusters)
    quality = classifier.quality(evaluation[0], evaluation[1], on.splits.eval.clusters)
    return HeldOut(on.behavior.name, on.behavior.digest, classifier, quality)


def _shift(on: Experiment, learnt: HeldOut, texts: Sequence[ContinuationPair], level: float) -> Shift:
    base, steered = [t.base.text for t in texts], [t.steered.text for t in texts]
    clusters = on.splits.eval.clusters[: len(texts)]
    return learnt.classifier.compare(base, steered, clusters, quality=learnt.quality, seed=on.seed, level=level)


def _flow(on: Experiment, texts: Sequence[ContinuationPair]) -> Fluency:
    return fluency(
        [t.base.text for t in texts], [t.steered.text for t in texts], on.splits.eval.clusters[: len(texts)],
        log_prob_base=_likely(on, texts, "base"), log_prob_steered=_likely(on, texts, "steered"), seed=on.seed,
    )  # fmt: skip


def _shown(i: Interval | None, n: int, reason: Phrase | None) -> Estimate:
    return Estimate(reason=reason or Phrase("not measured")) if i is None else estimate(i, n)


@dataclass(frozen=True)
class WrittenLikelihood(Step):
    """`[n]` nats per token of what was written, token by token, under the unsteered model; NaN for empty texts."""

    texts: tuple[ContinuationPair, ...]
    which: Which
    title = "generated text"

    def rows(self) -> dict[int, Encoded]:
        """Tokens of the texts that are not empty, by their place."""
        written: list[Continuation] = [getattr(t, self.which) for t in self.texts]
        places = [i for i, continuation in enumerate(written) if continuation.ids]
        return {i: Encoded(self.texts[i].ids + written[i].ids, len(self.texts[i].ids)) for i in places}

    def cost(self, on: Experiment) -> float:
        """As if every text had all the tokens that it may have, which is known before it is written."""
        return sum(len(text.ids) + CONTINUATION_TOKENS for text in self.texts)

    def compute(self, on: Experiment) -> Arrays:
        values, rows = np.full(len(self.texts), np.nan), self.rows()
        if rows:
            values[list(rows)] = score(on.model, list(rows.values())).mean.double().cpu().numpy()
        return {"mean": values}


def scoring_steps(on: Experiment, looks: Sequence[int]) -> list[WrittenLikelihood]:
    """Of `generated`, before anything is written."""
    texts = unwritten(on, looks[0]) if looks else ()
    return [WrittenLikelihood(texts, which) for which in get_args(Which)] if texts else []


def _likely(on: Experiment, texts: Sequence[ContinuationPair], which: Which) -> Floats:
    return on.run(WrittenLikelihood(tuple(texts), which))["mean"]


@dataclass(frozen=True)
class JudgeAnswers(Step):
    """A judge's comparison of continuations.

    Args:
        judge: the chat model.
        texts: what it compares.
        clusters: cluster of each.
    """

    judge: Judge
    texts: tuple[ContinuationPair, ...]
    clusters: tuple[str, ...]
    title = "judge"

    @property
    def key(self) -> str:
        """The judge, its instructions, and the texts it compares; the connection does not matter."""
        judge, behavior = self.judge, self.judge.behavior
        about = [behavior.name, behavior.description, *map(behavior.instruction, SIDES)]
        limits = [judge.tries, judge.max_tokens]
        return json.dumps(["judge", judge.endpoint.identity, about, limits, identity(self.texts), self.clusters])

    def cost(self, on: Experiment) -> float:
        return 0.0

    def compute(self, on: Experiment) -> Arrays:
        prompts = [t.prompt for t in self.texts]
        base, steered = [t.base.text for t in self.texts], [t.steered.text for t in self.texts]
        try:
            judgement = self.judge.compare(prompts, base, steered, self.clusters, seed=on.seed)
        except EndpointError as error:
            raise InputError(str(error)) from error
        return {"json": np.frombuffer(json.dumps(asdict(judgement)).encode(), dtype=np.uint8)}


def _judged(
    on: Experiment, texts: Sequence[ContinuationPair], clusters: Sequence[str], judge: Judge
) -> dict[str, object]:
    """The judge's figures; its answers are kept like every other step."""
    step = JudgeAnswers(judge, tuple(texts), tuple(clusters))
    judgement = Judgement(**json.loads(on.run(step)["json"].tobytes().decode()))
    if judgement.n_failed:  # asked again in the next run, when the server may answer
        on.forget(step)
    intervals = {name: getattr(judgement, name) for name in ("win_rate", "inconsistent")}
    why = None if judgement.reason is None else untranslated(judgement.reason)
    return {
        "judge": judgement.judge,
        **{name: _shown(Interval(**i) if i else None, judgement.n, why) for name, i in intervals.items()},
    }
