"""Edits in packed passes: one row holds the tokens of many requests, each with its own steering or none.

The rule is that of `trimtab.models.forward`, token by token: where a request's scope selects a token, the activation at
a site becomes that request's `edit(h, strength)`; all others keep theirs bit for bit. Requests that share their edits
are edited in one call, so a pass costs one call for each site and distinct steering. A pass without a token to edit has
no hooks at its sites.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from trimtab.errors import InertSteeringError, PlanError
from trimtab.interventions import Edit, Site
from trimtab.models import Batch, Steer, in_scope
from trimtab.models.blocks import Anatomy, first_tensor
from trimtab.serving.engines.edit_records import EditRecord, gates_of

Order = Sequence[tuple[str, int]]
"""Requests of a pass in the order of its tokens, each with its number of tokens."""


@dataclass(eq=False)
class PackedSteering:
    """The steering of one request, and what became of it.

    Args:
        steer: one row, its conditions decided.
        attributes: names of the columns of its strengths.
        prompt_len: tokens before the answer.

    Attributes:
        records: what its edits did, one for each pass; written by the thread that runs the model.
        error: what went wrong in an edit; its request is unsteered from there on and must be ended.
    """

    steer: Steer
    attributes: tuple[str, ...]
    prompt_len: int
    records: deque[EditRecord] = field(default_factory=deque)
    error: Exception | None = None
    _recorded: int = 0

    def record(self, record: EditRecord) -> None:
        """Keep a record; of tokens that ran again, since their cache was given up, only the first one counts."""
        if record.end > self._recorded:
            self.records.append(record.since(self._recorded))
            self._recorded = record.end


@contextmanager
def packed_edits(
    hf: nn.Module, anatomy: Anatomy, steerings: Mapping[str, PackedSteering], order: Callable[[], Order]
) -> Iterator[None]:
    """In here the packed passes of a model are edited, request by request.

    Other calls of the model stay as they are. Enter and leave while the model does not run.

    Args:
        hf: the model; passes with `cu_seq_lens_q` are packed.
        anatomy: its parts.
        steerings: by request; those left out are unsteered. May change between passes.
        order: the requests of the pass that begins.
    """
    work = _PackedPasses(anatomy, steerings, order)
    before = hf.register_forward_pre_hook(work.begin, with_kwargs=True)
    after = hf.register_forward_hook(work.end, always_call=True)
    try:
        yield
    finally:
        before.remove()
        after.remove()


class _PackedPasses:
    def __init__(self, anatomy: Anatomy, steerings: Mapping[str, PackedSteering], order: Callable[[], Order]) -> None:
        self._anatomy, self._steerings, self._order = anatomy, steerings, order
        self._groups: list[_Group] = []
        self._records: list[Callable[[], None]] = []
        self._handles: list[Any] = []

    def begin(self, module: nn.Module, args: Any, kwargs: Mapping[str, Any]) -> None:
        """A pass begins: decide which tokens are edited by what, and set hooks for that."""
        if kwargs.get("cu_seq_lens_q") is None:
            return
        order = self._order()
        rows = [self._steerings.get(request) for request, _ in order]
        if not any(rows):
            return
        position = kwargs["position_ids"][0].cpu()
        if sum(n for _, n in order) != len(position):
            raise PlanError(f"a packed pass of {len(position)} tokens came with requests {list(order)}")
        self._groups, self._records = _dealt(rows, [n for _, n in order], position)
        for site in sorted({site for group in self._groups for site in group.edits}):
            self._handles.append(self._anatomy.module(site).register_forward_hook(self._hook(site)))

    def end(self, module: nn.Module, args: Any, output: Any) -> None:
        """A pass is over, or has failed: take off the hooks, and keep what the edits did."""
        for handle in self._handles:
            handle.remove()
        groups, records = self._groups, self._records
        self._handles, self._groups, self._records = [], [], []
        if output is None:  # failed
            return
        for group in groups:
            group.check()
        for record in records:
            record()

    def _hook(self, site: Site) -> Callable[..., Any]:
        def hook(module: nn.Module, args: Any, output: Any) -> Any:
            h = first_tensor(output)
            for group in self._groups:
                h = group.edited(site, h)
            return h if isinstance(output, Tensor) else (h, *output[1:])

        return hook


def _dealt(
    rows: Sequence[PackedSteering | None], lengths: Sequence[int], position: Tensor
) -> tuple[list["_Group"], list[Callable[[], None]]]:
    """The tokens of a pass, `[N]` positions, dealt to those that edit them, and what keeps the records afterwards."""
    owner = torch.arange(len(rows)).repeat_interleave(torch.tensor(lengths))  # [N] request of a token
    prompt_len = torch.tensor([0 if row is None else row.prompt_len for row in rows])[owner]
    nothing = torch.zeros(1, 2, dtype=torch.int64)
    window = torch.cat([nothing if row is None else row.steer.window for row in rows])[owner]  # [N, 2]
    real = torch.ones(len(position), 1, dtype=torch.bool)
    selected = in_scope(Batch(position[:, None], real, position[:, None], prompt_len), window)[:, 0]  # [N]
    members: dict[int, list[int]] = {}
    for r, row in enumerate(rows):
        if row is not None and row.steer.active and row.error is None:
            members.setdefault(id(row.steer.edits), []).append(r)
    groups, records = [], []
    for some in members.values():
        inside = selected & torch.isin(owner, torch.tensor(some))
        tokens = inside.nonzero()[:, 0]
        if len(tokens):
            groups.append(_Group([row for r in some if (row := rows[r])], tokens, owner[tokens], some))
    group_of = {r: group for group in groups for r in group.members}
    start = 0
    for r, (row, n) in enumerate(zip(rows, lengths, strict=True)):
        if row is not None:
            first = int(position[start])
            records.append(_recorder(row, r, first, selected[start : start + n], group_of.get(r)))
        start += n
    return groups, records


def _recorder(row: PackedSteering, r: int, first: int, selected: Tensor, group: "_Group | None") -> Callable[[], None]:
    def record() -> None:
        done = (torch.zeros(0, dtype=torch.bool), torch.zeros(0), {}) if group is None else group.done(r)
        row.record(EditRecord(first, selected, *done))

    return record


class _Group:
    """Tokens of a pass that the same edits change.

    Args:
        rows: the requests they belong to, which share their edits.
        tokens: `[n]` places in the packed row.
        owner: `[n]` which request a token belongs to.
        members: numbers of the requests, in the order of `rows`.
    """

    def __init__(self, rows: Sequence[PackedSteering], tokens: Tensor, owner: Tensor, members: Sequence[int]) -> None:
        self.members, self._rows = members, rows
        self.edits: Mapping[Site, Edit] = rows[0].steer.edits
        strength = torch.cat([row.steer.strength for row in rows])  # [requests, A]
        if bool((strength == strength[0]).all()):
            strength = strength[:1]  # some edits prepare a matrix for each row of strengths
        else:
            strength = strength[torch.searchsorted(torch.tensor(members), owner)]  # [n, A]
        self._placed = {tokens.device: (tokens, strength)}
        self._slices = {r: (owner == r).nonzero()[:, 0] for r in members}
        self._fired: set[Site] = set()
        self._touched = torch.zeros(len(tokens), dtype=torch.bool)
        self._ratio = torch.zeros(len(tokens))
        self._gates: dict[int, list[Tensor]] = {}

    def edited(self, site: Site, h: Tensor) -> Tensor:
        """`[1, N, d_model]` with this group's tokens edited; unchanged once an edit has failed."""
        edit = self.edits.get(site)
        if edit is None or self._rows[0].error is not None:
            return h
        if h.device not in self._placed:
            tokens, strength = next(iter(self._placed.values()))
            self._placed[h.device] = (tokens.to(h.device), strength.to(h.device))
        tokens, strength = self._placed[h.device]
        before = h[0, tokens]  # [n, d_model]
        try:
            after = edit(before.view(len(strength), -1, before.shape[1]), strength).to(h.dtype).view_as(before)
            self._measure(edit, before, after)
            h = h.index_copy(1, tokens, after[None])
        except Exception as error:  # of any kind, since edits may be a user's own: it ends only who asked for it
            self._fail(error)
            return h
        self._fired.add(site)
        return h

    def _measure(self, edit: Edit, before: Tensor, after: Tensor) -> None:
        plain = before.float()
        change, size = (after.float() - plain).norm(dim=-1), plain.norm(dim=-1)
        ratio = torch.where(size > 0, change / size, change * 0)  # a 0 has no length to compare with
        self._touched = self._touched.to(before.device) | (after != before).any(dim=-1)
        self._ratio = torch.maximum(self._ratio.to(before.device), ratio)
        for column, gate in gates_of(edit, before).items():
            self._gates.setdefault(column, []).append(gate)

    def check(self) -> None:
        """Every edit must have run."""
        silent = sorted(set(self.edits) - self._fired)
        if silent and self._rows[0].error is None:
            self._fail(
                InertSteeringError(
                    f"the edit at site {silent[0]} never ran although its strength is not 0: the module there was not "
                    "called; was the model changed, wrapped or compiled after it was loaded?"
                )
            )

    def done(self, r: int) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """What was done to the tokens of one request: touched, size of the edit, gates by attribute."""
        own, names = self._slices[r].to(self._touched.device), self._rows[0].attributes
        gates = {
            names[c]: torch.stack([g.to(own.device) for g in each]).mean(dim=0)[own] for c, each in self._gates.items()
        }
        return self._touched[own], self._ratio[own], gates

    def _fail(self, error: Exception) -> None:
        for row in self._rows:
            row.error = error
