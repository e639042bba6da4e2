"""Site, prompt type and strength, chosen on the dev split alone. Everything here is exploratory in the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from trimtab.behaviors import PromptType
from trimtab.errors import InputError
from trimtab.experiment.experiment import Experiment, Variant
from trimtab.experiment.finite import left_out, those_finite
from trimtab.experiment.steps import Step
from trimtab.interventions import Site
from trimtab.measurements.activations import TrainingActivations, training, vector_of
from trimtab.measurements.divergence import SCREENING_ROWS, Drift, NeutralDrift, PromptsDrift
from trimtab.measurements.edit_size_ratio import edit_size_ratio
from trimtab.measurements.effects import PLAIN, effects_on_dev, sweep_steps
from trimtab.measurements.geometry import Geometry, attempted
from trimtab.results.consequences import CurvePoint
from trimtab.results.figures import Estimate, estimate
from trimtab.results.report import BlockRow
from trimtab.statistics import simultaneous_level
from trimtab.statistics.contrast import Contrast
from trimtab.steering import Steering

MAP_ROWS = 40  # dev examples behind the map over blocks
MAP_BLOCKS = 16  # blocks on the map, evenly spread
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
    notes: tuple[str, ...] = ()
    lost: Mapping[str, str] = field(default_factory=dict)

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


def choose(on: Experiment, given: Site | None, strength: float | None, max_kl: float) -> Chosen:
    """Choose what is not given.

    The site is the block whose prefilled vector has the largest lower bound of the mean effect on dev at strength 1 (or
    the one given), and so is the prompt type at that site; the strength is the one with the largest lower bound among
    those whose divergence on neutral text and on other prompts stays below the bound, with its whole interval; these
    texts are others than the evaluation's.

    Args:
        on: the behavior's experiment; its strength is that given, else 1.
        given: the site, or None.
        strength: λ, or None.
        max_kl: bound on the divergence, nats per token.
    """
    blocks = map_blocks(on) if given is None else ()
    site = given or Site(max(blocks, key=lambda b: -np.inf if b.effect.low is None else b.effect.low).block)
    geometry, lost = those_finite(on.measured_types, lambda some: {t: training(on, t, [site])[site] for t in some})
    vectors = {t: vector_of(on, g, site) for t, g in geometry.items()}
    best: str = next(iter(vectors))
    if len(vectors) > 1:

        def effects_of(some: Sequence[PromptType]) -> Mapping[PromptType, Contrast]:
            return dict(zip(some, effects_on_dev(on, [(vectors[t], on.strength) for t in some]), strict=True))

        effects, without = those_finite(list(vectors), effects_of)
        lost |= without
        best = max(effects, key=lambda t: effects[t].mean().low)
    kept: dict[str, Steering] = {t: v for t, v in vectors.items() if t not in lost}
    read: dict[str, Geometry] = dict(geometry.items())
    chosen = Chosen(site, best, on.strength, read, kept, blocks, (), lost=dict(lost.items()))
    return chosen if strength is not None else with_strength(on, chosen, max_kl)


def with_strength(on: Experiment, chosen: Chosen, max_kl: float) -> Chosen:
    """With the strength of the largest lower bound on dev, among those whose divergence stays below the bound.

    Args:
        on: the behavior's experiment, at strength 1.
        chosen: what to steer by.
        max_kl: bound on the divergence, nats per token.
    """
    result, lost = those_finite(STRENGTHS, lambda some: _at_strengths(on, chosen, max_kl, some))
    points = tuple(result.values())
    sane = [p for p in points if (p.kl.high or 0.0) < max_kl] or points[:1]
    return replace(
        chosen, strength=max(sane, key=lambda p: p.effect.low or 0.0).strength, strengths=points,
        notes=tuple(left_out("strength", lost, "the choice on dev")),
    )  # fmt: skip


def _tried(on: Experiment, steering: Steering, factors: Sequence[float] = STRENGTHS) -> list[Variant]:
    return [(steering, f * on.strength) for f in factors]


def _at_strengths(on: Experiment, chosen: Chosen, max_kl: float, some: Sequence[float]) -> Mapping[float, CurvePoint]:
    """Gain and damage on dev at some of the strengths; the intervals hold for all strengths together."""
    tried = _tried(on, chosen.steering, some)
    effects, (neutral, prompts) = effects_on_dev(on, tried), drift_steps(on, chosen.steering, some)
    drifts = zip(neutral.drifts(on), prompts.drifts(on), strict=True)
    worse = [max(both, key=lambda drift: float(drift.kl.mean())) for both in drifts]
    level = simultaneous_level(0.95, len(STRENGTHS))
    return {
        factor: curve_point(on, chosen, s, effect, drift, max_kl, level)
        for factor, (_, s), effect, drift in zip(some, tried, effects, worse, strict=True)
    }


def drift_steps(
    on: Experiment, steering: Steering, factors: Sequence[float] = STRENGTHS
) -> tuple[NeutralDrift, PromptsDrift]:
    """What strengths to choose from do to texts that the evaluation does not see."""
    strengths = tuple(s for _, s in _tried(on, steering, factors))
    return NeutralDrift(steering, strengths, SCREENING_ROWS, "dev"), PromptsDrift(steering, strengths, (), "dev")


def choice_steps(on: Experiment, steering: Steering, choosing_site: bool, choosing_strength: bool) -> list[Step]:
    """Of `choose`, for a forecast: with a steering like those that are compared."""
    types, steps = on.measured_types, map_steps(on, steering) if choosing_site else []
    steps += [TrainingActivations(t, tuple(steering.edits)) for t in types]
    if len(types) > 1:
        steps += sweep_steps(on, "dev", [PLAIN, *[(steering, 1.0)] * len(types)])
    return steps + (strength_steps(on, steering) if choosing_strength else [])


def map_steps(on: Experiment, steering: Steering) -> list[Step]:
    """Of `map_blocks`: with an additive steering at one site, put at every block."""
    sites = tuple(Site(k) for k in blocks_on_map(on))
    (vector,) = (steering.vector(site) for site in steering.edits)
    tried = [(Steering.from_vector(site, vector), 1.0) for site in sites]
    return [
        TrainingActivations(PromptType.PREFILLED, sites), *sweep_steps(on, "dev", [PLAIN, *tried], MAP_ROWS)
    ]  # fmt: skip


def strength_steps(on: Experiment, steering: Steering) -> list[Step]:
    """Of the choice of a strength."""
    return [*sweep_steps(on, "dev", [PLAIN, *_tried(on, steering)]), *drift_steps(on, steering)]


def curve_point(
    on: Experiment, chosen: Chosen, strength: float, effect: Contrast, drift: Drift, max_kl: float, level: float = 0.95
) -> CurvePoint:
    """Gain and damage at one strength."""
    kl, n = drift.divergence(on.seed), effect.n_clusters
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
        perplexity_ratio=drift.perplexity_ratio(on.seed),
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


def map_blocks(on: Experiment) -> tuple[BlockRow, ...]:
    """Agreement on train and effect on dev of every block's prefilled vector.

    A block whose vector gives figures that are NaN or infinite has a reason in the place of its effect.
    """
    rows = min(MAP_ROWS, len(on.splits.dev))
    sites = [Site(k) for k in blocks_on_map(on)]
    geometry = training(on, PromptType.PREFILLED, sites)
    level = simultaneous_level(0.95, len(sites))
    vectors = {site: (vector_of(on, g, site), on.strength) for site, g in geometry.items()}

    def effects_at(some: Sequence[Site]) -> Mapping[Site, Contrast]:
        return dict(zip(some, effects_on_dev(on, [vectors[site] for site in some], rows), strict=True))

    effects, lost = those_finite(list(vectors), effects_at)

    def row(site: Site, g: Geometry) -> BlockRow:
        agreement = attempted(lambda: g.agreement(on.seed, level), len(set(g.clusters)))
        if site in lost:
            effect = Estimate(reason=lost[site])
            return BlockRow(block=site.block, agreement=agreement, effect=effect, standardised=None)
        change = effects[site]
        effect = estimate(change.mean(level), change.n_clusters)
        return BlockRow(block=site.block, agreement=agreement, effect=effect, standardised=change.standardised)

    return tuple(row(site, g) for site, g in geometry.items())
