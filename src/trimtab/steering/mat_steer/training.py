"""The training of MAT-Steer: all attributes in one set of products per step; keeps the best epoch; can be resumed.

2502.12446, section 3; `losses` has the terms, `parameters` what is learned, `options` every choice. One step takes
batches `[T, 2, B, d]` and makes one product for all gates, one for all steered tokens and one kernel matrix
`[T, 2B, 2B]`; nothing is copied back from the device before the epoch ends.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.steering.edits import Gated
from trimtab.steering.mat_steer import losses
from trimtab.steering.mat_steer.data import CPU, Batches, TokenData, samples, sides_of
from trimtab.steering.mat_steer.diagnostics import GateStatistics, check_not_collapsed, gate_statistics
from trimtab.steering.mat_steer.kernels import Kernel, kernel_named
from trimtab.steering.mat_steer.options import Options
from trimtab.steering.mat_steer.parameters import Parameters, Start, random_start
from trimtab.steering.mat_steer.warm_start import means_start
from trimtab.storage import checkpoint as checkpoints

Progress = Callable[[int, int], None]
"""Called after every epoch with the number of epochs done and the maximum."""


@dataclass(frozen=True, eq=False)
class Trained:
    """The result of a training.

    Args:
        edit: with the data's attributes, in their order.
        train: for `loss` and each of `losses.TERMS`, the mean over each epoch's steps; empty if nothing is trained in
            epochs.
        dev: the same on the dev sample before training and after every epoch; None without dev data.
        best_epoch: the epoch, from 1, whose parameters the edit has; 0 is the start.
        statistics: of every attribute, on dev data if given.
    """

    edit: Gated
    train: dict[str, list[float]]
    dev: dict[str, list[float]] | None
    best_epoch: int
    statistics: dict[str, GateStatistics]

    @property
    def as_record(self) -> dict[str, Any]:
        """Curves and statistics as JSON values."""
        statistics = {name: asdict(own) for name, own in self.statistics.items()}
        return {"train": self.train, "dev": self.dev, "best_epoch": self.best_epoch, "gates": statistics}


@dataclass(frozen=True, eq=False)
class Objective:
    """The loss of parameters on tokens.

    Args:
        options: penalties, λ and estimator are read.
        kernel: the φ of alignment.
        start: the parameters that shrinkage pulls toward.
    """

    options: Options
    kernel: Kernel
    start: Start

    def terms(self, p: Parameters, x: Tensor, identity: Tensor) -> Tensor:
        """`[5]` as `losses.TERMS`.

        Args:
            p: W, b and θ.
            x: scaled activations `[T, 2, n, d]`, positives first.
            identity: `[T]`, alignment of f = identity for this number of tokens.
        """
        o, theta, gates = self.options, p.theta(), p.gates(x)  # gates [T, 2, n, T]
        steered = p.steered(x[:, 1], gates[:, 1], theta)
        everyones = o.penalties == "all"
        terms = [
            losses.alignment(x[:, 0], steered, self.kernel, identity, unbiased=o.unbiased),
            losses.positives(gates[:, 0], everyones=everyones),
            losses.sparsity(gates[:, 1], everyones=everyones),
            losses.orthogonality(theta),
            self._shrinkage(p, theta) if o.shrinkage else x.new_zeros(()),
        ]
        return torch.stack(terms)

    def identity(self, x: Tensor, batch: int, names: Sequence[str]) -> Tensor:
        """Alignment of the identity `[T]`, estimated on `x [T, 2, n, d]` for batches of that many tokens."""
        unbiased = self.options.unbiased
        return losses.identity_value(x[:, 0], x[:, 1], self.kernel, batch=batch, unbiased=unbiased, names=names)

    def _shrinkage(self, p: Parameters, theta: Tensor) -> Tensor:
        return losses.shrinkage(p.weights, self.start.weights) + losses.shrinkage(theta, self.start.theta)


def train(
    data: TokenData,
    options: Options | None = None,
    *,
    dev: TokenData | None = None,
    seed: int = 0,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
    device: torch.device = CPU,
) -> Trained:
    """Train the gates and vectors of all attributes at one site together.

    Args:
        data: tokens by attribute.
        options: None for the defaults.
        dev: held-out tokens of the same attributes, for early stopping and the statistics. Without them all epochs are
            run, the last epoch's parameters are kept and the statistics are those of the training tokens.
        seed: of batches, samples and a random start; the same seed gives a bit-identical edit.
        checkpoint: a folder for the state after every epoch. Called again with the same arguments, training resumes
            there, with the same result as without interruption; `epochs` may change.
        progress: called after every epoch.
        device: where to train; MPS falls back to the CPU, since it has no float64. The edit's tensors are on the CPU
            in any case.

    Raises:
        InputError: unusable data, or a checkpoint of another training.
        GateCollapse: the gates stay shut on the negatives of `statistics`.
    """
    o = options or Options()
    if dev is not None and list(dev) != list(data):
        raise InputError(
            f"dev has the attributes {', '.join(dev)} and the data {', '.join(data)}; give the same",
            code="conflicting-arguments",
            field="dev",
        )
    run = _Run(data, o, dev, seed, CPU if device.type == "mps" else device)
    if checkpoint is not None:
        run.resume(checkpoint)
    with torch.enable_grad():
        while not run.finished:
            run.epoch()
            if checkpoint is not None:
                run.keep(checkpoint)
            if progress is not None:
                progress(run.done, o.epochs)
    edit = run.best()
    statistics = gate_statistics(edit, dev or data, touched=o.touched, seed=seed, device=run.device)
    check_not_collapsed(statistics)
    return Trained(edit, run.train_curves, run.dev_curves, run.best_epoch, statistics)


class _Run:
    """A training in progress."""

    def __init__(
        self, data: TokenData, options: Options, dev: TokenData | None, seed: int, device: torch.device = CPU
    ) -> None:
        self.o, self.data, self.dev_data, self.seed, self.device = options, data, dev, seed, device
        drawn = samples(data, options.sample, seed)
        self.scale = _scale(drawn)
        x = drawn.to(device) / self.scale
        start = _start(data, options, self.scale, seed, device)
        self.p = Parameters(start, options, self.scale)
        start = Start(self.p.theta().detach().clone(), start.weights, start.bias)
        kernel = kernel_named(
            options.kernel, x[:, 0], x[:, 1], sigma=options.sigma / self.scale, features=options.features, seed=seed
        )
        self.objective = Objective(options, kernel, start)
        self.batches = Batches(data, options.batch, seed, self.scale, device)
        self.identity = self.objective.identity(x, self.batches.batch, list(data))
        self.adam = torch.optim.Adam(self.p.parameters(), lr=options.rate, fused=True)
        self.done = self.best_epoch = 0
        self.best_loss, self.best_state = float("inf"), self._state()
        self.train_curves: dict[str, list[float]] = {name: [] for name in ("loss", *losses.TERMS)}
        self.dev_curves: dict[str, list[float]] | None = None
        if dev is not None:
            self.dev = samples(dev, options.sample, seed).to(device) / self.scale
            # from the training tokens as well: on few dev tokens the estimate may be 0 or below by chance
            self.dev_identity = self.objective.identity(x, self.dev.shape[2], list(data))
            self.dev_curves = {name: [] for name in self.train_curves}
            self._judge()

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or too many have passed without a better dev loss."""
        waited = self.done - self.best_epoch
        impatient = self.dev_curves is not None and 0 < self.o.patience <= waited
        return self.done >= self.o.epochs or impatient

    def epoch(self) -> None:
        """One pass over the data, then the dev loss."""
        total, weights = torch.zeros(len(losses.TERMS), device=self.device), self.o.weights
        for x in self.batches.epoch(self.done):
            terms = self.objective.terms(self.p, x, self.identity)
            self.adam.zero_grad()
            weights.total(terms).backward()  # type: ignore[no-untyped-call]
            self.adam.step()
            total += terms.detach()
        self.done += 1
        self._note(self.train_curves, total / self.batches.steps)
        self._judge()

    def _judge(self) -> None:
        """Compute the dev loss and keep the best state so far; without dev data the last is the best."""
        if self.dev_curves is None:
            self.best_epoch, self.best_state = self.done, self._state()
            return
        with torch.no_grad():
            loss = self._note(self.dev_curves, self.objective.terms(self.p, self.dev, self.dev_identity))
        if loss < self.best_loss - self.o.tolerance:
            self.best_loss, self.best_epoch, self.best_state = loss, self.done, self._state()

    def _note(self, curves: dict[str, list[float]], terms: Tensor) -> float:
        values: list[float] = torch.cat([self.o.weights.total(terms)[None], terms]).tolist()
        if not all(map(isfinite, values)):
            if not self.done:
                raise InputError(
                    "the loss is not finite before the first epoch; give shares, λ and widths nearer to 1",
                    code="not-converged",
                    field="options",
                )
            raise InputError(
                f"the loss is not finite in epoch {self.done}; lower rate ({self.o.rate})",
                code="not-converged",
                field="options.rate",
            )
        for name, value in zip(curves, values, strict=True):
            curves[name].append(value)
        return values[0]

    def best(self) -> Gated:
        """The best epoch's edit."""
        self.p.load_state_dict(self.best_state)
        return self.p.edit()

    def keep(self, folder: Path) -> None:
        """Write everything that the next epoch depends on."""
        tensors = {f"now.{name}": value for name, value in self._state().items()}
        tensors |= {f"best.{name}": value for name, value in self.best_state.items()}
        for i, moments in self.adam.state_dict()["state"].items():
            tensors |= {f"adam.{i}.{name}": value for name, value in moments.items()}
        journal = {
            "made_by": self._made_by(), "epoch": self.done, "best_epoch": self.best_epoch, "best_loss": self.best_loss,
            "train": self.train_curves, "dev": self.dev_curves,
        }  # fmt: skip
        checkpoints.write(folder, tensors, journal)

    def resume(self, folder: Path) -> None:
        """Resume from what `keep` wrote, if anything."""
        kept = checkpoints.read(folder, self._made_by())
        if kept is None:
            return
        tensors, journal = kept
        self.p.load_state_dict(_under("now.", tensors))
        self.best_state = _under("best.", tensors)
        state = {i: _under(f"adam.{i}.", tensors) for i in range(len(self.adam.param_groups[0]["params"]))}
        self.adam.load_state_dict({"state": state, "param_groups": self.adam.state_dict()["param_groups"]})
        self.done, self.best_epoch, self.best_loss = journal["epoch"], journal["best_epoch"], journal["best_loss"]
        self.train_curves, self.dev_curves = journal["train"], journal["dev"]

    def _state(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.p.state_dict().items()}

    def _made_by(self) -> dict[str, Any]:
        options = {name: value for name, value in asdict(self.o).items() if name != "epochs"}
        return {**options, "seed": self.seed, "data": _digest(self.data), "dev": _digest(self.dev_data or {})}


def _scale(drawn: Tensor) -> float:
    """s: median ‖a‖ / √d of `[…, d]`."""
    median = float(drawn.norm(dim=-1).median())
    if not median > 0:
        raise InputError(
            "more than half of the activations are 0; read another site", code="unusable-examples", field="data"
        )
    return median / float(drawn.shape[-1] ** 0.5)


def _start(data: TokenData, o: Options, scale: float, seed: int, device: torch.device) -> Start:
    if o.start == "means":
        return means_start(data, scale, seed, everyones=o.penalties == "all", device=device)
    return random_start(list(data), sides_of(data)[0].width, seed).to(device)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _digest(data: TokenData) -> str:
    """Of names, sizes, texts and up to 64 activations of every side: identifies the data without reading all of it."""
    digest = sha256(json.dumps(list(data)).encode())
    for sides in data.values():
        for tokens in (sides.positive, sides.negative):
            some = np.unique(np.linspace(0, len(tokens) - 1, 64).astype(np.int64))
            digest.update(repr((tuple(tokens.activations.shape), str(tokens.activations.dtype))).encode())
            digest.update(tokens.activations[torch.from_numpy(some)].float().numpy().tobytes())
            digest.update(tokens.text.tobytes())
    return digest.hexdigest()
