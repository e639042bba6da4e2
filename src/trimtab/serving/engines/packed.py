"""Edits in packed passes: one row holds the tokens of many requests, each with its own steering or none.

The rule is that of `trimtab.models.forward`, token by token: where a request's scope selects a token, the activation at
a site becomes that request's `edit(h, strength)`; all others keep theirs bit for bit. Requests that share their edits
are edited in one call, so a pass costs one call for each site and distinct steering. A pass without a token to edit has
no hooks at its sites.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

from trimtab.errors import InertSteeringError, PlanError
from trimtab.interventions import Edit, Site
from trimtab.models import in_part, in_window
from trimtab.models.blocks import Anatomy, first_tensor
from trimtab.serving.engines.edit_records import EditRecord, Measures, gates_of
from trimtab.serving.engines.packed_steering import PackedSteering

Order = Sequence[tuple[str, int]]
"""Requests of a pass in the order of its tokens, each with its number of tokens."""


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

    def layout(inputs: Mapping[str, Any]) -> Layout | None:
        if inputs.get("cu_seq_lens_q") is None:
            return None
        return Layout(order(), inputs["position_ids"][0], inputs["input_ids"][0])

    with edited_passes(hf, anatomy, steerings, layout):
        yield


@dataclass(frozen=True)
class Layout:
    """What a pass of one row holds.

    Args:
        order: its requests.
        position: `[N]` of each token in its request.
        ids: `[N]` the tokens.
    """

    order: Order
    position: Tensor
    ids: Tensor


@contextmanager
def edited_passes(
    hf: nn.Module,
    anatomy: Anatomy,
    steerings: Mapping[str, PackedSteering],
    layout: Callable[[Mapping[str, Any]], Layout | None],
) -> Iterator[None]:
    """As `packed_edits`, whatever the passes come from.

    Args:
        hf: the model.
        anatomy: its parts.
        steerings: by request.
        layout: what the pass that begins holds, by the model's arguments; None for passes that stay as they are.
    """
    work = _PackedPasses(anatomy, steerings, layout)
    before = hf.register_forward_pre_hook(work.begin, with_kwargs=True)
    after = hf.register_forward_hook(work.end, always_call=True)
    try:
        yield
    finally:
        before.remove()
        after.remove()


class _PackedPasses:
    def __init__(
        self,
        anatomy: Anatomy,
        steerings: Mapping[str, PackedSteering],
        layout: Callable[[Mapping[str, Any]], Layout | None],
    ) -> None:
        self._anatomy, self._steerings, self._layout = anatomy, steerings, layout
        self._now: PackedPass | None = None
        self._handles: list[Any] = []

    def begin(self, module: nn.Module, args: Any, kwargs: Mapping[str, Any]) -> None:
        """A pass begins: decide which tokens are edited by what, and set hooks for that."""
        layout = self._layout(kwargs)
        if layout is None:
            return
        rows = [self._steerings.get(request) for request, _ in layout.order]
        if not any(rows):
            return
        lengths = [n for _, n in layout.order]
        if sum(lengths) != len(layout.position):
            raise PlanError(f"a packed pass of {len(layout.position)} tokens came with requests {list(layout.order)}")
        position = layout.position.tolist()
        starts = [position[end - n] for n, end in zip(lengths, accumulate(lengths), strict=True)]
        self._now = PackedPass(rows, starts, lengths, layout.ids)
        for site in self._now.sites:
            self._handles.append(self._anatomy.module(site).register_forward_hook(_hook(self._now, site)))

    def end(self, module: nn.Module, args: Any, output: Any) -> None:
        """A pass is over, or has failed: take off the hooks, and keep what the edits did."""
        for handle in self._handles:
            handle.remove()
        now, self._now, self._handles = self._now, None, []
        if now is not None and output is not None:
            now.end()


def _hook(now: "PackedPass", site: Site) -> Callable[..., Any]:
    def hook(module: nn.Module, args: Any, output: Any) -> Any:
        h = now.edited(site, first_tensor(output))
        return h if isinstance(output, Tensor) else (h, *output[1:])

    return hook


@dataclass(eq=False)
class _Group:
    """Requests that share their edits, and the places of their tokens among all edited ones of a pass."""

    rows: list[PackedSteering]
    own: slice
    strength: Tensor  # [1, A], or [n, A] where they differ
    measured: bool
    fired: set[Site] = field(default_factory=set)
    gates: dict[int, list[Tensor]] = field(default_factory=dict)  # by column, [n] from each site

    @property
    def edits(self) -> Mapping[Site, Edit]:
        return self.rows[0].steer.edits

    def edited(self, site: Site, before: Tensor) -> Tensor:
        """`[n, d_model]` of its tokens, edited; as they were once an edit has failed."""
        if self.rows[0].error is not None:
            return before
        try:
            edit = self.edits[site]
            self.strength = self.strength.to(before.device)
            h = before.view(len(self.strength), -1, before.shape[1])
            after = edit(h, self.strength).to(before.dtype).view_as(before)
            for column, gate in gates_of(edit, before).items() if self.measured else ():
                self.gates.setdefault(column, []).append(gate)
        except Exception as error:  # of any kind, since edits may be a user's own: it ends only who asked for it
            self.fail(error)
            return before
        self.fired.add(site)
        return after

    def fail(self, error: Exception) -> None:
        for row in self.rows:
            row.error = error


class PackedPass:
    """The edits of one packed pass.

    Args:
        rows: of the requests in the order of the tokens, those with a steering.
        starts: of each request, the position of its first token here; the others follow it.
        lengths: tokens of each request.
        ids: `[N]` the tokens; None where no scope goes by the model's thinking.
        measured: whether what the edits did is kept in the rows' records.

    Attributes:
        n_tokens: of all requests.
    """

    def __init__(
        self,
        rows: Sequence[PackedSteering | None],
        starts: Sequence[int],
        lengths: Sequence[int],
        ids: Tensor | None = None,
        *,
        measured: bool = True,
    ) -> None:
        selected = _selected(rows, starts, lengths, ids)
        self._measured, self.n_tokens = measured, len(selected)
        self._records: list[tuple[PackedSteering, int, list[bool], _Group | None, int]] = []
        members: dict[int, list[tuple[PackedSteering, int, int, list[bool]]]] = {}
        place = 0
        for row, start, n in zip(rows, starts, lengths, strict=True):
            if row is not None:
                own = selected[place : place + n]
                if row.steer.active and row.error is None and any(own):
                    members.setdefault(id(row.steer.edits), []).append((row, place, start, own))
                else:
                    self._records.append((row, start, own, None, 0))
            place += n
        tokens: list[int] = []
        self._groups = [self._group(some, tokens) for some in members.values()]
        self._tokens = torch.tensor(tokens, dtype=torch.int64)  # [n] places of the edited tokens in the packed row
        if measured:
            self._touched = torch.zeros(len(tokens), dtype=torch.bool)
            self._ratio = torch.zeros(len(tokens))
        self.sites = sorted({site for group in self._groups for site in group.edits})

    def _group(self, some: list[tuple[PackedSteering, int, int, list[bool]]], tokens: list[int]) -> _Group:
        """The requests of some edits; the places of their tokens go to `tokens`."""
        first, strengths = len(tokens), [row.strength for row, _, _, _ in some]
        rows = [row for row, _, _, _ in some]
        group = _Group(rows, slice(first, first), rows[0].steer.strength, self._measured)
        per_token: list[tuple[float, ...]] = []
        for row, place, start, selected in some:
            own = [t for t, chosen in enumerate(selected, place) if chosen]
            self._records.append((row, start, selected, group, len(tokens) - first))
            tokens += own
            per_token += [row.strength] * len(own)
        group.own = slice(first, len(tokens))
        if len(set(strengths)) > 1:  # else one row does: some edits prepare a matrix for each
            group.strength = torch.tensor(per_token)
        return group

    @property
    def errors(self) -> list[Exception]:
        """What went wrong in its edits, by steering."""
        return [group.rows[0].error for group in self._groups if group.rows[0].error is not None]

    def edited(self, site: Site, h: Tensor) -> Tensor:
        """`[1, N, d_model]` with each group's tokens edited by its own edit at the site."""
        tokens = self.tokens(site, h.device)
        if tokens is None:
            return self.edit(site, h[0])[None]
        return h.index_copy(1, tokens, self.edit(site, h[0, tokens])[None])

    def tokens(self, site: Site, device: torch.device) -> Tensor | None:
        """`[n]` places in the packed row of the tokens that are edited at a site; None for all, in their order."""
        here = self._here(site)
        if here == self._groups[:1] and here[0].own == slice(0, self.n_tokens):
            return None
        self._tokens = self._tokens.to(device)
        places = self._places(site)
        return self._tokens if places is None else self._tokens[places.to(device)]

    def edit(self, site: Site, before: Tensor) -> Tensor:
        """`[n, d_model]` activations of these tokens at the site, edited."""
        here = self._here(site)
        if len(here) == 1:
            after = here[0].edited(site, before)
        else:
            parts = before.split([group.own.stop - group.own.start for group in here])  # type: ignore[no-untyped-call]
            after = torch.cat([group.edited(site, part) for group, part in zip(here, parts, strict=True)])
        if self._measured:
            self._measure(before, after, self._places(site))
        return after

    def _here(self, site: Site) -> list[_Group]:
        return [group for group in self._groups if site in group.edits]

    def _places(self, site: Site) -> Tensor | None:
        """Among all edited tokens of the pass, those that are edited at a site; None for all."""
        here = self._here(site)
        if len(here) == len(self._groups):
            return None
        return torch.cat([torch.arange(group.own.start, group.own.stop) for group in here])

    def _measure(self, before: Tensor, after: Tensor, places: Tensor | None) -> None:
        """Keep which tokens changed, and by how much at most."""
        plain, device = before.float(), before.device
        change, size = (after.float() - plain).norm(dim=-1), plain.norm(dim=-1)
        ratio = torch.where(size > 0, change / size, change * 0)  # a 0 has no length to compare with
        touched = (after != before).any(dim=-1)
        self._touched, self._ratio = self._touched.to(device), self._ratio.to(device)
        if places is None:
            self._touched, self._ratio = self._touched | touched, torch.maximum(self._ratio, ratio)
        else:
            places = places.to(device)
            self._touched[places] |= touched
            self._ratio[places] = torch.maximum(self._ratio[places], ratio)

    def check(self) -> None:
        """It is over: every edit must have run."""
        for group in self._groups:
            silent = sorted(set(group.edits) - group.fired)
            if silent and group.rows[0].error is None:
                group.fail(
                    InertSteeringError(
                        f"the edit at site {silent[0]} never ran although its strength is not 0: the module there was "
                        "not called; was the model changed, wrapped or compiled after it was loaded?"
                    )
                )

    def end(self) -> None:
        """It is over: check it, and keep the records."""
        self.check()
        measures: dict[int, Measures] = {}
        for group in self._groups:
            names = group.rows[0].attributes
            gates = {
                names[c]: torch.stack([g.to(each[0].device) for g in each]).mean(dim=0)
                for c, each in group.gates.items()
            }
            measures[id(group)] = Measures(self._touched[group.own], self._ratio[group.own], gates)
        for row, start, selected, own, first in self._records:
            row.record(EditRecord(start, selected, None if own is None else measures[id(own)], first))


def _selected(
    rows: Sequence[PackedSteering | None], starts: Sequence[int], lengths: Sequence[int], ids: Tensor | None
) -> list[bool]:
    """For each token of a pass whether it is in its request's scope; numbers, which for few tokens beat tensors."""
    tokens = None
    if any(row is not None and row.marks is not None for row in rows):
        if ids is None:
            raise PlanError("a scope that goes by the model's thinking needs the tokens of the pass")
        tokens = ids.tolist()
    chosen: list[bool] = []
    for row, start, n in zip(rows, starts, lengths, strict=True):
        if row is None:
            chosen += [False] * n
            continue
        (low, high), first = row.window, start - row.prompt_len
        own = [in_window(relative, low, high) for relative in range(first, first + n)]
        if tokens is not None:
            place = len(chosen)
            thinking = row.thinking(start, tokens[place : place + n])
            own = [one and in_part(row.part, inside) for one, inside in zip(own, thinking, strict=True)]
        chosen += own
    return chosen
