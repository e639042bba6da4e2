"""What edits did to the tokens of a request, pass by pass, and what answers say of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from trimtab.interventions import Edit, EditSummary, TokenEdit
from trimtab.steering.edits import Gated, Stack


@dataclass(frozen=True, eq=False)
class EditRecord:
    """What the edits did to a request's tokens in one pass.

    Tensors of selected tokens may lie on another device, so that no pass waits for them; they are empty where every
    strength is 0.

    Args:
        start: position of the first token.
        selected: `[n]` bool, on the CPU: the tokens in scope.
        touched: `[s]` bool, of the selected tokens those that an edit changed.
        edit_size_ratio: `[s]` ‖f(h) − h‖ / ‖h‖ at the site where it is largest.
        gates: by attribute with gates, `[s]` their mean over the sites.
    """

    start: int
    selected: Tensor
    touched: Tensor
    edit_size_ratio: Tensor
    gates: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def end(self) -> int:
        """Position behind the last token."""
        return self.start + len(self.selected)

    def since(self, position: int) -> "EditRecord":
        """Without the tokens before a position."""
        n = max(0, position - self.start)
        if not n:
            return self
        s = int(self.selected[:n].sum())
        gates = {name: gate[s:] for name, gate in self.gates.items()}
        return EditRecord(self.start + n, self.selected[n:], self.touched[s:], self.edit_size_ratio[s:], gates)


def summary(records: Sequence[EditRecord]) -> EditSummary:
    """Several records as one summary: counts are added, means are over all selected tokens."""
    selected = sum(int(r.selected.sum()) for r in records)
    touched = sum(int(r.touched.sum()) for r in records)
    ratio = sum(float(r.edit_size_ratio.sum()) for r in records)
    names = dict.fromkeys(name for r in records for name in r.gates)
    gates = {name: sum(float(r.gates[name].sum()) for r in records if name in r.gates) for name in names}
    n = max(1, selected)
    return EditSummary(selected, touched, {name: total / n for name, total in gates.items()}, ratio / n)


def token_edits(records: Iterable[EditRecord], ids: Sequence[int]) -> tuple[TokenEdit, ...]:
    """One entry for each token of the records.

    Args:
        records: of the tokens.
        ids: the request's tokens from its first one on.
    """
    out: list[TokenEdit] = []
    for r in records:
        ratios = r.edit_size_ratio.tolist()
        gates = {name: gate.tolist() for name, gate in r.gates.items()}
        k = 0
        for i, selected in enumerate(r.selected.tolist()):
            edited = selected and k < len(ratios)
            own = {name: gate[k] for name, gate in gates.items()} if edited else {}
            out.append(TokenEdit(ids[r.start + i], selected, own, ratios[k] if edited else 0.0))
            k += edited
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
