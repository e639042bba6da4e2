"""K-Steering: follow the gradient of a non-linear classifier of all attributes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from trimtab.errors import InputError
from trimtab.steering.edits import ClassifierGradient
from trimtab.steering.methods.sides import Sides, SidesMethod

MAX_HIDDEN = 1 << 16


@dataclass(frozen=True)
class KSteering(SidesMethod):
    """A two-layer classifier with a logit for each attribute; tokens follow the gradient of the logits with a strength.

    Args:
        hidden: units of the hidden layer.
        epochs: passes over all rows, in batches of 64.
        rate: learning rate of AdamW.
        weight_decay: of AdamW.
        steps: gradient steps for every token.
    """

    name: ClassVar[str] = "k-steering"
    source: ClassVar[str] = (
        "K-Steering, 2505.24535. Assumed: one logit for each attribute, which only that attribute's rows train; the "
        "step is such that the median token of the negative side moves, at strength 1, as far as the classes' means "
        "lie apart."
    )
    hidden: int = 64
    epochs: int = 30
    rate: float = 1e-3
    weight_decay: float = 1e-2
    steps: int = 1

    def edit(self, sides: Mapping[str, Sides], seed: int) -> ClassifierGradient:
        """The classifier of all attributes."""
        if self.hidden > MAX_HIDDEN:
            raise InputError(
                f"hidden {self.hidden:,} must be at most {MAX_HIDDEN:,}", code="out-of-range", field="options.hidden"
            )
        if min(self.hidden, self.epochs, self.steps) < 1 or not (self.rate > 0 and self.weight_decay >= 0):
            raise InputError(
                "hidden, epochs and steps must be at least 1, the rate above 0 and the weight decay 0 or more",
                code="out-of-range",
                field="options",
            )
        rows = torch.cat([torch.cat([side.positive, side.negative]) for side in sides.values()])
        sizes = [(len(side.positive), len(side.negative)) for side in sides.values()]
        labels = torch.cat([torch.tensor([1.0] * p + [0.0] * n) for p, n in sizes]).to(rows.device)
        whose = torch.cat([torch.full((p + n,), a) for a, (p, n) in enumerate(sizes)]).to(rows.device)
        mean, scale = rows.mean(dim=0), rows.std(dim=0)
        scale = torch.where(scale > 0, scale, 1.0)
        first, second = self._trained(((rows - mean) / scale).float(), labels, whose, len(sides), seed)

        def classifier(step: float, steps: int) -> ClassifierGradient:
            weights = first.weight, first.bias, second.weight, second.bias
            return ClassifierGradient(mean, scale, *weights, step=step, steps=steps)

        return classifier(self._step(classifier(1.0, 1), sides) / self.steps, self.steps)

    def _trained(self, x: Tensor, labels: Tensor, whose: Tensor, n: int, seed: int) -> tuple[nn.Linear, nn.Linear]:
        """The two layers, trained on each row's own logit."""
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(seed)
            first, second = nn.Linear(x.shape[1], self.hidden), nn.Linear(self.hidden, n)
            first, second = first.to(x.device), second.to(x.device)
            weights = [*first.parameters(), *second.parameters()]
            adam = torch.optim.AdamW(weights, lr=self.rate, weight_decay=self.weight_decay)
            for _ in range(self.epochs):
                for some in torch.randperm(len(x)).split(64):  # type: ignore[no-untyped-call]
                    some = some.to(x.device)
                    logits = second(torch.relu(first(x[some])))
                    own = logits.gather(1, whose[some, None])[:, 0]
                    adam.zero_grad()
                    nn.functional.binary_cross_entropy_with_logits(own, labels[some]).backward()  # type: ignore[no-untyped-call]
                    adam.step()
        return first, second

    def _step(self, edit: ClassifierGradient, sides: Mapping[str, Sides]) -> float:
        """Step length: the mean over attributes of ‖mean difference‖ / ‖gradient‖ at the median negative row."""
        lengths = []
        for a, side in enumerate(sides.values()):
            strength = torch.eye(len(sides))[a : a + 1].to(side.negative.device)
            h = side.negative.float()[None]
            moved = (edit(h, strength) - h)[0].norm(dim=1).median()
            if not moved > 0:
                raise InputError(
                    "the classifier has no slope at the negative side; train it longer or on more rows",
                    code="not-converged",
                    field="data",
                )
            lengths.append(float(side.mean_difference.norm() / moved))
        return sum(lengths) / len(lengths)
