"""Check a behavior: from contrast examples to a verdict on steering it, in one report."""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Literal

import numpy as np
import torch
import transformers

from trimtab import __version__
from trimtab.behaviors import Behavior, PromptType, Splits, deduplicate, not_measured, split
from trimtab.errors import InputError
from trimtab.models import Model, Site
from trimtab.models.plan import SCOPES, Scope
from trimtab.reliability import projection
from trimtab.reliability.verdict import Thresholds
from trimtab.reports.record import BlockRow, Continuation, Estimate, Projections, Report
from trimtab.workflows.assemble import Found, assemble
from trimtab.workflows.ledger import Ledger
from trimtab.workflows.measure import Instrument
from trimtab.workflows.progress import Progress, Silent
from trimtab.workflows.stages import MAP_ROWS, NOISE_ROWS, Stages, refuse_unknown
from trimtab.workflows.summary import estimate

MIN_EFFECT: Mapping[str, float] = {"text": 0.05, "choice": 0.1}  # nats per token, logits


def check(
    model: Model,
    behavior: Behavior,
    *,
    site: Site | int | None = None,
    prompt_types: Sequence[str] = ("all",),
    strength: float = 1.0,
    scope: Scope = "all",
    train: int | None = None,
    evaluation: int | None = None,
    seed: int = 0,
    chat_template: bool = False,
    read: Literal["last", "mean"] | None = None,
    min_effect: float | None = None,
    max_anti_steerable: float = 0.25,
    view: str | None = None,
    folder: str | Path | None = None,
    progress: Progress | None = None,
    command: str = "",
) -> Report:
    """Will steering this behavior hold? Mean-difference vectors of the seven prompt types, judged on unseen examples.

    Site and prompt type are chosen on the dev split (the largest lower bound of the mean effect), unless given;
    the evaluation split decides once, for the chosen ones. Method: Braun et al. 2505.22637; intervals and the
    decision are described in docs/verdict.md.

    Args:
        model: see `trimtab.load`.
        behavior: see `Behavior.load`.
        site: where to steer; None chooses a block's residual on dev.
        prompt_types: names of the types to measure, or `all`; a single one is also the chosen one.
        strength: λ, above 0.
        scope: which tokens are steered.
        train: training examples; by default as many as the set affords.
        evaluation: evaluation examples, likewise.
        seed: of splits, folds and resampling.
        chat_template: put prompts through the tokenizer's chat template.
        read: for prefilled types the `last` token of the answer (default for choices) or the `mean` over its
            tokens (default for free text).
        min_effect: bound on the mean effect; 0.05 nats per token or 0.1 logits by default.
        max_anti_steerable: bound on the share of examples pushed the wrong way.
        view: recorded in the report.
        folder: keeps finished steps there, so that an interrupted check resumes.
        progress: is told how far the work is.
        command: recorded in the report.

    Returns:
        The report; `report.save(folder)` writes it.

    Raises:
        InputError: too few examples, a site out of range, a text that is too long, non-finite activations.
    """
    start = perf_counter()
    if not (strength > 0 and np.isfinite(strength)):
        raise InputError(f"strength {strength} must be above 0; to steer away from a behavior, swap its two sides")
    if scope not in SCOPES:
        raise InputError(f"unknown scope {scope!r}; one of {', '.join(SCOPES)}")
    if not 0 < max_anti_steerable < 1:
        raise InputError(f"max_anti_steerable {max_anti_steerable} must lie between 0 and 1")
    kind = behavior.answer_kind
    thresholds = Thresholds(MIN_EFFECT[kind] if min_effect is None else min_effect, max_anti_steerable)
    instrument = Instrument(model, behavior, chat_template, read or ("last" if kind == "choice" else "mean"))
    instrument, splits, n_dropped, notes = prepare(instrument, train, evaluation, seed)
    types = refuse_unknown(prompt_types)
    given = Site(site) if isinstance(site, int) else site
    if given is not None:
        model.anatomy.module(given)
    key = [instrument.behavior.digest, model.digest, str(model.dtype), str(model.device), torch.get_num_threads()]
    key += [__version__, torch.__version__, transformers.__version__, platform.machine(), model.batch_tokens]
    key += [strength, scope, train, evaluation, seed, chat_template, instrument.read]
    ledger = Ledger(Path(folder) if folder is not None else None, json.dumps(key))
    stages = Stages(instrument, splits, types, strength, scope, seed, ledger, progress or Silent())
    found = measure(stages, given, types)
    report = assemble(stages, found, thresholds, n_dropped, notes, given is not None)
    report = report.model_copy(update={"view": view, "command": command, "seconds": perf_counter() - start})
    if folder is not None:
        report.save(folder)
    ledger.close()
    return report


def prepare(
    instrument: Instrument, train: int | None, evaluation: int | None, seed: int
) -> tuple[Instrument, Splits, int, list[str]]:
    """Without duplicates and rows that cannot be scored, in disjoint parts.

    Returns:
        the instrument on the rows that are left, the parts, the number of rows dropped, and notes.
    """
    behavior, repeated = deduplicate(instrument.behavior)
    notes = [*instrument.behavior.notes]
    if repeated:
        notes.append(f"{repeated} duplicate rows or texts left out")
    keep = replace(instrument, behavior=behavior).scorable(behavior.examples)
    left = [e for e, ok in zip(behavior.examples, keep, strict=True) if ok]
    short = len(keep) - len(left)
    if not left:
        raise InputError(f"behavior {behavior.name!r}: no row leaves answer tokens to score; the texts are too short")
    if short:
        notes.append(f"{short} rows left out: too short to score, or no token tells their two answers apart")
    behavior = replace(behavior, examples=left)
    splits = split(behavior, train=train, evaluation=evaluation, seed=seed)
    return replace(instrument, behavior=behavior), splits, repeated + short, [*notes, *splits.notes]


def measure(stages: Stages, given: Site | None, types: Sequence[PromptType]) -> Found:
    """Run all stages in order; choices see the dev split only."""
    measured = stages.measured_types
    if not measured:
        raise InputError(f"nothing to measure: {not_measured(stages.behavior, types[0])}")
    stages.announce()
    blocks = map_blocks(stages)
    site = given or Site(max(blocks, key=lambda b: b.effect.low or 0.0).block)
    geometry = {t: stages.training(t, [site])[site] for t in measured}
    vectors = {t: stages.steering(g, site) for t, g in geometry.items()}
    by_name = {f"{t} {site}": v for t, v in vectors.items()}
    chosen = measured[0]
    if len(measured) > 1:
        sure = [effect.mean().low for effect in stages.effects_on_dev(by_name).values()]
        chosen = measured[int(np.argmax(sure))]
    steered = dict(zip(measured, stages.steered(by_name).values(), strict=True))
    label = f"{chosen} {site}"
    noise = stages.noise(vectors[chosen], label)
    plus, minus = stages.projected(chosen, site)
    centre = geometry[chosen].positive.mean(axis=0), geometry[chosen].negative.mean(axis=0)
    return Found(
        site,
        chosen,
        geometry,
        steered,
        blocks,
        stages.curve(vectors[chosen], steered[chosen], label),
        Estimate(value=noise.value, low=noise.low, high=noise.high, n=min(NOISE_ROWS, len(stages.splits.eval))),
        Projections(
            prompt_type=chosen.value,
            positive=tuple(projection(plus, *centre).tolist()),
            negative=tuple(projection(minus, *centre).tolist()),
        ),
        tuple(Continuation(prompt=p, base=b, steered=s) for p, b, s in stages.continuations(vectors[chosen], label)),
    )


def map_blocks(stages: Stages) -> tuple[BlockRow, ...]:
    """Agreement on train and effect on dev of every block's prefilled vector."""
    rows = min(MAP_ROWS, len(stages.splits.dev))
    sites = [Site(k) for k in stages.map_blocks]
    geometry = stages.training(PromptType.PREFILLED, sites)
    effects = stages.effects_on_dev({f"block {s.block}": stages.steering(g, s) for s, g in geometry.items()}, rows)
    return tuple(
        BlockRow(
            block=site.block,
            agreement=estimate(g.agreement(stages.seed), len(set(g.units))),
            effect=estimate(change.mean(), change.n_units),
            standardised=change.standardised,
        )
        for (site, g), change in zip(geometry.items(), effects.values(), strict=True)
    )
