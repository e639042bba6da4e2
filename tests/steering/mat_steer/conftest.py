"""Tokens whose directions are known."""

from collections.abc import Callable

import numpy as np
import pytest

from trimtab.steering.mat_steer import TokenRows, TokenSides

Made = Callable[..., dict[str, TokenSides]]
TEXT = 10  # tokens of a text
WHERE = np.random.default_rng(99).standard_normal((64, 64))  # directions for all tests, the same in train and dev


def directions(d: int, n: int) -> np.ndarray:
    """Orthonormal `[2n, d]`: first n directions of attributes, then n centres of their tokens."""
    return np.linalg.qr(WHERE[:d, :d])[0].T[: 2 * n]


def tokens(a: np.ndarray) -> TokenRows:
    return TokenRows(a.astype(np.float32), np.arange(len(a)) // TEXT)


@pytest.fixture
def made() -> Made:
    def make(
        seed: int,
        n: int = 480,
        d: int = 16,
        attributes: int = 2,
        shift: float = 6.0,
        same: float = 0.0,
        conflict: bool = False,
    ) -> dict[str, TokenSides]:
        """n tokens of each side; sides lie `shift` apart, attribute t's tokens around a centre of their own.

        A share `same` of the tokens is on both sides to the bit. With `conflict` the second attribute's direction is
        the first's, reversed.
        """  # fmt: skip
        rng, u = np.random.default_rng(seed), directions(d, attributes)
        result = {}
        for t in range(attributes):
            direction = -u[0] if conflict and t == 1 else u[t]
            noise = rng.standard_normal((2, n, d)) + 6 * u[attributes + t]
            sides = noise + shift / 2 * np.array([1, -1])[:, None, None] * direction
            k = int(same * n)
            sides[:, :k] = noise[0, :k]
            result[f"attribute-{t}"] = TokenSides(tokens(sides[0]), tokens(sides[1]))
        return result

    return make
