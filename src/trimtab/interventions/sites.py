"""Where in the model an activation is read or edited."""

import operator
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, get_args

from trimtab.errors import InputError

Component = Literal["residual", "attention", "mlp", "heads"]
COMPONENTS: tuple[Component, ...] = get_args(Component)


@dataclass(frozen=True, order=True)
class Site:
    """A block and one of its components; activations are read and edited at the same place.

    Args:
        block: 0-based index of the decoder block.
        component: `residual` is the block's output, equal to Hugging Face `hidden_states[block + 1]` for
            every block but the last (there it is taken before the final norm). `attention` and `mlp` are
            the term *added to the residual*, after a post-norm where there is one. `heads` is the output of the
            attention heads, side by side, before the output projection; it can be read, not edited.

    Example:
        >>> import trimtab as tt
        >>> tt.Site(14), tt.Site.of("attention:14").component
        (Site(block=14, component='residual'), 'attention')
    """

    block: int
    component: Component = "residual"

    def __post_init__(self) -> None:
        if self.component not in COMPONENTS:
            raise InputError(f"unknown component {self.component!r}; one of {', '.join(COMPONENTS)}")
        try:
            block = operator.index(self.block)  # numpy's integers too
        except TypeError:
            block = None
        if block is None or isinstance(self.block, bool):
            raise InputError(f"block {self.block!r} is not a whole number; blocks count from 0")
        object.__setattr__(self, "block", block)
        if self.block < 0:
            raise InputError(f"block {self.block} is negative; blocks count from 0")

    @staticmethod
    def of(value: "Place") -> "Site":
        """A site, the residual of a block such as 14, or text such as `14` or `attention:14`.

        Raises:
            InputError: anything else.
        """
        if isinstance(value, Site):
            return value
        if isinstance(value, str):
            return Site.parse(value)
        with suppress(TypeError):
            if not isinstance(value, bool):
                return Site(operator.index(value))  # numpy's integers too
        raise InputError(f"{value!r} is not a site; give a block such as 14, 'attention:14', or Site(14, 'attention')")

    @staticmethod
    def several(values: Iterable["Place"]) -> "list[Site]":
        """`of` for each of a list.

        Raises:
            InputError: a single site instead of a list, or an element that is not a site.
        """
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise InputError(f"give a list of sites, such as [14] or ['attention:14'], not {values!r}")
        return [Site.of(value) for value in values]

    @staticmethod
    def parse(text: str) -> "Site":
        """Read `14` or `attention:14`.

        Raises:
            InputError: anything else.
        """
        match = re.fullmatch(r"(?:(residual|attention|mlp|heads):)?(\d{1,4})", text.strip())
        if not match:
            raise InputError(f"site {text!r} is not understood; give a block such as 14, or attention:14, mlp:14")
        component: Component = match.group(1) or "residual"  # type: ignore[assignment]
        return Site(int(match.group(2)), component)

    def __str__(self) -> str:
        return str(self.block) if self.component == "residual" else f"{self.component}:{self.block}"


Place = Site | int | str
"""Anything that `Site.of` accepts as a site."""


def places(site: Place | Sequence[Place] | None) -> list[Place] | None:
    """One place or several as a list; None stays None.

    Example:
        >>> from trimtab.interventions import Site, places
        >>> places(14), places("10-18"), places([Site(3), "attention:14"]), places(None)
        ([14], ['10-18'], [Site(block=3, component='residual'), 'attention:14'], None)
    """
    if site is None or isinstance(site, Site | int | str):
        return None if site is None else [site]
    return list(site)
