"""Non-linear inference-time intervention: heads ranked by small networks that see the mean of several tokens."""

import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from trimtab.errors import InputError
from trimtab.steering.methods.heads import HeadShift, balanced
from trimtab.steering.methods.sides import Sides

MAX_HIDDEN = 1 << 12
ITERATIONS = 500  # of L-BFGS at most; a network that has not converged by then is ranked as it is


@dataclass(frozen=True)
class NonLinearInferenceTimeIntervention(HeadShift):
    """Shifts the heads in which a network with one hidden layer separates the sides best on held-out rows.

    Every vector is the mean over an answer's last `tokens` tokens, for the network, the direction and σ alike. A head
    whose sides differ in more than their means can rank high; the shift is that of `iti` along the mean difference.

    Args:
        share: fraction of all sites' heads that are shifted; at least one head is.
        alpha: shift at strength 1, in σ.
        tokens: how many of the answer's last tokens are averaged, or all where it is shorter.
        hidden: units of the hidden layer.
        penalty: ridge penalty of the network's weights; 1 weighs as much as `c` 1 does for the probes of `iti`.
    """

    name: ClassVar[str] = "nl-iti"
    source: ClassVar[str] = (
        "Non-linear inference-time intervention, Hoscilowicz et al. 2403.18680: a network of 16 hidden units ranks the "
        "heads, activations are means of the last tokens (there 4 for the network and 6 for the direction), the shift "
        "is that of `iti`. Assumed: one number of tokens for both; inputs standardised in place of batch "
        "normalisation; fitted by L-BFGS under a ridge penalty, not by 10 epochs of Adam, since there are hundreds of "
        "rows here and thousands there; ranking as in `iti`."
    )
    tokens: int = 4
    hidden: int = 16
    penalty: float = 1.0

    def __post_init__(self) -> None:
        bounds = {
            "tokens": (self.tokens >= 1, "at least 1"),
            "hidden": (1 <= self.hidden <= MAX_HIDDEN, f"between 1 and {MAX_HIDDEN:,}"),
            "penalty": (self.penalty >= 0, "0 or more"),
        }
        for name, (fits, wanted) in bounds.items():
            if not fits:
                raise InputError(
                    f"{name} {getattr(self, name)!r} must be {wanted}", code="out-of-range", field=f"options.{name}"
                )

    @property
    def last_tokens(self) -> int:
        """How many of each text's last tokens its vector is the mean of."""
        return self.tokens

    def accuracy(self, fitting: Sides, held: Sides, seed: int) -> float:
        """Balanced accuracy on the held-out rows of a network fitted to the others."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPClassifier

        rows = torch.cat([fitting.positive, fitting.negative])  # [n, head width]
        labels = np.repeat([1, 0], [len(fitting.positive), len(fitting.negative)])
        mean, scale = rows.mean(dim=0), rows.std(dim=0)
        scale = torch.where(scale > 0, scale, 1.0)
        start = np.random.RandomState(np.random.MT19937(seed))  # takes seeds of any length
        network = MLPClassifier(
            (self.hidden,), solver="lbfgs", alpha=self.penalty, max_iter=ITERATIONS, random_state=start
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            network.fit(((rows - mean) / scale).cpu().numpy(), labels)
        positive, negative = (
            torch.from_numpy(network.predict_proba(((side - mean) / scale).cpu().numpy())[:, 1] - 0.5)
            for side in (held.positive, held.negative)
        )
        return balanced(positive, negative)
