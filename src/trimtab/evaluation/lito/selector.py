"""Which responses are accurate: a small recurrent network over their hidden states, in the order of intensities."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trimtab.errors import InputError
from trimtab.statistics import cluster_folds

BATCH = 32  # units of a training step
FOLDS = 5  # one of them is held out
MAX_EPOCHS = 100_000


@dataclass(frozen=True)
class SelectorTraining:
    """How a selector is trained.

    Args:
        width: units of the LSTM; None for an eighth of d_model, as in the paper.
        epochs: passes over the units, at most.
        patience: epochs without a lower loss on the held-out units after which training ends.
        rate: learning rate of Adam.
        weight_decay: of Adam.

    Raises:
        InputError: one is out of range.

    Example:
        >>> from trimtab.evaluation.lito import SelectorTraining
        >>> SelectorTraining(width=16).epochs
        100
    """

    width: int | None = None
    epochs: int = 100
    patience: int = 10
    rate: float = 1e-3
    weight_decay: float = 1e-3

    def __post_init__(self) -> None:
        bounds = {
            "width": (self.width is None or self.width >= 1, "at least 1"),
            "epochs": (1 <= self.epochs <= MAX_EPOCHS, f"between 1 and {MAX_EPOCHS:,}"),
            "patience": (self.patience >= 1, "at least 1"),
            "rate": (0 < self.rate < np.inf, "above 0"),
            "weight_decay": (0 <= self.weight_decay < np.inf, "0 or more"),
        }
        for name, (fits, wanted) in bounds.items():
            if not fits:
                raise InputError(f"{name} {getattr(self, name)!r} must be {wanted}", code="out-of-range", field=name)


class _Network(nn.Module):
    def __init__(self, d_model: int, width: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(d_model, width, batch_first=True)
        self.head = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`[n, k, d_model]` to logits `[n, k]`."""
        logits: Tensor = self.head(self.lstm(x)[0])[..., 0]
        return logits


@dataclass(frozen=True, eq=False)
class Selector:
    """A one-layer LSTM over the responses to a unit, and a logistic output for each: is this response accurate?

    A response's probability depends on it and on those at lower intensities.

    Args:
        mean, scale: `[d_model]` each; hidden states are standardised by them.
        weights: of the network by name, as torch names them.

    Raises:
        InputError: tensors that make no such network.

    Example:
        >>> import torch
        >>> from trimtab.evaluation.lito import Selector
        >>> hidden = torch.randn(40, 3, 8, generator=torch.Generator().manual_seed(0))  # units, intensities, d_model
        >>> accurate = hidden[..., 0] > 0
        >>> selector = Selector.train(hidden, accurate.numpy(), [str(k) for k in range(40)], seed=0)
        >>> selector.probabilities(hidden).shape
        (40, 3)
    """

    mean: Tensor
    scale: Tensor
    weights: Mapping[str, Tensor]

    def __post_init__(self) -> None:
        if self.mean.ndim != 1 or self.mean.shape != self.scale.shape or not bool((self.scale > 0).all()):
            raise InputError("mean and scale must be [d_model] each, scale above 0", code="wrong-shape", field="scale")
        if not all(bool(torch.isfinite(t).all()) for t in (self.mean, self.scale, *self.weights.values())):
            raise InputError("a weight is NaN or infinite", code="not-finite", field="weights")
        self._network()

    def _network(self) -> _Network:
        try:
            with torch.random.fork_rng(devices=[]):  # it begins with random weights
                network = _Network(len(self.mean), self.weights["lstm.weight_hh_l0"].shape[-1])
            network.load_state_dict(dict(self.weights))
        except (KeyError, RuntimeError, IndexError) as error:
            raise InputError(
                f"the weights are not those of an LSTM with one output: {' '.join(str(error).split())}",
                code="wrong-shape",
                field="weights",
            ) from error
        return network.eval()

    def probabilities(self, hidden: Tensor) -> NDArray[np.float64]:
        """`[n, k, d_model]` hidden states by unit and intensity to `[n, k]` probabilities of being accurate.

        Raises:
            InputError: another width.
        """
        if hidden.ndim != 3 or hidden.shape[-1] != len(self.mean):
            raise InputError(
                f"hidden states are [n, k, {len(self.mean)}], not {list(hidden.shape)}; was the selector made for "
                "another model?",
                code="wrong-shape",
                field="hidden",
            )
        with torch.no_grad():
            found = torch.sigmoid(self._network()((hidden.float().cpu() - self.mean) / self.scale))
        return found.double().numpy()

    @staticmethod
    def train(
        hidden: Tensor,
        accurate: NDArray[np.bool_],
        clusters: Sequence[str],
        seed: int,
        training: SelectorTraining | None = None,
    ) -> "Selector":
        """Learn from units whose responses are known to be accurate or not.

        Both answers weigh the same in the loss, so that 0.5 parts them however rare one is. A fifth of the clusters is
        held out; the weights of the epoch with the lowest loss there are taken.

        Args:
            hidden: `[n, k, d_model]` hidden states by unit and intensity.
            accurate: `[n, k]` whether the response is accurate.
            clusters: `[n]` question or template of each unit; what belongs together is held out together.
            seed: of the first weights, the order of units and what is held out.
            training: how.

        Raises:
            InputError: fewer than 5 clusters, or responses of which all or none are accurate.
        """
        if hidden.ndim != 3 or np.shape(accurate) != hidden.shape[:2] or len(clusters) != len(hidden):
            raise InputError(
                f"hidden {list(hidden.shape)}, accurate {list(np.shape(accurate))} and {len(clusters)} clusters do not "
                "fit together; give [n, k, d_model], [n, k] and n",
                code="wrong-shape",
                field="accurate",
            )
        if len(set(clusters)) < FOLDS:
            raise InputError(
                f"{len(set(clusters))} questions or templates to learn from; give at least {FOLDS}",
                code="too-few-examples",
                field="units",
            )
        codes, _, fold = cluster_folds((len(clusters),) * 2, list(clusters), None, FOLDS, seed)
        held = torch.from_numpy(fold[codes] == 0)
        x, y = hidden.float().cpu(), torch.from_numpy(np.asarray(accurate, dtype=np.float32))
        if not 0 < float(y[~held].mean()) < 1:
            some = "all" if bool(y[~held].any()) else "none"
            raise InputError(
                f"{some} of the responses to learn from are accurate, at every intensity, so there is nothing to "
                "choose; give other units or intensities",
                code="unusable-examples",
                field="units",
            )
        rows = x[~held].flatten(0, 1)
        mean, scale = rows.mean(dim=0), rows.std(dim=0)
        scale = torch.where(scale > 0, scale, 1.0)
        weights = _fitted((x - mean) / scale, y, held, seed, training or SelectorTraining())
        return Selector(mean, scale, weights)


def _fitted(x: Tensor, y: Tensor, held: Tensor, seed: int, how: SelectorTraining) -> dict[str, Tensor]:
    """The weights of the best epoch: `x [n, k, d]`, `y [n, k]` 1 or 0, `held [n]` bool."""
    some, others = ~held, held
    rare = (1 - y[some]).sum() / y[some].sum()
    loss_of = nn.BCEWithLogitsLoss(pos_weight=rare)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        network = _Network(x.shape[-1], how.width or max(1, x.shape[-1] // 8))
        adam = torch.optim.Adam(network.parameters(), lr=how.rate, weight_decay=how.weight_decay)
        best, lowest, waited = deepcopy(network.state_dict()), float("inf"), 0
        train_x, train_y = x[some], y[some]
        for _ in range(how.epochs):
            for batch in torch.randperm(len(train_x)).split(BATCH):  # type: ignore[no-untyped-call]
                adam.zero_grad()
                loss_of(network(train_x[batch]), train_y[batch]).backward()
                adam.step()
            with torch.no_grad():
                loss = float(loss_of(network(x[others]), y[others]))
            if loss < lowest:
                best, lowest, waited = deepcopy(network.state_dict()), loss, 0
            elif (waited := waited + 1) >= how.patience:
                break
    return {name: tensor.detach().clone() for name, tensor in best.items()}
