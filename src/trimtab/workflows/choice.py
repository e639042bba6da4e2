"""Site, prompt type and strength, chosen on the dev split alone. Everything here is exploratory in the report."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from trimtab.behaviors import PromptType
from trimtab.errors import InputError
from trimtab.experiment.stages import MAP_ROWS, Stages
from trimtab.experiment.summary import Geometry, attempted, estimate
from trimtab.measurements.edit_size import dose
from trimtab.measurements.side_effects import FEW_ROWS, Drift, neutral_drift, prompts_drift
from trimtab.models import Site
from trimtab.results.consequences import CurvePoint
from trimtab.results.figures import Estimate
from trimtab.results.report import BlockRow
from trimtab.statistics import simultaneous_level
from trimtab.statistics.contrast import Contrast
from trimtab.steering import Steering

FINISHED = "finished steering"  # stands where a prompt type's name does
CAME_FINISHED = "the steering came finished, without its training activations"
_MISSING = Estimate(reason=CAME_FINISHED)
NO_GEOMETRY: Mapping[str, object] = {
    "directional_agreement_loo": _MISSING,
    "separability_held_out": _MISSING,
    "auroc_held_out": _MISSING,
}
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
    """

    site: Site | None
    prompt_type: str
    strength: float
    geometry: Mapping[str, Geometry]
    vectors: Mapping[str, Steering]
    blocks: tuple[BlockRow, ...]
    strengths: tuple[CurvePoint, ...]

    @property
    def steering(self) -> Steering:
        """The chosen one."""
        return self.vectors[self.prompt_type]

    @property
    def label(self) -> str:
        """Its name in the ledger."""
        return f"{self.prompt_type} {self.site} at {self.strength}"

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


def choose(stages: Stages, given: Site | None, strength: float | None, max_kl: float) -> Chosen:
    """Choose what is not given.

    The site is the block whose prefilled vector has the largest lower bound of the mean effect on dev at strength 1 (or
    the one given), and so is the prompt type at that site; the strength is the one with the largest lower bound among
    those whose divergence on neutral text and on other prompts stays below the bound, with its whole interval; these
    texts are others than the evaluation's.

    Args:
        stages: its strength is that given, else 1.
        given: the site, or None.
        strength: λ, or None.
        max_kl: bound on the divergence, nats per token.
    """
    blocks = map_blocks(stages) if given is None else ()
    site = given or Site(max(blocks, key=lambda b: b.effect.low or 0.0).block)
    geometry: dict[str, Geometry] = {t: stages.training(t, [site])[site] for t in stages.measured_types}
    vectors: dict[str, Steering] = {t: stages.steering(g, site) for t, g in geometry.items()}
    types = list(vectors)
    best = types[0]
    if len(types) > 1:
        found = stages.effects_on_dev({f"{t} {site}": (v, 1.0) for t, v in vectors.items()})
        best = types[int(np.argmax([effect.mean().low for effect in found.values()]))]
    chosen = Chosen(site, best, stages.strength, geometry, vectors, blocks, ())
    return chosen if strength is not None else with_strength(stages, chosen, f"{best} {site}", max_kl)


def with_strength(stages: Stages, chosen: Chosen, label: str, max_kl: float) -> Chosen:
    """With the strength of the largest lower bound on dev, among those whose divergence stays below the bound.

    Args:
        stages: of the behavior.
        chosen: what to steer by.
        label: its name in the ledger, without a strength.
        max_kl: bound on the divergence, nats per token.
    """
    points = _strengths(stages, chosen, label, max_kl)
    sane = [p for p in points if (p.kl.high or 0.0) < max_kl] or points[:1]
    return replace(chosen, strength=max(sane, key=lambda p: p.effect.low or 0.0).strength, strengths=points)


def _strengths(stages: Stages, chosen: Chosen, label: str, max_kl: float) -> tuple[CurvePoint, ...]:
    """Gain and damage on dev over strengths; the intervals hold for all of them together."""
    steering = chosen.steering
    effects = stages.effects_on_dev({f"{label} at {f}": (steering, f) for f in STRENGTHS})
    neutral = neutral_drift(stages, steering, STRENGTHS, label, FEW_ROWS, "dev")
    prompts = prompts_drift(stages, steering, STRENGTHS, label, part="dev")
    worse = {s: max(neutral[s], prompts[s], key=lambda drift: float(drift.kl.mean())) for s in STRENGTHS}
    level = simultaneous_level(0.95, len(STRENGTHS))
    return tuple(
        curve_point(stages, chosen, s, effect, worse[s], max_kl, level)
        for s, effect in zip(STRENGTHS, effects.values(), strict=True)
    )


def curve_point(
    stages: Stages, chosen: Chosen, strength: float, effect: Contrast, drift: Drift, max_kl: float, level: float = 0.95
) -> CurvePoint:
    """Gain and damage at one strength."""
    kl, n = drift.divergence(stages.seed), effect.n_units
    if strength == 0:
        change = [Estimate(value=0.0, low=0.0, high=0.0, n=n)] * 3
    else:
        found = effect.mean(level), effect.side("positive", level), effect.side("negative", level)
        change = [estimate(i, n) for i in found]
    return CurvePoint(
        strength=strength,
        dose=dose(stages, chosen.steering, strength),
        sigmas=chosen.sigmas(strength),
        effect=change[0],
        positive=change[1],
        negative=change[2],
        kl=kl,
        perplexity_ratio=drift.perplexity_ratio(stages.seed),
        overdosed=kl.low is not None and kl.low > max_kl,
    )


def finished(steering: Steering, strength: float) -> Chosen:
    """A steering as it came: nothing is chosen."""
    if not steering.edits and not steering.prompts:
        raise InputError("the steering edits nothing", code="unsupported", field="steering")
    return Chosen(min(steering.edits, default=None), FINISHED, strength, {}, {FINISHED: steering}, (), ())


def map_blocks(stages: Stages) -> tuple[BlockRow, ...]:
    """Agreement on train and effect on dev of every block's prefilled vector."""
    rows = min(MAP_ROWS, len(stages.splits.dev))
    sites = [Site(k) for k in stages.map_blocks]
    geometry = stages.training(PromptType.PREFILLED, sites)
    level = simultaneous_level(0.95, len(sites))
    vectors = {f"block {s.block}": (stages.steering(g, s), 1.0) for s, g in geometry.items()}
    effects = stages.effects_on_dev(vectors, rows)
    return tuple(
        BlockRow(
            block=site.block,
            agreement=attempted(lambda g=g: g.agreement(stages.seed, level), len(set(g.units))),  # type: ignore[misc]
            effect=estimate(change.mean(level), change.n_units),
            standardised=change.standardised,
        )
        for (site, g), change in zip(geometry.items(), effects.values(), strict=True)
    )
