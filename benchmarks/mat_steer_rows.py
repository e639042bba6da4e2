"""What `mat_steer_study.py` measures: MAT-Steer, its contender, its options, and the candidates for dev."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from trimtab.interventions import Component
from trimtab.steering.methods import ExclusiveGates, MATSteer, TokenMethod

N_TRAIN: Final = 150  # examples of an attribute at most

FULL, CHOSEN = "mat-steer", "mat-steer, chosen on dev"
START = "mat-steer, untrained start"
PAPER, PRINTED = "mat-steer, the paper's 0.9 on means", "mat-steer, the paper's 0.9 on sums"
EXCLUSIVE, EXCLUSIVE_CHOSEN = "exclusive gates", "exclusive gates, chosen on dev"
PROBES, PLAIN = "probe-gated mean difference", "sum of mean differences"
RANDOM, SAME_GATES = "random directions", "random directions behind mat-steer's gates"


@dataclass(frozen=True)
class Row:
    """A way to make the steering.

    Args:
        maker: of those that learn from tokens; None for the others, which `mat_steer_study.py` makes by their names.
        seeds: how many.
        n_train: examples of an attribute.
        component: what is read and edited.
    """

    maker: TokenMethod | None = None
    seeds: int = 5
    n_train: int = N_TRAIN
    component: Component = "residual"


def paper(**options: Any) -> MATSteer:
    """MAT-Steer with the paper's λ, on means, and the defaults in all else."""
    return replace(MATSteer(lambda_positives=0.9, lambda_sparsity=0.9), **options)


# the paper's sums over 16 tokens of a side and over pairs of 3 attributes, as means
SUMS: Final[Mapping[str, Any]] = {"lambda_positives": 14.4, "lambda_sparsity": 14.4, "lambda_orthogonality": 0.2}
MAIN: Final[Mapping[str, Row]] = {
    EXCLUSIVE_CHOSEN: Row(),
    CHOSEN: Row(),
    EXCLUSIVE: Row(ExclusiveGates()),
    FULL: Row(MATSteer()),
    PAPER: Row(paper()),
    PRINTED: Row(MATSteer(**SUMS), 1),
    START: Row(MATSteer(epochs=0)),
    PROBES: Row(),
    PLAIN: Row(),
    SAME_GATES: Row(),
}
CANDIDATES: Final[Mapping[str, tuple[TokenMethod, ...]]] = {
    CHOSEN: tuple(MATSteer(lambda_sparsity=weight, lambda_positives=weight) for weight in (0.9, 0.3, 0.1, 0.0)),
    EXCLUSIVE_CHOSEN: tuple(ExclusiveGates(c=c) for c in (1.0, 0.1, 0.01, 0.001)),
}
"""As many for each, and dev chooses by the same figure."""

PUBLISHED = {"penalties": "own", "start": "random", "norm": "free", "kernel": "fixed", "unbiased": False}
OPTIONS: Final[Mapping[str, Row]] = {
    RANDOM: Row(),
    "alignment only": Row(paper(lambda_positives=0.0, lambda_sparsity=0.0, lambda_orthogonality=0.0)),
    "without positives": Row(paper(lambda_positives=0.0)),
    "without sparsity": Row(paper(lambda_sparsity=0.0)),
    "without orthogonality": Row(paper(lambda_orthogonality=0.0)),
    "without norm": Row(paper(keep_norm=False)),
    "attention": Row(paper(), 2, component="attention"),
    "attention, sparsity 0.3": Row(MATSteer(), 2, component="attention"),
    "all tokens": Row(paper(tokens="all"), 2),
    "last token": Row(paper(tokens="last"), 2),
    "kernel σ = 2": Row(paper(kernel="fixed"), 2),
    "kernel median": Row(paper(kernel="median"), 2),
    "kernel fourier": Row(paper(kernel="fourier"), 2),
    "biased MMD": Row(paper(unbiased=False), 2),
    "θ free": Row(paper(norm="free"), 2),
    "θ 0.1": Row(paper(share=0.1), 2),
    "θ 1": Row(paper(share=1.0), 2),
    "own penalties": Row(paper(penalties="own"), 2),
    "random start": Row(paper(start="random"), 2),
    "as published": Row(paper(**PUBLISHED), 2),
    "hard gate": Row(paper(gate="hard"), 2),
    "hard orthogonality": Row(paper(orthogonality="hard"), 2),
    "shared subspace": Row(paper(shared=1), 2),
    "30 examples": Row(paper(), 2, 30),
    "30 examples, shrinkage": Row(paper(shrinkage=0.1), 2, 30),
}
"""One option each, beside the paper's λ on means; and what directions without meaning do."""
ROWS: Final = {**MAIN, **OPTIONS}
