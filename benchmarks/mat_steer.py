"""Training MAT-Steer: trimtab's steps against a plain loop from the paper's equations, and how time grows with tokens.

    .venv/bin/python benchmarks/mat_steer.py --examples 400 --seconds 40

Targets: 3 attributes x 1,000 examples x 25 tokens of either side at d = 576 within two minutes; five times as fast as
the plain loop at equal loss; linear in tokens.

The tokens are random, with a direction and a centre for each attribute. The plain loop goes through attributes and
pairs of attributes one by one, as the equations of 2502.12446 are written, with torch's Adam as it comes, and reads its
loss after every step. It minimises the very same objective (kernel, penalties, lambda, held norm) on the same batches,
once from the paper's random start and once from trimtab's. Reading of data, the dev loss and the choice of the kernel
are left out of the loop's time and are in ours. Equal loss: the lowest dev loss, after whole epochs, that both
reach, plus 0.005. A loop is stopped after --seconds.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import numpy as np
import torch
from harness import machine, table
from torch import Tensor

from trimtab.steering.mat_steer import Options, TokenRows, TokenSides, train
from trimtab.steering.mat_steer.data import TokenData
from trimtab.steering.mat_steer.parameters import random_start
from trimtab.steering.mat_steer.training import _Run

ATTRIBUTES, TOKENS, D, DEV, CLOSE = 3, 25, 576, 100, 0.005
Curve = list[tuple[float, float]]  # seconds, dev loss


def data_of(examples: int, seed: int) -> TokenData:
    """Tokens of three attributes; sides lie four spreads apart."""
    u = np.linalg.qr(np.random.default_rng(7).standard_normal((D, 2 * ATTRIBUTES)))[0].T.astype(np.float32)
    rng, n = np.random.default_rng(seed), examples * TOKENS

    def side(t: int, sign: int) -> TokenRows:
        noise = rng.standard_normal((n, D), dtype=np.float32)
        return TokenRows(noise + 4 * u[ATTRIBUTES + t] + 2 * sign * u[t], np.arange(n) // TOKENS)

    return {f"attribute-{t}": TokenSides(side(t, 1), side(t, -1)) for t in range(ATTRIBUTES)}


@dataclass
class Loop:
    """The plain loop: W, b and θ learned on one attribute after the other."""

    run: _Run
    W: Tensor
    b: Tensor
    raw: Tensor

    def __post_init__(self) -> None:
        for tensor in (self.W, self.b, self.raw):
            tensor.requires_grad_()
        self.adam = torch.optim.Adam([self.W, self.b, self.raw], lr=self.run.o.rate)

    def kernel(self, t: int, x: Tensor, y: Tensor) -> Tensor:
        """Mean of five Gaussians of all distances."""
        sigma = self.run.objective.kernel.sigma[t]  # type: ignore[attr-defined]
        square = torch.cdist(x, y) ** 2
        return sum(torch.exp(-square / (2 * (c * sigma) ** 2)) for c in (0.25, 0.5, 1, 2, 4)) / 5  # type: ignore[return-value]

    def alignment(self, t: int, positive: Tensor, steered: Tensor) -> Tensor:
        """MMD² of one attribute, without bias, over where it started."""
        n = len(positive)
        xx, yy = self.kernel(t, positive, positive), self.kernel(t, steered, steered)
        inside = (xx.sum() - xx.trace() + yy.sum() - yy.trace()) / (n * (n - 1))
        return (inside - 2 * self.kernel(t, positive, steered).mean()) / self.run.identity[t]

    def loss(self, positive: list[Tensor], negative: list[Tensor]) -> Tensor:
        """Equations 5 to 10, term by term."""
        o, T = self.run.o, len(positive)
        theta = [self.run.p.length * self.raw[t] / self.raw[t].norm() for t in range(T)]
        total = torch.zeros(())
        for t in range(T):
            moved = negative[t]
            for s in range(T):
                gate = torch.sigmoid(negative[t] @ self.W[s] + self.b[s])
                moved = moved + gate[:, None] * theta[s]
                total = total + o.lambda_sparsity * gate.abs().mean() / T
                total = (
                    total + o.lambda_positives * torch.sigmoid(positive[t] @ self.W[s] + self.b[s]).pow(2).mean() / T
                )
            moved = moved * negative[t].norm(dim=1, keepdim=True) / moved.norm(dim=1, keepdim=True)
            total = total + self.alignment(t, positive[t], moved) / T
            for s in range(T):
                if s != t:
                    cosine = torch.nn.functional.cosine_similarity(theta[t], theta[s], dim=0)
                    total = total + o.lambda_orthogonality * cosine**2 / (T * (T - 1))
        return total

    def step(self, x: Tensor) -> float:
        """One step on `[T, 2, batch, d]`."""
        self.adam.zero_grad()
        loss = self.loss(list(x[:, 0]), list(x[:, 1]))
        loss.backward()  # type: ignore[no-untyped-call]
        self.adam.step()
        return loss.item()

    def trained(self, seconds: float) -> Curve:
        """Dev losses until time is up."""
        spent, result = 0.0, [(0.0, self.dev())]
        for epoch in range(self.run.o.epochs):
            for x in self.run.batches.epoch(epoch):
                started = perf_counter()
                self.step(x)
                spent += perf_counter() - started
            result.append((spent, self.dev()))
            if spent > seconds:
                break
        return result

    def dev(self) -> float:
        """The dev loss of trimtab for these parameters."""
        p, run = self.run.p, self.run
        with torch.no_grad():
            for ours, theirs in ((p.weights, self.W), (p.bias, self.b), (p.raw, self.raw)):
                ours.copy_(theirs)
            return float(run.o.weights.total(run.objective.terms(p, run.dev, run.dev_identity)))


def loop_of(data: TokenData, dev: TokenData, options: Options, start: str) -> Loop:
    """A plain loop from the paper's start or ours."""
    run = _Run(data, options, dev, 0)
    if start == "random":
        s = random_start([f"attribute-{t}" for t in range(ATTRIBUTES)], D, 0)
        return Loop(run, s.weights.clone(), s.bias.clone(), s.theta.clone())
    return Loop(run, *(p.detach().clone() for p in (run.p.weights, run.p.bias, run.p.raw)))


def ours(data: TokenData, dev: TokenData, options: Options) -> tuple[float, Curve]:
    """Seconds until early stopping, and the dev losses after so many."""
    started, clock = perf_counter(), []
    trained = train(data, options, dev=dev, progress=lambda *_: clock.append(perf_counter() - started))
    total = perf_counter() - started
    assert trained.dev is not None
    return total, list(zip(clock, trained.dev["loss"][1:], strict=True))


def reached(curve: Curve, loss: float) -> float | None:
    """Seconds until a loss."""
    return next((seconds for seconds, value in curve if value <= loss), None)


def seconds_of(step: Callable[[Tensor], object], batches: list[Tensor], rounds: int = 5) -> float:
    """Median over rounds of the seconds of a step."""
    taken = []
    for _ in range(rounds):
        started = perf_counter()
        for x in batches:
            step(x)
        taken.append((perf_counter() - started) / len(batches))
    return median(taken)


def steps(options: Options) -> str:
    """Seconds of a step, the same batches, in turn; both losses agree."""
    loop = loop_of(data_of(40, 0), data_of(DEV, 1), options, "means")
    run = loop.run
    batches = list(run.batches.epoch(0))[:40]
    with torch.no_grad():
        expected = run.o.weights.total(run.objective.terms(run.p, batches[0], run.identity))
        torch.testing.assert_close(
            loop.loss(list(batches[0][:, 0]), list(batches[0][:, 1])), expected, atol=1e-3, rtol=1e-3
        )

    def step(x: Tensor) -> None:
        run.adam.zero_grad()
        total = run.o.weights.total(run.objective.terms(run.p, x, run.identity))
        total.backward()  # type: ignore[no-untyped-call]
        run.adam.step()

    fast, plain = seconds_of(step, batches), seconds_of(loop.step, batches)
    return table(["a step", "ms"], [["trimtab", f"{1e3 * fast:.2f}"], ["plain loop", f"{1e3 * plain:.2f}"],
                                    ["ratio", f"{plain / fast:.1f}×"]])  # fmt: skip


def full_batch(loop: Loop, data: TokenData, n: int) -> float:
    """Seconds of one plain step on n tokens of every side at once."""
    sides = [[t.activations[:n] / loop.run.scale for t in (s.positive, s.negative)] for s in data.values()]
    x = torch.stack([torch.stack(pair) for pair in sides])
    started = perf_counter()
    loop.step(x)
    return perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=400, help="of each side and attribute")
    parser.add_argument("--seconds", type=float, default=40, help="that a plain loop may take")
    parser.add_argument("--sizes", type=int, nargs="*", default=[125, 250, 500, 1000], help="examples, for the scaling")
    parser.add_argument("--full", type=int, nargs="*", default=[500, 1000, 2000], help="tokens of a full-batch step")
    parser.add_argument("--parts", nargs="+", default=["steps", "loss", "scaling"], help="of them")
    args, options = parser.parse_args(), Options()
    print(machine(), end="\n\n")
    dev = data_of(DEV, 1)
    if "steps" in args.parts:
        print(steps(options), end="\n\n", flush=True)
    if "loss" in args.parts:
        print(equal_loss(args.examples, args.seconds, dev, options), end="\n\n", flush=True)
    if "scaling" in args.parts:
        print(scaling(args.sizes, args.full, dev, options), flush=True)


def equal_loss(examples: int, seconds: float, dev: TokenData, options: Options) -> str:
    """Table of the time to a dev loss that both reach."""
    data, rows = data_of(examples, 0), []
    ours(dev, dev, Options(epochs=1))  # what torch imports on first use is nobody's time
    total, curve = ours(data, dev, options)
    for start in ("random", "means"):
        plain = loop_of(data, dev, options, start).trained(seconds)
        goal = max(min(loss for _, loss in c) for c in (curve, plain)) + CLOSE
        mine, theirs = reached(curve, goal), reached(plain, goal)
        assert mine is not None
        assert theirs is not None
        rows.append([start, f"{goal:.3f}", f"{mine:.1f} s", f"{theirs:.1f} s", f"{theirs / mine:.1f}×"])
    head = f"{examples} examples: trimtab {total:.1f} s until it stopped, after {len(curve)} epochs\n\n"
    return head + table(["the loop's start", "dev loss", "trimtab", "plain loop", "ratio"], rows)


def scaling(sizes: list[int], full: list[int], dev: TokenData, options: Options) -> str:
    """Tables of an epoch's time over the number of tokens, and of a full-batch step's."""
    rows = []
    for examples in sizes:
        run, n = _Run(data_of(examples, 0), options, dev, 0), 2 * ATTRIBUTES * TOKENS * examples
        started = perf_counter()
        run.epoch()
        taken = perf_counter() - started
        rows.append([n, f"{taken:.2f} s", f"{1e6 * taken / n:.1f} µs"])
    result = table(["tokens", "an epoch", "a token"], rows) + "\n\n"
    data = data_of(-(-max(full) // TOKENS), 0)
    loop = loop_of(data, dev, options, "means")
    plain = [[n, f"{full_batch(loop, data, n):.2f} s"] for n in full]
    return result + table(["tokens of a side", "one full-batch step of the plain loop"], plain)


if __name__ == "__main__":
    main()
