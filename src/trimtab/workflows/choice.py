"""Site, prompt type and strength, chosen on the dev split alone. Everything here is exploratory in the report."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from trimtab.behaviors import PromptType
from trimtab.errors import InputError, NotFiniteError
from trimtab.experiment.experiment import Experiment, Variant
from trimtab.experiment.finite import left_out, those_finite
from trimtab.experiment.steps import Step
from trimtab.interventions import Site
from trimtab.measurements.activations import TrainingActivations, training, vector_of
from trimtab.measurements.divergence import SCREENING_ROWS, Drift, NeutralDrift, PromptsDrift
from trimtab.measurements.edit_size_ratio import edit_size_ratio
from trimtab.measurements.effects import PLAIN, Propensities, effects_on_dev, sweep_steps
from trimtab.measurements.geometry import Geometry, attempted
from trimtab.phrases import Phrase
from trimtab.results.consequences import CurvePoint, Divergence
from trimtab.results.figures import Estimate, estimate
from trimtab.results.report import BlockRow
from trimtab.statistics import simultaneous_level
from trimtab.statistics.contrast import Contrast
from trimtab.steering import Steering
from trimtab.verdict.decision import Thresholds
from trimtab.workflows.racing import by_race, race_steps

MAP_ROWS = 40  # dev examples behind the map over blocks
ROUGH_TEXTS = 4  # one of so many texts tells roughly
POSITIONS = 0.25  # of the tokens whose predictions are compared, where candidates are sorted out
MAP_BLOCKS = 16  # blocks on the map, evenly spread
Key = TypeVar("Key", bound=Hashable)
HOPELESS = Phrase("no block's prefilled vector moves the dev examples enough (a thorough check tries the other types)")
ON_DEV = Phrase("the choice on dev")
FINISHED = "finished steering"  # stands where a prompt type's name does
STRENGTHS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)  # to choose from, where none is given


@dataclass(frozen=True, eq=False)
class Chosen:
    """What dev decided, and what it saw; or a steering that came finished, and then there is no geometry.

    Args:
        site: where to steer; the lowest of a finished steering, None of one that is text only.
        prompt_type: whose vector, or `FINISHED`.
        strength: λ.
        geometry: training activations at the site by prompt type.
        vectors: their steerings.
        blocks: the map that the site was chosen from; empty if it was given.
        strengths: what the strength was chosen from; empty if it was given.
        notes: strengths that were left out of the choice, and why.
        lost: prompt types whose activations or effects are not finite, and why.
    """

    site: Site | None
    prompt_type: str
    strength: float
    geometry: Mapping[str, Geometry]
    vectors: Mapping[str, Steering]
    blocks: tuple[BlockRow, ...]
    strengths: tuple[CurvePoint, ...]
    notes: tuple[Phrase, ...] = ()
    lost: Mapping[str, Phrase] = field(default_factory=dict)

    @property
    def steering(self) -> Steering:
        """The chosen one."""
        return self.vectors[self.prompt_type]

    @property
    def own_geometry(self) -> Geometry | None:
        """Training activations behind the chosen vector; None for a finished steering."""
        return self.geometry.get(self.prompt_type)

    def sigmas(self, strength: float) -> float | None:
        """Norm of the edit in standard deviations of the training activations' projection on it, within the classes."""
        g = self.own_geometry
        if g is None:
            return None
        length = float(np.linalg.norm(g.vector))
        along = g.vector / length
        spread = float(np.sqrt(np.mean([np.var(side @ along, ddof=1) for side in (g.positive, g.negative)])))
        return abs(strength) * length / spread


def choose(on: Experiment, given: Site | None, strength: float | None, thresholds: Thresholds) -> Chosen:
    """Choose what is not given.

    The site is the block whose prefilled vector has the largest lower bound of the mean effect on dev at strength 1 (or
    the one given), and so is the prompt type at that site; the strength is the one with the largest lower bound among
    those whose divergence on neutral text and on other prompts stays below the bound, with its whole interval; these
    texts are others than the evaluation's.

    Args:
        on: the behavior's experiment; its strength is that given, else 1.
        given: the site, or None.
        strength: λ, or None.
        thresholds: bounds of the verdict. Where an effort stops when the decision is certain and no block's prefilled
            vector comes near the bound on effects, the other prompt types are not tried.
    """
    blocks, finalists = _mapped(on) if given is None else ((), ())
    site = given or Site(max(finalists, key=lambda b: -np.inf if b.effect.low is None else b.effect.low).block)
    sites = mapped_sites(on) if given is None else [site]  # of the map, where it was read already

    def at_site(some: Sequence[PromptType]) -> Mapping[PromptType, Geometry]:
        return {t: training(on, t, sites if t == PromptType.PREFILLED else [site])[site] for t in some}

    types = on.measured_types
    strongest = max(STRENGTHS) if strength is None else 1.0
    hopeless = on.effort.stops and bool(blocks) and _hopeless(finalists, thresholds.min_effect / strongest)
    if hopeless and PromptType.PREFILLED in types:
        types = (PromptType.PREFILLED,)
    geometry, lost = those_finite(types, at_site)
    lost |= dict.fromkeys((t for t in on.measured_types if t not in types), HOPELESS)
    vectors = {t: vector_of(on, g, site) for t, g in geometry.items()}
    best: str = next(iter(vectors))
    if len(vectors) > 1:
        effects, without = _effects(on, {t: (v, on.strength) for t, v in vectors.items()}, len(on.splits.dev))
        lost |= without
        best = max(_longest(effects), key=lambda t: effects[t].mean().low)
    kept: dict[str, Steering] = {t: v for t, v in vectors.items() if t not in lost}
    read: dict[str, Geometry] = dict(geometry.items())
    chosen = Chosen(site, best, on.strength, read, kept, blocks, (), lost=dict(lost.items()))
    return chosen if strength is not None else with_strength(on, chosen, thresholds.max_kl)


def _hopeless(blocks: Sequence[BlockRow], least: float) -> bool:
    """Whether the best blocks on dev have effects below the bound, with their whole intervals."""
    highs = [b.effect.high for b in blocks]
    return all(high is not None and high < least for high in highs)


def with_strength(on: Experiment, chosen: Chosen, max_kl: float) -> Chosen:
    """With the strength of the largest lower bound on dev, among those whose divergence stays below the bound.

    Args:
        on: the behavior's experiment, at strength 1.
        chosen: what to steer by.
        max_kl: bound on the divergence, nats per token.
    """
    if on.effort.stops:
        return _with_first_sane_strength(on, chosen, max_kl)
    result, lost = those_finite(STRENGTHS, lambda some: _at_strengths(on, chosen, max_kl, some))
    points = tuple(result.values())
    sane = [p for p in points if (p.kl.high or 0.0) < max_kl] or points[:1]
    return replace(
        chosen, strength=max(sane, key=lambda p: p.effect.low or 0.0).strength, strengths=points,
        notes=tuple(left_out(lost, ON_DEV)),
    )  # fmt: skip


def _with_first_sane_strength(on: Experiment, chosen: Chosen, max_kl: float) -> Chosen:
    """The same choice for less: strengths that a few texts show to be far too strong are dropped, effects are measured
    by a race, and divergences in full by order of the effects, until one stays below the bound."""

    def roughly(some: Sequence[float]) -> Mapping[float, Drift]:
        return dict(zip(some, _worse(on, chosen.steering, some, (0, ROUGH_TEXTS)), strict=True))

    rough, lost = those_finite(STRENGTHS, roughly)
    left = [s for s, drift in rough.items() if (drift.divergence(on.seed).low or 0.0) < max_kl] or list(rough)[:1]
    tried = {s: v for s, v in zip(STRENGTHS, _tried(on, chosen.steering), strict=True) if s in left}
    effects, without = _effects(on, tried, len(on.splits.dev))
    level = simultaneous_level(0.95, len(STRENGTHS))
    order = sorted(effects, key=lambda s: (-len(effects[s].rows), -effects[s].mean(level).low))
    best, drifts = None, dict(rough)
    for s in order:
        try:
            (drifts[s],) = _worse(on, chosen.steering, [s])
        except NotFiniteError as error:
            lost[s] = error.message
            continue
        if (drifts[s].divergence(on.seed).high or 0.0) < max_kl:
            best = s
            break
    finite = [s for s in effects if s not in lost]
    if not finite:
        raise NotFiniteError(
            Phrase("no strength gives finite figures: {why}", why=next(iter(lost.values()))), field="dtype"
        )
    taken = min(finite) if best is None else best
    points = tuple(
        curve_point(on, chosen, on.strength * s, effects[s], drifts[s], max_kl, level)
        for s in sorted(effects)
        if s not in lost
    )
    return replace(
        chosen, strength=on.strength * taken, strengths=points,
        notes=tuple(left_out(lost | without, ON_DEV)),
    )  # fmt: skip


def _worse(
    on: Experiment, steering: Steering, factors: Sequence[float], every: tuple[int, int] = (0, 1)
) -> list[Drift]:
    """By strength the drift of neutral texts or of other prompts, whichever is larger."""
    both = zip(*(step.drifts(on) for step in drift_steps(on, steering, factors, every)), strict=True)
    return [max(two, key=lambda drift: float(drift.kl.mean())) for two in both]


def _effects(
    on: Experiment, candidates: Mapping[Key, Variant], rows: int
) -> tuple[dict[Key, Contrast], dict[Key, Phrase]]:
    """Effects of candidates on the dev examples: of each on all of them, or by a race."""
    if on.effort.stops:
        return by_race(on, candidates, rows)

    def measured(some: Sequence[Key]) -> Mapping[Key, Contrast]:
        return dict(zip(some, effects_on_dev(on, [candidates[key] for key in some], rows), strict=True))

    return those_finite(list(candidates), measured)


def _longest(effects: Mapping[Key, Contrast]) -> list[Key]:
    """The candidates that were measured on the most examples."""
    most = max(len(e.rows) for e in effects.values())
    return [key for key, e in effects.items() if len(e.rows) == most]


def _tried(on: Experiment, steering: Steering, factors: Sequence[float] = STRENGTHS) -> list[Variant]:
    return [(steering, f * on.strength) for f in factors]


def _at_strengths(on: Experiment, chosen: Chosen, max_kl: float, some: Sequence[float]) -> Mapping[float, CurvePoint]:
    """Gain and damage on dev at some of the strengths; the intervals hold for all strengths together."""
    tried = _tried(on, chosen.steering, some)
    effects, worse = effects_on_dev(on, tried), _worse(on, chosen.steering, some)
    level = simultaneous_level(0.95, len(STRENGTHS))
    return {
        factor: curve_point(on, chosen, s, effect, drift, max_kl, level)
        for factor, (_, s), effect, drift in zip(some, tried, effects, worse, strict=True)
    }


def drift_steps(
    on: Experiment, steering: Steering, factors: Sequence[float] = STRENGTHS, every: tuple[int, int] = (0, 1)
) -> tuple[NeutralDrift, PromptsDrift]:
    """What strengths to choose from do to texts that the evaluation does not see."""
    strengths = tuple(s for _, s in _tried(on, steering, factors))
    share = POSITIONS if on.effort.stops else 1.0
    return (
        NeutralDrift(steering, strengths, SCREENING_ROWS, "dev", every, share=share),
        PromptsDrift(steering, strengths, (), "dev", every, share=share),
    )


def choice_steps(on: Experiment, steering: Steering, choosing_site: bool, choosing_strength: bool) -> list[Step]:
    """Of `choose`, for a forecast: with a steering like those that are compared."""
    types, steps = on.measured_types, map_steps(on, steering) if choosing_site else []
    steps += [TrainingActivations(t, tuple(steering.edits)) for t in types]
    if len(types) > 1:
        steps += _effect_steps(on, [(steering, 1.0)] * len(types), len(on.splits.dev))
    return steps + (strength_steps(on, steering) if choosing_strength else [])


def map_steps(on: Experiment, steering: Steering) -> list[Step]:
    """Of `map_blocks`: with an additive steering at one site, put at every block."""
    sites = tuple(mapped_sites(on))
    (vector,) = (steering.vector(site) for site in steering.edits)
    tried = [(Steering.from_vector(site, vector), 1.0) for site in sites]
    rows = min(MAP_ROWS, len(on.splits.dev))
    return [TrainingActivations(PromptType.PREFILLED, sites), *_effect_steps(on, tried, rows)]


def _effect_steps(on: Experiment, tried: Sequence[Variant], rows: int) -> list[Propensities]:
    """Of `_effects`."""
    return race_steps(on, tried, rows) if on.effort.stops else sweep_steps(on, "dev", [PLAIN, *tried], rows)


def strength_steps(on: Experiment, steering: Steering) -> list[Step]:
    """Of the choice of a strength."""
    effects = _effect_steps(on, _tried(on, steering), len(on.splits.dev))
    if not on.effort.stops:
        return [*effects, *drift_steps(on, steering)]
    return [*effects, *drift_steps(on, steering, every=(0, ROUGH_TEXTS)), *drift_steps(on, steering, (1.0,))]


def curve_point(
    on: Experiment,
    chosen: Chosen,
    strength: float,
    effect: Contrast,
    drift: Drift | None,
    max_kl: float,
    level: float = 0.95,
) -> CurvePoint:
    """Gain and damage at one strength; no damage where there is no drift."""
    kl = Divergence(reason=on.effort.reason) if drift is None else drift.divergence(on.seed)
    n = effect.n_clusters
    if strength == 0:
        change = [Estimate(value=0.0, low=0.0, high=0.0, n=n)] * 3
    else:
        result = effect.mean(level), effect.side("positive", level), effect.side("negative", level)
        change = [estimate(i, n) for i in result]
    return CurvePoint(
        strength=strength,
        edit_size_ratio=edit_size_ratio(on, chosen.steering, strength),
        sigmas=chosen.sigmas(strength),
        effect=change[0],
        positive=change[1],
        negative=change[2],
        kl=kl,
        perplexity_ratio=Estimate(reason=on.effort.reason) if drift is None else drift.perplexity_ratio(on.seed),
        overdosed=kl.low is not None and kl.low > max_kl,
    )


def finished(steering: Steering, strength: float) -> Chosen:
    """A steering as it came: nothing is chosen."""
    if not steering.edits and not steering.prompts:
        raise InputError("the steering edits nothing", code="unsupported", field="steering")
    return Chosen(min(steering.edits, default=None), FINISHED, strength, {}, {FINISHED: steering}, (), ())


def blocks_on_map(on: Experiment) -> list[int]:
    """Evenly spread over those that may be chosen."""
    first, last = on.blocks or (0, on.model.n_blocks - 1)
    return sorted({round(k) for k in np.linspace(first, last, min(last - first + 1, MAP_BLOCKS))})


def mapped_sites(on: Experiment) -> list[Site]:
    """The residuals of these blocks."""
    return [Site(k) for k in blocks_on_map(on)]


def map_blocks(on: Experiment) -> tuple[BlockRow, ...]:
    """Agreement on train and effect on dev of every block's prefilled vector.

    A block whose vector gives figures that are NaN or infinite has a reason in the place of its effect.
    """
    return _mapped(on)[0]


def _mapped(on: Experiment) -> tuple[tuple[BlockRow, ...], tuple[BlockRow, ...]]:
    """The map over blocks, and of these the blocks whose effect rests on the most dev examples."""
    rows = min(MAP_ROWS, len(on.splits.dev))
    sites = mapped_sites(on)
    geometry = training(on, PromptType.PREFILLED, sites)
    level = simultaneous_level(0.95, len(sites))
    effects, lost = _effects(on, {site: (vector_of(on, g, site), on.strength) for site, g in geometry.items()}, rows)

    def row(site: Site, g: Geometry) -> BlockRow:
        agreement = attempted(lambda: g.agreement(on.seed, level), len(set(g.clusters)))
        if site in lost:
            effect = Estimate(reason=lost[site])
            return BlockRow(block=site.block, agreement=agreement, effect=effect, standardised=None)
        change = effects[site]
        effect = estimate(change.mean(level), change.n_clusters)
        return BlockRow(block=site.block, agreement=agreement, effect=effect, standardised=change.standardised)

    found = {site: row(site, g) for site, g in geometry.items()}
    return tuple(found.values()), tuple(found[site] for site in _longest(effects))
