"""The hyperparameters of a MAT-Steer training."""

from dataclasses import dataclass
from typing import Literal, get_args

from trimtab.errors import InputError
from trimtab.steering.mat_steer.kernels import KernelName
from trimtab.steering.mat_steer.losses import Weights

NormName = Literal["held", "free"]
OrthogonalityName = Literal["soft", "hard"]
GateName = Literal["sigmoid", "hard"]
StartName = Literal["means", "random"]
PenaltyName = Literal["own", "all"]
MAX_FEATURES = 1 << 16


@dataclass(frozen=True)
class Options:
    """Hyperparameters of MAT-Steer; defaults are the paper's (2502.12446) where it gives one that works well.

    Raises:
        InputError: a value out of range, or an unknown choice; the message names the field.
    """

    lambda_positives: float = 0.3
    """λ_pos of equation 6, on means (see `losses`). The paper has 0.9; of 0.9, 0.3, 0.1 and 0, dev took 0.3 most often
    and 0.9 never (docs/results/mat-steer.md)."""
    lambda_sparsity: float = 0.3
    """λ_sparse of equation 7, on means; the paper has 0.9. If gates collapse, lower this first."""
    lambda_orthogonality: float = 0.1
    """λ_ortho of equation 8, on the mean over pairs; no effect if orthogonality is hard."""
    shrinkage: float = 0.0
    """Pull toward the warm start, for few examples (10–50: try 0.1); not in the paper."""
    penalties: PenaltyName = "all"
    """`own` (the paper): a gate is held down on its own attribute's tokens only. Then it costs nothing to move A_t^n by
    another attribute's gate, and that is what training learns from a random start: G_t stays shut where it should open.
    `all`: every gate on every attribute's tokens. It keeps gates shut on other attributes' tokens, and with the start
    `means` tied to their own attribute."""
    kernel: KernelName = "multi"
    """`multi`: five bandwidths around the median distance; `median`; `fixed`: σ below (the paper; saturates if
    tokens lie far apart); `fourier`: `multi` by random features."""
    sigma: float = 2.0
    """σ of the kernel `fixed`, in units of the activations."""
    features: int = 512
    """Frequencies of the kernel `fourier`."""
    unbiased: bool = True
    """Use the MMD estimator without the terms k(x, x), which at 16 tokens outweigh most differences."""
    norm: NormName = "held"
    """`held`: every θ_t has the length below; `free` (the paper): the length is learned, and small gates with a long θ
    can evade the sparsity penalty."""
    share: float = 0.3
    """Length of a held θ_t, as a share of the median activation norm. Choose it on dev."""
    orthogonality: OrthogonalityName = "soft"
    """`soft`: by the penalty (the paper); `hard`: θ are the orthogonal directions nearest to the learned ones."""
    gate: GateName = "sigmoid"
    """`hard`: gates below 1/12 are exactly 0, so their tokens stay bit-equal."""
    keep_norm: bool = True
    """Give f(a) the length of a (equation 9)."""
    shared: int = 0
    """Dimensions of a subspace that all θ share in addition to their own parts; 0 is none (the paper)."""
    start: StartName = "means"
    """`means`: θ from mean differences, gates from discriminants; `random` (the released code): θ ~ N(0, 1), from which
    attributes may swap roles."""
    batch: int = 16
    """Tokens of each side and attribute in a step; fewer if a side has fewer."""
    epochs: int = 100
    """Maximum number of passes over the largest side's tokens; smaller sides are repeated within each. 0: the untrained
    start."""
    rate: float = 1e-3
    """Learning rate of Adam, in activations scaled to unit coordinates."""
    patience: int = 5
    """Epochs without a better dev loss before it stops; the best epoch's parameters are kept. 0: never."""
    tolerance: float = 1e-3
    """How much lower a dev loss must be to count as better."""
    sample: int = 1024
    """Tokens of each side and attribute, drawn once, for the kernel's width, for the alignment of f = identity, and for
    the dev loss of every epoch."""
    touched: float = 0.01
    """A token counts as touched if its relative edit exceeds this."""

    def __post_init__(self) -> None:
        words = {"penalties": PenaltyName, "kernel": KernelName, "norm": NormName, "gate": GateName,
                 "orthogonality": OrthogonalityName, "start": StartName}  # fmt: skip
        for name, known in words.items():
            if getattr(self, name) not in get_args(known):
                raise InputError(
                    f"{name} {getattr(self, name)!r} must be one of {', '.join(get_args(known))}",
                    code="unknown-choice",
                    field=f"options.{name}",
                )
        minimums = {"lambda_positives": 0, "lambda_sparsity": 0, "lambda_orthogonality": 0, "shrinkage": 0, "shared": 0,
                    "patience": 0, "tolerance": 0, "touched": 0, "epochs": 0, "features": 1, "batch": 2,
                    "sample": 2}  # fmt: skip
        for name, low in minimums.items():
            if not low <= getattr(self, name) < float("inf"):
                raise InputError(
                    f"{name} {getattr(self, name)!r} must be at least {low}",
                    code="out-of-range",
                    field=f"options.{name}",
                )
        if self.features > MAX_FEATURES:
            raise InputError(
                f"features {self.features!r} must be at most {MAX_FEATURES:,}",
                code="out-of-range",
                field="options.features",
            )
        for name in ("sigma", "share", "rate"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InputError(
                    f"{name} {getattr(self, name)!r} must be above 0", code="out-of-range", field=f"options.{name}"
                )
        if self.shared and self.orthogonality == "hard":
            raise InputError(
                "vectors with a shared subspace are not orthogonal; set shared to 0 or orthogonality to soft",
                code="conflicting-arguments",
                field="options.shared",
            )

    @property
    def weights(self) -> Weights:
        """λ of each term."""
        return Weights(self.lambda_positives, self.lambda_sparsity, self.lambda_orthogonality, self.shrinkage)
