"""Check a behavior: from contrast examples to a verdict on steering it, in one report."""

import json
import platform
import re
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
from trimtab.reliability import overlap, projection, simultaneous_level
from trimtab.reliability.verdict import Thresholds
from trimtab.reports.record import BlockRow, Continuation, Projections, Report
from trimtab.workflows.assemble import Found, assemble
from trimtab.workflows.ledger import Ledger
from trimtab.workflows.measure import SIDES, Instrument
from trimtab.workflows.progress import Progress, Silent
from trimtab.workflows.stages import MAP_ROWS, Stages, refuse_unknown
from trimtab.workflows.summary import attempted, estimate

MIN_EFFECT: Mapping[str, float] = {"text": 0.05, "choice": 0.1}  # nats per token, logits


def check(
    model: Model,
    behavior: Behavior,
    *,
    site: Site | int | str | None = None,
    prompt_types: Sequence[str] | str = "all",
    strength: float = 1.0,
    scope: Scope = "all",
    train: int | None = None,
    evaluation: int | None = None,
    seed: int = 0,
    chat_template: bool = False,
    read: Literal["last", "mean"] | None = None,
    min_effect: float | None = None,
    max_anti_steerable: float = 0.25,
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
        site: where to steer, such as 14 or `attention:14`; None chooses a block's residual on dev, `10-18` one
            of these blocks. The choice goes by the prefilled vectors.
        prompt_types: name or names of the types to measure, or `all`; a single one is also the chosen one.
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
        folder: keeps finished steps there, so that an interrupted check resumes.
        progress: is told how far the work is.
        command: recorded in the report.

    Returns:
        The report; `report.save(folder)` writes it.

    Raises:
        InputError: too few examples, a site out of range, a text that is too long, non-finite activations.
    """
    start = perf_counter()
    _refuse(model, behavior, strength, scope, seed, min_effect, max_anti_steerable)
    kind = behavior.answer_kind
    thresholds = Thresholds(MIN_EFFECT[kind] if min_effect is None else min_effect, max_anti_steerable)
    instrument = Instrument(model, behavior, chat_template, read or ("last" if kind == "choice" else "mean"))
    instrument, splits, n_dropped, notes = prepare(instrument, train, evaluation, seed)
    types = refuse_unknown(prompt_types)
    given, blocks = where(model, site)
    key = [instrument.behavior.digest, model.digest, str(model.dtype), str(model.device), torch.get_num_threads()]
    key += [__version__, torch.__version__, transformers.__version__, platform.machine(), model.batch_tokens]
    key += [blocks, strength, scope, train, evaluation, seed, chat_template, instrument.read]
    ledger = Ledger(Path(folder) if folder is not None else None, json.dumps(key))
    stages = Stages(instrument, splits, types, strength, scope, seed, ledger, progress or Silent(), blocks)
    found = measure(stages, given, types)
    report = assemble(stages, found, thresholds, n_dropped, notes, given is not None)
    report = report.model_copy(update={"command": command, "seconds": perf_counter() - start})
    if folder is not None:
        report.save(folder)
    ledger.close()
    return report


def _refuse(
    model: Model,
    behavior: Behavior,
    strength: float,
    scope: Scope,
    seed: int,
    min_effect: float | None,
    max_anti_steerable: float,
) -> None:
    """Options that make no sense are refused before any work."""
    if not isinstance(model, Model):
        raise InputError(f"check takes a loaded model, not {type(model).__name__}; see trimtab.load")
    if not isinstance(behavior, Behavior):
        raise InputError(
            f"check takes a Behavior, not {type(behavior).__name__}; see Behavior.load and Behavior.builtin"
        )
    if not (strength > 0 and np.isfinite(strength)):
        raise InputError(f"strength {strength} must be above 0; to steer away from a behavior, swap its two sides")
    if scope not in SCOPES:
        raise InputError(f"unknown scope {scope!r}; one of {', '.join(SCOPES)}")
    if seed < 0:
        raise InputError(f"seed {seed} must not be negative")
    if min_effect is not None and not (min_effect >= 0 and np.isfinite(min_effect)):
        raise InputError(f"min_effect {min_effect} must be 0 or more")
    if not 0 < max_anti_steerable < 1:
        raise InputError(f"max_anti_steerable {max_anti_steerable} must lie between 0 and 1")


def where(model: Model, site: Site | int | str | None) -> tuple[Site | None, tuple[int, int] | None]:
    """The given site, or the range of blocks to choose one from.

    Raises:
        InputError: no site, or one that the model does not have.
    """
    if site is None:
        return None, None
    spread = re.fullmatch(r"(\d{1,4})-(\d{1,4})", site.strip()) if isinstance(site, str) else None
    if spread is None:
        given = Site.of(site)
        model.anatomy.module(given)
        return given, None
    first, last = int(spread.group(1)), int(spread.group(2))
    if not first <= last < model.n_blocks:
        raise InputError(f"site {site}: the model has blocks 0 to {model.n_blocks - 1}")
    return None, (first, last)


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
    if behavior.instructions_derived:
        told = " / ".join(behavior.instruction(side) for side in SIDES)
        notes.append(f"instructions were derived from the name: {told}; say better ones if the name does not fit")
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
    stages.announce(choosing=given is None)
    blocks = map_blocks(stages) if given is None else ()
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
    kappa = [projection(side, *centre) for side in (plus, minus)]
    return Found(
        site,
        chosen,
        geometry,
        steered,
        stages.median_norm(site),
        blocks,
        stages.curve(vectors[chosen], steered[chosen], label),
        noise,
        Projections(
            prompt_type=chosen.value,
            positive=tuple(kappa[0].tolist()),
            negative=tuple(kappa[1].tolist()),
            overlap=overlap(kappa[0], kappa[1]),
        ),
        tuple(Continuation(prompt=p, base=b, steered=s) for p, b, s in stages.continuations(vectors[chosen], label)),
    )


def map_blocks(stages: Stages) -> tuple[BlockRow, ...]:
    """Agreement on train and effect on dev of every block's prefilled vector."""
    rows = min(MAP_ROWS, len(stages.splits.dev))
    sites = [Site(k) for k in stages.map_blocks]
    geometry = stages.training(PromptType.PREFILLED, sites)
    level = simultaneous_level(0.95, len(sites))
    effects = stages.effects_on_dev({f"block {s.block}": stages.steering(g, s) for s, g in geometry.items()}, rows)
    return tuple(
        BlockRow(
            block=site.block,
            agreement=attempted(lambda g=g: g.agreement(stages.seed, level), len(set(g.units))),  # type: ignore[misc]
            effect=estimate(change.mean(level), change.n_units),
            standardised=change.standardised,
        )
        for (site, g), change in zip(geometry.items(), effects.values(), strict=True)
    )
