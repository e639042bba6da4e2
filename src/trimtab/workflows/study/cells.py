"""One behavior on one model: its cells at every site and under every prompt type."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trimtab.behaviors import Behavior, PromptType
from trimtab.experiment.experiment import HEAD_SHARE, Experiment, Variant
from trimtab.experiment.finite import left_out
from trimtab.interventions import Site
from trimtab.measurements.activations import median_norm, training, vector_of
from trimtab.measurements.effects import PLAIN, Steered, base_record, curve, slope_record, sweep
from trimtab.measurements.geometry import Geometry, cosine_types
from trimtab.measurements.indices import geometry_figures, placed
from trimtab.measurements.lengths import lengths
from trimtab.models import Model
from trimtab.phrases import Phrase
from trimtab.results.study import Cell, TypeCosines
from trimtab.statistics import cosine_matrix, edit_size_ratio
from trimtab.steering import Steering

ESTIMATE_ROWS = 24  # examples of each part whose tokens are counted for the estimate


@dataclass(frozen=True)
class Subject:
    """A behavior as the study knows it.

    Args:
        model: label of the model in the tables.
        family: of the behavior.
        control: whether there is nothing to steer toward.
        equal_dose: the dose that all vectors are brought to besides strength 1.
        slopes: whether effects are measured over strengths too.
    """

    model: str
    family: str
    control: bool
    equal_dose: float
    slopes: bool


def cells(
    on: Experiment, sites: Sequence[Site], subject: Subject, notes: list[Phrase]
) -> tuple[list[Cell], list[TypeCosines]]:
    """Geometry and effects under every prompt type at every site.

    Args:
        on: the behavior's experiment on the model, at strength 1.
        sites: where to steer.
        subject: what the behavior is in the study.
        notes: strengths of slopes that give no finite figures are added.
    """
    known = {t: training(on, t, sites) for t in on.measured_types}
    rows: list[Cell] = []
    cosines = []
    whole = {"length_auroc": lengths(on).auroc.value}
    for site in sites:
        geometry = {t: known[t][site] for t in known}
        rows += _at_site(on, site, geometry, subject, whole, notes)
        if geometry:
            names, vectors = cosine_types({t: g.vector for t, g in geometry.items()})
            cosines.append(
                TypeCosines(
                    model=subject.model, behavior=on.behavior.name, block=site.block, component=site.component,
                    types=tuple(names), matrix=tuple(map(tuple, cosine_matrix(vectors).tolist())),
                )
            )  # fmt: skip
    return rows, cosines


def absent(
    model: Model, behavior: Behavior, sites: Sequence[Site], types: Sequence[PromptType], subject: Subject, reason: str
) -> list[Cell]:
    """The cells of a behavior that cannot be measured at all, such as one with too few examples."""
    given: dict[str, Any] = {"n_train": 0, "n_eval": 0, "n_eval_clusters": 0, "unit": "", "not_measured": reason}
    return [_cell(model, behavior, site, t, subject, given) for site in sites for t in types]


def _at_site(
    on: Experiment,
    site: Site,
    geometry: Mapping[PromptType, Geometry],
    subject: Subject,
    whole: Mapping[str, Any],
    notes: list[Phrase],
) -> Iterator[Cell]:
    median = median_norm(on, site)
    vectors = {t: vector_of(on, g, site) for t, g in geometry.items()}
    equal = {t: subject.equal_dose / edit_size_ratio(g.vector, 1.0, median) for t, g in geometry.items()}
    steered, at_equal = _both(on, vectors, equal)
    part = on.splits.eval
    given: dict[str, Any] = {
        "n_train": len(on.splits.train),
        "n_eval": len(part),
        "n_eval_clusters": len(set(part.clusters)),
    }
    given["unit"] = on.instrument.unit
    for t in on.prompt_types:
        reason = on.not_measured(t)
        if reason is not None:
            yield _cell(on.model, on.behavior, site, t, subject, {**given, "not_measured": reason})
            continue
        figures = {
            **given,
            **whole,
            **geometry_figures(on, geometry[t], median),
            **_effects(on, steered[t], at_equal[t]),
        }
        if subject.slopes:
            slopes, lost = _slopes(on, vectors[t], steered[t])
            figures |= slopes
            of = Phrase(
                "the slope of {behavior}, {type}, at {site}", behavior=on.behavior.name, type=str(t), site=str(site)
            )
            notes += left_out(lost, of)
        yield _cell(on.model, on.behavior, site, t, subject, {**figures, "equal_strength": equal[t]})


def _both(
    on: Experiment, vectors: Mapping[PromptType, Steering], equal: Mapping[PromptType, float]
) -> tuple[dict[PromptType, Steered], dict[PromptType, Steered]]:
    """Propensities at ±1 and at ± the strength of the equal dose, in one sweep."""
    variants: list[Variant] = [PLAIN]
    for t, vector in vectors.items():
        variants += [(vector, s) for sign in (1.0, -1.0) for s in (sign, sign * equal[t])]
    base, *result = sweep(on, "eval", variants)
    contrast_of, one, same = on.contrast_of(on.splits.eval), {}, {}
    for i, t in enumerate(vectors):
        plus, plus_equal, minus, minus_equal = result[4 * i : 4 * i + 4]
        one[t] = Steered(base, plus, minus, contrast_of)
        same[t] = Steered(base, plus_equal, minus_equal, contrast_of)
    return one, same


def _effects(on: Experiment, one: Steered, equal: Steered) -> dict[str, Any]:
    base = base_record(one.base, on.contrast_of(on.splits.eval))
    out: dict[str, Any] = {"base_accuracy": base.accuracy, "effect_sd": one.effect.sd, "even": one.even.mean().value}
    for before, steered in (("", one), ("equal_", equal)):
        effect = steered.effect
        figures = {
            "effect": effect.mean(), "anti_steerable": effect.below_zero(),
            "positive": effect.side("positive"), "negative": effect.side("negative"),
        }  # fmt: skip
        for name, i in ((f"{before}{name}", i) for name, i in figures.items()):
            out |= {name: float(i.value), f"{name}_low": float(i.low), f"{name}_high": float(i.high)}
        out[f"{before}odd"] = steered.odd.mean().value
    return out


def _slopes(on: Experiment, vector: Steering, known: Steered) -> tuple[dict[str, Any], dict[float, Phrase]]:
    at, lost = curve(on, vector, known)
    slope, lines = slope_record(at, on.contrast_of(on.splits.eval).first(len(at[0.0].m)))
    figures = {
        "steerability": slope.mean,
        "steerability_low": slope.low,
        "steerability_high": slope.high,
        "spearman": lines.spearman,
    }
    return figures, lost


def _cell(
    model: Model, behavior: Behavior, site: Site, prompt_type: PromptType, subject: Subject, figures: Mapping[str, Any]
) -> Cell:
    place = placed(model, behavior, site, prompt_type, subject.model)
    return Cell.model_validate({**place, "family": subject.family, "control": subject.control, **figures})


def tokens(on: Experiment, sites: Sequence[Site], slopes: bool) -> float:
    """About how many tokens the cells take, as if all blocks ran for each; counted on a few examples."""
    some = on.splits.train.examples[:ESTIMATE_ROWS]
    plain = on.score_cost(on.splits.eval.examples[:ESTIMATE_ROWS]) / max(1, min(ESTIMATE_ROWS, len(some)))
    plus_minus = [on.instrument.contexts(some, on.splits.shots.examples, t) for t in on.measured_types]
    read = sum(len(row.ids) for sides in plus_minus for side in sides for row in side) / max(1, len(some))
    n = len(on.measured_types)
    swept = 1 + 4 * n * (0.5 + HEAD_SHARE) + (4 * n * (0.5 + HEAD_SHARE) if slopes else 0)
    return read * len(on.splits.train) / 2 + plain * len(on.splits.eval) * swept * len(sites)
