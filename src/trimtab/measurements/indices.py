"""The figures of a prompt type that need no steering, for studies and predictions."""

from typing import Any

import numpy as np

from trimtab.behaviors import Behavior, PromptType
from trimtab.experiment.experiment import Experiment
from trimtab.interventions import Site
from trimtab.measurements.coherence import direction
from trimtab.measurements.geometry import Geometry
from trimtab.models import Model
from trimtab.results.figures import Estimate
from trimtab.results.report import PromptTypeResult
from trimtab.statistics import edit_size_ratio, expected_cosine


def geometry_figures(on: Experiment, g: Geometry, median: float) -> dict[str, Any]:
    """The figures of a `GeometryRow`.

    Args:
        on: the behavior's experiment.
        g: its training activations under the type, at the site.
        median: norm of a typical activation there.
    """
    result = PromptTypeResult.model_validate(g.summary(on.seed, 0.95))
    tests, differences = direction(g, on.seed), g.differences
    return {
        "norm": float(np.linalg.norm(g.vector)),
        "edit_size_ratio": edit_size_ratio(g.vector, 1.0, median),
        "agreement": result.directional_agreement,
        "separability": result.separability,
        **_ends("agreement_loo", result.directional_agreement_loo),
        **_ends("separability_held_out", result.separability_held_out),
        **_ends("auroc_held_out", result.auroc_held_out),
        "expected_cosine": expected_cosine(differences, len(differences)),
        "permutation_p": tests.p_value,
        "halves_cosine": tests.halves_cosine,
    }


def placed(model: Model, behavior: Behavior, site: Site, prompt_type: PromptType, label: str) -> dict[str, Any]:
    """What identifies a `GeometryRow`; `label` is the model's name in the tables."""
    return {
        "model": label,
        "model_digest": model.digest,
        "dtype": str(model.dtype).removeprefix("torch."),
        "behavior": behavior.name,
        "data_digest": behavior.digest,
        "answer_kind": behavior.answer_kind,
        "pairing": behavior.pairing,
        "prompt_type": prompt_type.value,
        "block": site.block,
        "component": site.component,
    }


def _ends(name: str, figure: Estimate) -> dict[str, float | None]:
    return {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}
