"""What edits did to the tokens of a request, pass by pass, and what answers say of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from trimtab.interventions import Edit, EditSummary, TokenEdit
from trimtab.steering.edits import Gated, Stack


class Measures:
    """What a steering's edits did to its tokens in a pass; copied from the device when first asked for, after it.

    Args:
        touched: `[n]` bool, the tokens that an edit changed.
        edit_size_ratio: `[n]` ‖f(h) − h‖ / ‖h‖ at the site where it is largest.
        gates: by attribute with gates, `[n]` their means over the sites.
    """

    def __init__(self, touched: Tensor, edit_size_ratio: Tensor, gates: Mapping[str, Tensor]) -> None:
        self._tensors, self._gates = (touched, edit_size_ratio), gates

    @cached_property
    def touched(self) -> list[bool]:
        """By token."""
        return self._tensors[0].tolist()

    @cached_property
    def edit_size_ratio(self) -> list[float]:
        """By token."""
        return self._tensors[1].tolist()

    @cached_property
    def gates(self) -> dict[str, list[float]]:
        """By attribute, by token."""
        return {name: gate.tolist() for name, gate in self._gates.items()}


@dataclass(frozen=True, eq=False)
class EditRecord:
    """What the edits did to a request's tokens in one pass.

    Args:
        start: position of the first token.
        selected: for each token whether it is in scope.
        measures: of the pass, which hold the selected tokens side by side; None where every strength is 0.
        first: place of the first selected token in them.
    """

    start: int
    selected: Sequence[bool]
    measures: Measures | None = None
    first: int = 0

    @property
    def end(self) -> int:
        """Position behind the last token."""
        return self.start + len(self.selected)

    @property
    def own(self) -> slice:
        """The places of the selected tokens in the measures."""
        return slice(self.first, self.first + sum(self.selected))

    def touched(self) -> list[bool]:
        """Of the selected tokens, which ones an edit changed."""
        return [] if self.measures is None else self.measures.touched[self.own]

    def ratios(self) -> list[float]:
        """Of the selected tokens, the size of the edit."""
        return [] if self.measures is None else self.measures.edit_size_ratio[self.own]

    def gates(self) -> dict[str, list[float]]:
        """By attribute with gates, of the selected tokens."""
        return {} if self.measures is None else {name: g[self.own] for name, g in self.measures.gates.items()}

    def since(self, position: int) -> "EditRecord":
        """Without the tokens before a position."""
        n = max(0, position - self.start)
        first = self.first + sum(self.selected[:n])
        return EditRecord(self.start + n, self.selected[n:], self.measures, first) if n else self


def summary(records: Sequence[EditRecord], left_alone: tuple[str, ...] = ()) -> EditSummary:
    """Several records as one summary: counts are added, means are over all selected tokens.

    Args:
        records: of the tokens.
        left_alone: attributes whose condition the prompt does not meet.
    """
    selected = sum(sum(r.selected) for r in records)
    n = max(1, selected)
    gates: dict[str, float] = {}
    for r in records:
        for name, gate in r.gates().items():
            gates[name] = gates.get(name, 0.0) + sum(gate)
    return EditSummary(
        selected,
        sum(sum(r.touched()) for r in records),
        {name: total / n for name, total in gates.items()},
        sum(sum(r.ratios()) for r in records) / n,
        left_alone=left_alone,
    )


def token_edits(records: Iterable[EditRecord], ids: Sequence[int]) -> tuple[TokenEdit, ...]:
    """One entry for each token of the records.

    Args:
        records: of the tokens.
        ids: the request's tokens from its first one on.
    """
    out: list[TokenEdit] = []
    for r in records:
        ratios, gates = iter(r.ratios()), {name: iter(gate) for name, gate in r.gates().items()}
        for i, selected in enumerate(r.selected):
            own = {name: next(gate) for name, gate in gates.items()} if selected else {}
            out.append(TokenEdit(ids[r.start + i], selected, own, next(ratios, 0.0) if selected else 0.0))
    return tuple(out)


def gates_of(edit: Edit, h: Tensor) -> dict[int, Tensor]:
    """By column of the strengths, how far an edit's gates are open: `[n, d_model]` to `[n]`; empty without gates."""
    if isinstance(edit, Gated):
        return dict(enumerate(edit.gates(h).unbind(dim=-1)))
    if not isinstance(edit, Stack):
        return {}
    each: dict[int, list[Tensor]] = {}
    for part, columns in edit.parts:
        for own, gate in gates_of(part, h).items():
            each.setdefault(columns[own], []).append(gate)
    return {column: torch.stack(gates).mean(dim=0) for column, gates in each.items()}
