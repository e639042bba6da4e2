"""What steering does to the text that the model writes: scored by a held-out classifier, a judge, and its flow."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Literal

import numpy as np

from trimtab.clients.chat import EndpointError
from trimtab.errors import InputError
from trimtab.evaluation import Classifier, Judge, Judgement, fluency
from trimtab.experiment.instrument import SIDES, Floats
from trimtab.experiment.stages import Stages
from trimtab.experiment.summary import estimate
from trimtab.measurements.continuations import Answered, Written
from trimtab.models import Encoded
from trimtab.models.scoring import score
from trimtab.results.consequences import Generated
from trimtab.results.figures import Estimate
from trimtab.statistics import Interval
from trimtab.storage.steps import Arrays

LIKELIHOOD_ONLY = Generated.without("no text was generated to be scored (--generate N)")

Which = Literal["base", "steered"]


def generated(stages: Stages, texts: Sequence[Written], label: str, judge: Judge | None) -> Generated:
    """Score continuations of evaluation prompts.

    The classifier learns from the training examples' answers and shows on the evaluation answers whether it can judge.

    Args:
        stages: the check's.
        texts: prompts with both continuations, of the first evaluation examples in order.
        label: name of the steering in the ledger.
        judge: a chat model to ask, or None.
    """
    if stages.behavior.answer_kind == "choice":
        return Generated.without("the answers are labels: what is written behind a question shows no behavior")
    units = stages.splits.eval.units[: len(texts)]
    base, steered = [t.base.text for t in texts], [t.steered.text for t in texts]
    train, held = (
        [[getattr(e, side) for e in part.examples] for side in SIDES]
        for part in (stages.splits.train, stages.splits.eval)
    )
    flow = fluency(
        base, steered, units, log_prob_base=_likely(stages, texts, "base", label),
        log_prob_steered=_likely(stages, texts, "steered", label), seed=stages.seed,
    )  # fmt: skip
    try:
        classifier = Classifier.fit(train[0], train[1], seed=stages.seed, units=stages.splits.train.units)
        quality = classifier.quality(held[0], held[1], stages.splits.eval.units)
        shift = classifier.compare(base, steered, units, quality=quality, seed=stages.seed)
    except InputError as error:
        none = Estimate(reason=f"no classifier: {error}")
        found = Generated(n=len(texts), auroc=none, shift=none, fell=none)
    else:
        found = Generated(
            n=len(texts),
            auroc=_shown(quality.auroc, quality.n_positive, quality.reason),
            shift=_shown(shift.difference, shift.n, shift.reason),
            fell=_shown(shift.fell, shift.n, shift.reason),
        )
    found = found.model_copy(
        update={
            "repeated": _shown(flow.repeated_3.difference, flow.repeated_3.n, flow.repeated_3.reason),
            "perplexity_ratio": _shown(flow.perplexity_ratio, flow.log_prob.n, flow.log_prob.reason),
        }
    )
    return found if judge is None else found.model_copy(update=_judged(stages, texts, units, label, judge))


def _shown(i: Interval | None, n: int, reason: str | None) -> Estimate:
    return Estimate(reason=reason or "not measured") if i is None else estimate(i, n)


def _likely(stages: Stages, texts: Sequence[Written], which: Which, label: str) -> Floats:
    """`[n]` nats per token of what was written, token by token, under the unsteered model; NaN for empty texts."""
    written: list[Answered] = [getattr(t, which) for t in texts]
    kept = [i for i, answered in enumerate(written) if answered.ids]
    rows = [Encoded(texts[i].ids + written[i].ids, len(texts[i].ids)) for i in kept]

    def compute() -> Arrays:
        values = np.full(len(texts), np.nan)
        if rows:
            values[kept] = score(stages.model, rows).mean.double().cpu().numpy()
        return {"mean": values}

    name = f"likelihood of what was written {which} {label} {len(texts)}"
    return stages.step("generated text", name, compute, sum(len(row.ids) for row in rows))["mean"]


def _judged(
    stages: Stages, texts: Sequence[Written], units: Sequence[str], label: str, judge: Judge
) -> dict[str, object]:
    """The judge's figures; its answers are kept like every other step."""
    prompts = [t.prompt for t in texts]
    base, steered = [t.base.text for t in texts], [t.steered.text for t in texts]

    def compute() -> Arrays:
        try:
            judgement = judge.compare(prompts, base, steered, units, seed=stages.seed)
        except EndpointError as error:
            raise InputError(str(error)) from error
        return {"json": np.frombuffer(json.dumps(asdict(judgement)).encode(), dtype=np.uint8)}

    kept = stages.step("judge", f"judge {judge.endpoint.identity} {label} {len(texts)}", compute, 0)
    said = Judgement(**json.loads(kept["json"].tobytes().decode()))
    intervals = {name: getattr(said, name) for name in ("win_rate", "inconsistent")}
    return {
        "judge": said.judge,
        **{name: _shown(Interval(**i) if i else None, said.n, said.reason) for name, i in intervals.items()},
    }
