"""Where in the model an activation is read or edited."""

import re
from dataclasses import dataclass
from typing import Literal, get_args

from trimtab.errors import InputError

Component = Literal["residual", "attention", "mlp"]
COMPONENTS: tuple[Component, ...] = get_args(Component)


@dataclass(frozen=True, order=True)
class Site:
    """A block and a component of it; reading and writing always use the same place.

    Args:
        block: 0-based index of the decoder block.
        component: `residual` is the block's output, equal to Hugging Face `hidden_states[block + 1]` for
            every block but the last (there it is taken before the final norm). `attention` and `mlp` are
            the term *added to the residual*, after a post-norm where there is one.
    """

    block: int
    component: Component = "residual"

    def __post_init__(self) -> None:
        if self.component not in COMPONENTS:
            raise InputError(f"unknown component {self.component!r}; one of {', '.join(COMPONENTS)}")
        if self.block < 0:
            raise InputError(f"block {self.block} is negative; blocks count from 0")

    @staticmethod
    def parse(text: str) -> "Site":
        """Read `14` or `attention:14`.

        Raises:
            InputError: anything else.
        """
        found = re.fullmatch(r"(?:(residual|attention|mlp):)?(\d{1,4})", text.strip())
        if not found:
            raise InputError(f"site {text!r} is not understood; write a block such as 14, or attention:14, mlp:14")
        component: Component = found.group(1) or "residual"  # type: ignore[assignment]
        return Site(int(found.group(2)), component)

    def __str__(self) -> str:
        return str(self.block) if self.component == "residual" else f"{self.component}:{self.block}"
