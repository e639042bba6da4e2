"""Tokens on disk or in memory, and balanced, seeded batches of them, read a window at a time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trimtab.errors import InputError

CPU = torch.device("cpu")
BLOCK_BYTES = 1 << 24  # of float32 activations in a sequential read
WINDOW_BYTES = 1 << 22  # in a window of batches: small enough for the processor's cache, large enough to save calls


@dataclass(frozen=True, eq=False)
class TokenRows:
    """Activations of tokens.

    Args:
        activations: `[N, d]` in float32, float16 or bfloat16, a tensor or numpy array; it may be a memory-mapped
            file, and is never read as a whole.
        text: `[N]` int64, the number of each token's text.

    Raises:
        InputError: wrong shapes or types.
    """

    activations: Tensor
    text: NDArray[np.int64]

    def __post_init__(self) -> None:
        a, text = torch.as_tensor(self.activations), np.asarray(self.text)
        if a.ndim != 2 or not a.shape[1] or a.dtype not in (torch.float32, torch.float16, torch.bfloat16):
            raise InputError(
                f"activations are float32, float16 or bfloat16 [N, d], not {a.dtype} {list(a.shape)}",
                code="wrong-shape",
                field="activations",
            )
        if text.shape != (len(a),) or text.dtype != np.int64:
            raise InputError(
                f"text is int64 [{len(a)}], one for each token, not {text.dtype} {list(text.shape)}",
                code="wrong-shape",
                field="text",
            )
        object.__setattr__(self, "activations", a)
        object.__setattr__(self, "text", text)

    def __len__(self) -> int:
        return len(self.activations)

    @property
    def width(self) -> int:
        """d."""
        return int(self.activations.shape[1])

    def blocks(self) -> Iterator[Tensor]:
        """All activations in their order, float32 `[≤ window, d]` at a time.

        Raises:
            InputError: one is NaN or infinite.
        """
        size = max(1, BLOCK_BYTES // (4 * self.width))
        for i in range(0, len(self), size):
            yield _finite(self.activations[i : i + size].to(torch.float32, copy=True))

    def take(self, rows: NDArray[np.int64]) -> Tensor:
        """Rows in the requested order: `[n]` to float32 `[n, d]`.

        Raises:
            InputError: one is NaN or infinite.
        """
        activations = torch.empty(len(rows), self.width, device=CPU)
        self.read_into(activations, rows)
        return activations

    def read_into(self, target: Tensor, rows: NDArray[np.int64]) -> None:
        """Read rows `[…]` into a float32 `[…, d]`, in the order in which they are stored.

        Raises:
            InputError: one is NaN or infinite.
        """
        order = np.argsort(rows, axis=None)
        places = [torch.from_numpy(axis) for axis in np.unravel_index(order, rows.shape)]
        stored = torch.from_numpy(rows.reshape(-1)[order])
        target[tuple(places)] = _finite(self.activations[stored].float())

    def sample(self, n: int, seed: int) -> Tensor:
        """n rows drawn without replacement, or all of them in random order if there are fewer: `[≤ n, d]`."""
        rng = np.random.default_rng([seed, len(self)])
        return self.take(rng.choice(len(self), min(n, len(self)), replace=False))


@dataclass(frozen=True, eq=False)
class TokenSides:
    """An attribute's tokens.

    Args:
        positive: tokens of the desired side.
        negative: tokens of the other side.

    Raises:
        InputError: fewer than two tokens on a side, or sides of different widths.
    """

    positive: TokenRows
    negative: TokenRows

    def __post_init__(self) -> None:
        for name in ("positive", "negative"):
            if len(getattr(self, name)) < 2:
                raise InputError(
                    f"{name}: {len(getattr(self, name))} tokens; a side needs at least two",
                    code="too-few-examples",
                    field=name,
                )
        if self.positive.width != self.negative.width:
            raise InputError("the sides' activations have different widths", code="wrong-shape", field="activations")


TokenData = Mapping[str, TokenSides]
"""Tokens by attribute."""


def sides_of(data: TokenData) -> list[TokenRows]:
    """The positive and the negative side of each attribute in turn.

    Raises:
        InputError: no attribute, or widths that differ.
    """
    sides = [tokens for own in data.values() for tokens in (own.positive, own.negative)]
    if not sides or len({tokens.width for tokens in sides}) != 1:
        raise InputError(
            "give at least one attribute, all with activations of the same width", code="wrong-shape", field="data"
        )
    return sides


def samples(data: TokenData, n: int, seed: int) -> Tensor:
    """`[T, 2, ≤ n, d]`: equally many random tokens of every side, positives first."""
    n = min(n, *(len(tokens) for tokens in sides_of(data)))
    drawn = torch.stack(drawn_sides(data, n, seed))
    return drawn.view(len(data), 2, *drawn.shape[1:])


def drawn_sides(data: TokenData, n: int, seed: int) -> list[Tensor]:
    """`[≤ n, d]` random tokens of each side, in the order of `sides_of`.

    Positives are drawn with `seed` and negatives with `seed + 1` for every attribute, so that neither the order of the
    attributes nor the presence of others changes what is drawn for one.
    """
    return [tokens.sample(n, seed + i % 2) for i, tokens in enumerate(sides_of(data))]


class Batches:
    """Balanced batches: equally many tokens of every side of every attribute, none of them twice in a batch.

    Each side is shuffled and split into batches; when fewer tokens than a batch are left it is shuffled again. An epoch
    goes through the largest side once. Which tokens come in which step depends only on the seed and the epoch's number,
    so there is no state to keep.

    Memory: an index for every token, and a window of batches of at most `WINDOW_BYTES` or one batch; windows are read
        in
    the order in which tokens are stored.

    Args:
        data: tokens by attribute.
        batch: tokens of each side in a batch; fewer if a side has fewer.
        seed: of the shuffling.
        scale: activations are divided by it.
        device: where batches go; tokens are read on the CPU.
    """

    def __init__(self, data: TokenData, batch: int, seed: int, scale: float = 1.0, device: torch.device = CPU) -> None:
        self._sides, self._seed, self._scale, self._device = sides_of(data), seed, scale, device
        self.batch = min(batch, *(len(tokens) for tokens in self._sides))
        self.steps = max(len(tokens) for tokens in self._sides) // self.batch
        row = 4 * self._sides[0].width * self.batch * len(self._sides)
        self._window = max(1, WINDOW_BYTES // row)

    def epoch(self, number: int) -> Iterator[Tensor]:
        """Batches `[T, 2, batch, d]`, positives first."""
        orders = [self._order(i, number) for i in range(len(self._sides))]
        for first in range(0, self.steps, self._window):
            rows = [order[first : first + self._window] for order in orders]
            yield from self._gathered(rows)

    def _gathered(self, rows: list[NDArray[np.int64]]) -> Iterator[Tensor]:
        """Batches of one window: for each side the rows of its steps, `[steps, batch]`."""
        shape = len(rows[0]), len(rows), self.batch, self._sides[0].width
        steps = torch.empty(shape, device=CPU, pin_memory=self._device.type == "cuda")
        for i, (tokens, some) in enumerate(zip(self._sides, rows, strict=True)):
            tokens.read_into(steps[:, i], some)
        scaled = steps.to(self._device, non_blocking=True).div_(self._scale)
        yield from scaled.view(len(scaled), -1, 2, self.batch, scaled.shape[-1]).unbind(0)

    def _order(self, side: int, epoch: int) -> NDArray[np.int64]:
        """Rows of one side for the steps of an epoch, `[steps, batch]`; drawn in the same way for all attributes."""
        n = len(self._sides[side])
        whole = n // self.batch  # batches of one shuffling
        rng = np.random.default_rng([self._seed, epoch, side % 2])
        rounds = [rng.permutation(n)[: whole * self.batch] for _ in range(-(-self.steps // whole))]
        return np.concatenate(rounds).reshape(-1, self.batch)[: self.steps]


def _finite(rows: Tensor) -> Tensor:
    if not torch.isfinite(rows.sum(dtype=torch.float64)):  # a sum is NaN or infinite where a term is
        raise InputError("an activation is NaN or infinite", code="not-finite", field="activations")
    return rows
