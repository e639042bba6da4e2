"""Several edits at one site, one after the other."""

from dataclasses import dataclass

import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.steering.edits.base import StoredEdit, turned


@dataclass(frozen=True, eq=False)
class Stack:
    """Edits in order, each with its own columns of the strengths. An edit skips rows whose strengths are all 0.

    Args:
        parts: pairs of an edit and its columns.
    """

    parts: tuple[tuple[StoredEdit, tuple[int, ...]], ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise InputError("a stack needs at least one edit", code="missing-value", field="edits")
        for edit, columns in self.parts:
            if not isinstance(edit, StoredEdit):
                raise InputError(
                    f"a stack takes edits of trimtab's own kinds, not a {type(edit).__name__}",
                    code="wrong-type",
                    field="edits",
                )
            if not isinstance(columns, tuple) or any(type(c) is not int or c < 0 for c in columns):
                raise InputError(
                    f"{edit.kind}: its columns of the strengths are numbers from 0, not {columns!r}",
                    code="out-of-range",
                    field="columns",
                )
        widths = {edit.width for edit, _ in self.parts}
        if len(widths) > 1:
            raise InputError(
                f"edits at one site are {' and '.join(map(str, sorted(widths)))} wide",
                code="wrong-shape",
                field="edits",
            )
        for edit, columns in self.parts:
            if len(columns) != edit.n_attributes:
                raise InputError(
                    f"{edit.kind} takes {edit.n_attributes} strengths, not {len(columns)}",
                    code="wrong-shape",
                    field="columns",
                )

    @property
    def is_odd(self) -> bool:
        """Whether −λ moves a token exactly as far the other way."""
        return all(edit.is_odd for edit, _ in self.parts)

    @property
    def width(self) -> int:
        """d_model."""
        return self.parts[0][0].width

    def __call__(self, h: Tensor, strength: Tensor) -> Tensor:
        """`h [B, T, d_model]`, `strength [B or 1, A]` to `[B, T, d_model]`."""
        for edit, columns in self.parts:
            own = strength[:, list(columns)]
            on = (own != 0).any(dim=1)[:, None, None]
            h = edit(h, own).where(on, h)
        return h

    def randomised(self, seed: int) -> "Stack":
        """The same edits along random directions; all rotate together, so the angles between edits stay the same."""
        axes = turned(torch.cat([edit.axes for edit, _ in self.parts]), seed)
        own = axes.split([len(edit.axes) for edit, _ in self.parts])  # type: ignore[no-untyped-call]
        return Stack(tuple((edit.along(a), columns) for (edit, columns), a in zip(self.parts, own, strict=True)))
