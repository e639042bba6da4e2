"""Input and output of a forward pass: Batch, Steer, Plan, Trace. See README.md beside this file."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor

from trimtab.errors import InputError, PlanError
from trimtab.interventions import (
    PARTS,
    WINDOWS,
    Condition,
    Edit,
    Scope,
    Scopes,
    Site,
    Steerable,
    Strengths,
    checked_scopes,
    strength_rows,
)

Logits = Literal["none", "last", "answer", "all"]

UNDECIDED = (
    "the steering acts under conditions on prompts or puts text in front of them; steer generate, score or capture "
    "by it, which are given the prompts"
)


@dataclass(frozen=True)
class Batch:
    """Rows of tokens, padded on either side.

    Args:
        ids: `[B, T]` int64 token ids.
        real: `[B, T]` bool, False on padding.
        position: `[B, T]` position in the row's own text; continues over KV-cache steps.
        prompt_len: `[B]` tokens before the answer, the same meaning in scoring and generation.
        past: `[B, P]` bool, `real` of the tokens that are already in the cache; None without one.
        text: `[B, T]` number of the text that a token belongs to, -1 for what all texts of a row have in common;
            None where every row is one text.
        thinking: `[B, T]` bool, whether a thinking part is open behind a token; None where no scope asks for it.

    Example:
        >>> import torch
        >>> from trimtab.models import Encoded, collate
        >>> batch = collate([Encoded((1, 5, 6), 2), Encoded((1, 7), 1)], 0, torch.device("cpu"))
        >>> batch.position.tolist(), batch.real.tolist()
        ([[0, 1, 2], [0, 1, 0]], [[True, True, True], [True, True, False]])
    """

    ids: Tensor
    real: Tensor
    position: Tensor
    prompt_len: Tensor
    past: Tensor | None = None
    text: Tensor | None = None
    thinking: Tensor | None = None

    @property
    def last(self) -> Tensor:
        """`[B]` column of each row's last real token."""
        columns = torch.arange(self.real.shape[1], device=self.real.device)
        return (self.real * columns).argmax(dim=1)

    @property
    def text_of(self) -> Tensor:
        """`[B, T]` number of the text that a token belongs to; -1 for what all texts of a row have in common."""
        if self.text is not None:
            return self.text
        return torch.arange(len(self.ids), device=self.ids.device)[:, None].expand_as(self.ids)

    def repeated(self, n: int) -> "Batch":
        """Every row `n` times, one after the other; text `t` becomes the texts `n t` to `n t + n - 1`."""
        if n == 1:
            return self
        text, past, thinking = self.text, self.past, self.thinking
        if text is not None:
            nth = torch.arange(n, device=text.device).repeat(len(text))[:, None]
            text = text.repeat_interleave(n, dim=0)
            text = torch.where(text < 0, -1, text * n + nth)
        return Batch(
            self.ids.repeat_interleave(n, dim=0),
            self.real.repeat_interleave(n, dim=0),
            self.position.repeat_interleave(n, dim=0),
            self.prompt_len.repeat_interleave(n, dim=0),
            past if past is None else past.repeat_interleave(n, dim=0),
            text,
            thinking if thinking is None else thinking.repeat_interleave(n, dim=0),
        )

    @property
    def predicts_answer(self) -> Tensor:
        """`[B, T]` bool, True where the *next* token belongs to the answer."""
        following = torch.zeros_like(self.real)
        following[:, :-1] = self.real[:, 1:]
        if self.text is not None:
            following[:, :-1] &= self.text[:, 1:] == self.text[:, :-1]
        return self.real & following & (self.position >= self.prompt_len[:, None] - 1)

    @property
    def answers(self) -> tuple[Tensor, Tensor]:
        """`[N]` text and `[N]` id of every answer token, in the order of the positions that predict them."""
        at = self.predicts_answer
        return self.text_of[at], self.ids.roll(-1, dims=1)[at]

    @property
    def answer_places(self) -> Tensor:
        """`[N]` place of every answer token in its answer, from 0, in the same order."""
        return (self.position - self.prompt_len[:, None] + 1)[self.predicts_answer]


def in_window(relative: Any, low: Any, high: Any) -> Any:
    """Whether a scope's window holds a token: numbers, or tensors of them.

    Args:
        relative: `position - prompt_len`.
        low, high: the window, its end not among them.

    Example:
        >>> from trimtab.models import in_window
        >>> in_window(3, 0, 9)
        True
    """
    return (relative >= low) & (relative < high)


def in_part(part: Any, thinking: Any) -> Any:
    """Whether a scope takes a token inside or outside of the thinking part: numbers, or tensors of them.

    Args:
        part: 1 for tokens behind which a thinking part is open, 0 for the others, -1 for both.
        thinking: whether one is open.

    Example:
        >>> from trimtab.models import in_part
        >>> in_part(-1, True), in_part(0, True)
        (True, False)
    """
    return (part < 0) | (thinking == (part > 0))


def in_scope(batch: Batch, window: Tensor, part: Tensor | None = None) -> Tensor:
    """`[B, T]` bool: the tokens that a scope selects, by `in_window` and `in_part`, which alone decide it.

    Args:
        batch: the rows.
        window: `[B, 2]` or `[1, 2]`, the scope as bounds on `position - prompt_len`.
        part: `[B, 1]` or `[1, 1]`, 1 for tokens behind which a thinking part is open, 0 for the others, -1 for both;
            None for both in every row.

    Raises:
        PlanError: a part is asked for, and the batch does not say what is thinking.

    Example:
        >>> import torch
        >>> from trimtab.models import Encoded, collate, in_scope
        >>> batch = collate([Encoded((1, 5, 6), 2), Encoded((1, 7), 1)], 0, torch.device("cpu"))
        >>> in_scope(batch, torch.tensor([[0, 9]])).tolist()  # the answers
        [[False, False, True], [False, True, False]]
    """
    relative = batch.position - batch.prompt_len[:, None]
    selected: Tensor = batch.real & in_window(relative, window[:, :1], window[:, 1:])
    if part is None:
        return selected
    if batch.thinking is None:
        raise PlanError("the scopes thinking and answer need a batch that says what is thinking")
    of_part: Tensor = in_part(part, batch.thinking)
    return selected & of_part


@dataclass(frozen=True)
class Steer:
    """Edits with their strengths for the rows of a batch; a row of zeros is off.

    Args:
        edits: one edit per site.
        strength: `[B, A]`, or `[1, A]` for the same in every row.
        scope: which tokens, one for all rows or one per row.
        conditions: by attribute, all that a row's prompt must meet; decided before a pass
            (`trimtab.models.conditions`).

    Raises:
        InputError: an unknown scope, a strength that is not finite, a number of scopes that does not match the rows.

    Example:
        >>> import torch
        >>> import trimtab as tt
        >>> from trimtab.models import steer
        >>> steering = tt.Steering.from_vector(14, torch.ones(576))
        >>> two_rows = steer(steering, [0.0, 2.0])  # a Steer
        >>> two_rows.strength.tolist(), two_rows.on.tolist()
        ([[0.0], [2.0]], [[False], [True]])
    """

    edits: Mapping[Site, Edit]
    strength: Tensor
    scope: Scope | tuple[Scope, ...] = "all"
    conditions: tuple[tuple[Condition, ...], ...] = ()
    window: Tensor = field(init=False, repr=False)  # [B or 1, 2]
    part: Tensor | None = field(init=False, repr=False)  # [B or 1, 1], as `in_scope` takes it
    on: Tensor = field(init=False, repr=False)  # [B or 1, 1] bool: rows that are not all zero
    active: bool = field(init=False, repr=False)  # known on the host, so that asking costs no synchronisation

    def __post_init__(self) -> None:
        scopes = checked_scopes(self.scope)
        if self.strength.ndim != 2:
            raise InputError(f"strength must be [rows, attributes], not {list(self.strength.shape)}")
        if not bool(torch.isfinite(self.strength).all()):
            raise InputError("a strength is not a finite number")
        if len(scopes) > 1 and self.strength.shape[0] not in (1, len(scopes)):
            raise InputError(f"{len(scopes)} scopes for {self.strength.shape[0]} rows of strengths")
        on = (self.strength != 0).any(dim=1, keepdim=True)
        device = self.strength.device
        object.__setattr__(self, "window", torch.tensor([WINDOWS[s] for s in scopes], device=device))
        parts = [[int(PARTS.get(s, -1))] for s in scopes] if PARTS.keys() & set(scopes) else None
        object.__setattr__(self, "part", None if parts is None else torch.tensor(parts, device=device))
        object.__setattr__(self, "on", on)
        object.__setattr__(self, "active", bool(on.any()) and bool(self.edits))

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """One for all rows, or one per row."""
        return checked_scopes(self.scope)

    @property
    def undecided(self) -> bool:
        """Whether it has conditions, which `trimtab.models.conditions` decides before a pass."""
        return self.active and any(self.conditions)

    @property
    def rows(self) -> int:
        """How many rows it is written for; 1 means any number."""
        return max(self.strength.shape[0], self.window.shape[0])

    def select(self, rows: Tensor) -> "Steer":
        """The same for some rows, in the order of `rows`; what is alike in all rows stays as it is."""
        if self.rows == 1:
            return self
        strength = self.strength if len(self.strength) == 1 else self.strength[rows.to(self.strength.device)]
        scope = self.scope
        if not isinstance(scope, str) and len(scope) > 1:
            scope = tuple(scope[i] for i in rows.tolist())
        return replace(self, strength=strength, scope=scope)

    def fit(self, n_rows: int, device: torch.device) -> "Steer":
        """The same on a device and for `n_rows` rows; a multiple (beams of a row stand together) repeats them.

        Raises:
            PlanError: the number of rows fits no multiple.
        """
        if self.rows not in (1, n_rows):
            if n_rows % self.rows:
                raise PlanError(f"strengths or scopes for {self.rows} rows cannot steer a batch of {n_rows} rows")
            return self.select(torch.arange(self.rows).repeat_interleave(n_rows // self.rows)).fit(n_rows, device)
        if self.strength.device == device:
            return self
        moved = copy.copy(self)  # past the checks, which would wait for the device
        for name in ("strength", "window", "part", "on"):
            if (own := getattr(self, name)) is not None:
                object.__setattr__(moved, name, own.to(device, non_blocking=True))
        return moved


def steer(steering: Steerable, strength: Strengths = None, scope: Scopes = "all") -> Steer:
    """A steering at given strengths, for `Plan`.

    Args:
        steering: edits with named attributes.
        strength: as `trimtab.interventions.strength_rows` takes it, for all rows or one per row.
        scope: one for all rows, or a list, one per row.

    Raises:
        InputError: an unknown attribute, a strength that is not a finite number.

    Example:
        >>> import torch
        >>> import trimtab as tt
        >>> from trimtab.models import steer
        >>> steering = tt.Steering.from_vector(14, torch.ones(576))
        >>> steer(steering, 2.0, scope="generated").strength.tolist()
        [[2.0]]
    """
    rows = [list(row.values()) for row in strength_rows(steering, strength)]
    conditions = tuple(steering.conditions.get(name, ()) for name in steering.attributes) if steering.conditions else ()
    scopes = checked_scopes(scope)
    return Steer(
        steering.edits,
        torch.tensor(rows, dtype=torch.float32),
        scopes[0] if isinstance(scope, str) else scopes,
        conditions,
    )


def side_by_side(variants: Sequence[tuple[Steer, ...]], n_rows: int) -> tuple[Steer, ...]:
    """The edits of several variants for a batch that holds every row once per variant, one after the other.

    Args:
        variants: what each variant steers by; the same edits at several strengths become one steer.
        n_rows: rows before they are repeated (`Batch.repeated`).
    """
    k = len(variants)
    if k == 1:
        return variants[0]
    tables: dict[tuple[int, int, Scope | tuple[Scope, ...]], tuple[Steer, Tensor]] = {}
    for i, steers in enumerate(variants):
        for place, s in enumerate(steers):
            key = (place, id(s.edits), s.scope)
            _, table = tables.setdefault(key, (s, torch.zeros(n_rows, k, s.strength.shape[1])))
            table[:, i] = s.strength
    return tuple(
        Steer(s.edits, table.flatten(0, 1), _repeated(scope, k))
        for (_, _, scope), (s, table) in sorted(tables.items(), key=lambda item: item[0][0])
    )


def _repeated(scope: Scope | tuple[Scope, ...], k: int) -> Scope | tuple[Scope, ...]:
    return scope if isinstance(scope, str) or len(scope) == 1 else tuple(s for s in scope for _ in range(k))


@dataclass(frozen=True)
class Plan:
    """What one forward pass is to do.

    Args:
        steers: edits, applied in order.
        read: sites to capture, each before the edit at that site, so that a captured residual is a resume state.
        logits: `none` stops after the deepest read; `last` gives `[B, V]`, `answer` the positions whose next
            token belongs to the answer, packed `[N, V]`, `all` `[B, T, V]`. Always float32.
        head: False stops in front of the head: the trace holds what it would have been handed at these positions,
            of which `trimtab.models.predictions` makes logits, few rows at a time.
        resume: start above this residual `[B, T, d_model]`; repeat rows to sweep strengths.

    Example:
        >>> import trimtab as tt
        >>> from trimtab.models import Plan
        >>> plan = Plan(read=frozenset([tt.Site(14)]), logits="last")
        >>> plan.steers, plan.resume
        ((), None)
    """

    steers: tuple[Steer, ...] = ()
    read: frozenset[Site] = frozenset()
    logits: Logits = "none"
    head: bool = True
    resume: tuple[Site, Tensor] | None = None


@dataclass(frozen=True)
class Trace:
    """The result of a forward pass.

    Args:
        activations: `[B, T, d_model]` by site, in the blocks' dtype, before the edit at that site.
        logits: float32, shaped as the plan's `logits` says; None for `none`, and where the plan stops at the head.
        hidden: in place of logits where the plan stops at the head, shaped likewise, d_model for V; the logits
            themselves where the model makes them without a head.
        selected: tokens that an active steer selected, summed over edits: a scalar on the model's device;
            None when nothing was steered.

    Example:
        >>> import trimtab as tt
        >>> from trimtab.models import Encoded, Plan, collate
        >>> model = tt.load("smollm2")
        >>> batch = collate([Encoded((1, 5, 6), 2)], model.pad, model.device)
        >>> trace = model.forward(batch, Plan(read=frozenset([tt.Site(14)]), logits="last"))
        >>> trace.activations[tt.Site(14)].shape, trace.logits.shape
        (torch.Size([1, 3, 576]), torch.Size([1, 49152]))
    """

    activations: Mapping[Site, Tensor]
    logits: Tensor | None = None
    hidden: Tensor | None = None
    selected: Tensor | None = None
