"""Colours that mean different things stay apart for people who see no red or no green, in both schemes.

Seen as in Machado, Oliveira and Fernandes (2009) at severity 1, whose matrices work on linear RGB; distances are
CIE 1976's in L*a*b* (D65), where about 2.3 can just be told apart side by side.
"""

import re
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from trimtab.reports import palette
from trimtab.reports.style import style

FAR = 20.0

SEEN = {
    "with all cones": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = XYZ @ np.ones(3)


def lab(color: str, seen: str) -> NDArray[np.float64]:
    """L*a*b* of `#rrggbb` as it is seen."""
    rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    scaled = XYZ @ np.clip(SEEN[seen] @ linear, 0, 1) / WHITE
    f = np.where(scaled > (6 / 29) ** 3, np.cbrt(scaled), scaled / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(one: str, other: str, seen: str) -> float:
    return float(np.linalg.norm(lab(one, seen) - lab(other, seen)))


def verdicts() -> list[tuple[str, ...]]:
    """The colours of decisions and bounds, of the light scheme, the dark one and print."""
    schemes = re.findall(r":root \{(.*?)\}", style(), re.DOTALL)
    return [
        tuple(dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", scheme))[name] for name in ("good", "bad", "open", "warn"))
        for scheme in schemes
    ]


LINES = (palette.BLUE, palette.VERMILLION, palette.GREEN)
CELLS = (palette.COSINES[0][1], palette.COSINES[1][1], palette.COSINES[2][1])
GROUPS = {
    "lines": LINES,
    "lines, dark": tuple(palette.DARK[color] for color in LINES),
    "cells": CELLS,
    "cells, dark": tuple(palette.DARK[color] for color in CELLS),
    **{f"verdicts {i}": colors for i, colors in enumerate(verdicts())},
}


def test_known_colors_are_where_they_should_be_and_red_and_green_meet_without_green_cones() -> None:
    assert lab("#ffffff", "with all cones") == pytest.approx([100, 0, 0], abs=1e-3)
    assert lab("#ff0000", "with all cones") == pytest.approx([53.24, 80.09, 67.20], abs=0.02)
    for seen in ("protanopia", "deuteranopia"):
        assert distance("#c46a3a", "#8f8b33", seen) < distance("#c46a3a", "#8f8b33", "with all cones") / 2


@pytest.mark.parametrize("seen", SEEN)
@pytest.mark.parametrize("group", GROUPS)
def test_colors_that_stand_for_different_things_are_far_apart(group: str, seen: str) -> None:
    for one, other in combinations(GROUPS[group], 2):
        assert distance(one, other, seen) >= FAR, (one, other)


def test_no_color_is_the_only_sign() -> None:
    """Beside each colour of a verdict stands its sign and its word."""
    from trimtab.reports.check.tables import HOLDS
    from trimtab.reports.check.terminal import STYLES

    signs = [sign for sign, _ in STYLES.values()]
    assert len(set(signs)) == len(signs)
    assert len({sign for _, sign, _ in HOLDS.values()}) == len({word for word, _, _ in HOLDS.values()}) == 3
