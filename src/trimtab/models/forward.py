"""The one forward pass: read, edit, stop, resume and pick logits, all from one `Plan`."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from trimtab.errors import InertSteeringError, PlanError
from trimtab.interventions import Site, ThinkingMarks
from trimtab.models.blocks import Anatomy, first_tensor
from trimtab.models.masks import texts_apart
from trimtab.models.plan import UNDECIDED, Batch, Plan, Steer, Trace, in_scope
from trimtab.models.thinking import GrowingThinking


class _Stop(Exception):  # noqa: N818 - not an error: everything asked for has been read
    pass


def run(anatomy: Anatomy, call: Callable[[], Any], batch: Batch, plan: Plan) -> Trace:
    """Carry out a plan on a batch.

    Args:
        anatomy: the parts of the model.
        call: runs the Hugging Face model on the batch and returns its output.
        batch: the rows.
        plan: what to read, edit and return.

    Raises:
        PlanError: the plan contradicts itself or the model.
        InertSteeringError: an edit with a non-zero strength selected tokens and never ran.
    """
    _validate(anatomy, batch, plan)
    with ExitStack() as stack:
        work = stack.enter_context(edited(anatomy, batch, plan))
        if plan.resume is not None:
            stack.enter_context(_resumed(anatomy, *plan.resume))
        stack.enter_context(texts_apart(anatomy.blocks, batch))
        if plan.logits != "none" and anatomy.head is not None:
            picked = _picked(anatomy.head, batch, plan) if plan.head else _stopped(anatomy.head, batch, plan, work)
            stack.enter_context(picked)
        logits = None
        with suppress(_Stop):
            logits = call().logits.float()
        work.check()
    if logits is not None and anatomy.head is None:
        logits = _pick(logits, batch, plan)
    if logits is not None and not plan.head:  # made without a head, in front of which to stop
        logits, work.hidden = None, logits
    return Trace(work.read, logits, work.hidden, work.selected)


class _Pass:
    """Reads and edits of one forward pass, or of one generation, and what happened of them."""

    def __init__(self, batch: Batch, plan: Plan) -> None:
        n, device = batch.ids.shape[0], batch.ids.device
        self.steers = [s.fit(n, device) for s in plan.steers if s.active]  # an inactive steering leaves no hook
        self.place(batch)
        self.pending = set(plan.read)
        self.stops = plan.logits == "none" and bool(plan.read)
        self.read: dict[Site, Tensor] = {}
        self.hidden: Tensor | None = None
        self.fired = [dict.fromkeys(s.edits, False) for s in self.steers]
        self.next = 0  # column of the next token, once a cache holds those before it

    def place(self, batch: Batch) -> None:
        """Decide which tokens of the batch are edited."""
        self.masks = [(in_scope(batch, s.window, s.part) & s.on)[..., None] for s in self.steers]  # [B, T, 1]

    @property
    def sites(self) -> set[Site]:
        return self.pending.union(*(s.edits for s in self.steers))

    @property
    def selected(self) -> Tensor | None:
        """Tokens that edits were at work on, summed over edits; None when no edit ran."""
        if not any(ran for fired in self.fired for ran in fired.values()):
            return None
        counts = [mask.sum() * sum(fired.values()) for mask, fired in zip(self.masks, self.fired, strict=True)]
        return torch.stack(counts).sum()

    def at(self, site: Site, h: Tensor) -> Tensor:
        """The activation at a site has been computed: read it, then edit it."""
        if site in self.pending:
            # terms are cloned, since some blocks go on to add in place to what they were handed
            self.read[site] = h.detach() if site.component == "residual" else h.detach().clone()
            self.pending.discard(site)
        for i, steer in enumerate(self.steers):
            edit = steer.edits.get(site)
            if edit is not None:
                mask = self.masks[i][:, self.next : self.next + h.shape[1]].to(h.device)
                h = torch.where(mask, edit(h, steer.strength.to(h.device)).to(h.dtype), h)
                self.fired[i][site] = True
        if self.stops and not self.pending:
            raise _Stop
        return h

    def check(self) -> None:
        """Every active edit must have run, unless its scope selected no token."""
        for mask, fired in zip(self.masks, self.fired, strict=True):
            silent = [site for site, ran in fired.items() if not ran]
            if silent and bool(mask.any()):
                raise InertSteeringError(
                    f"the edit at site {silent[0]} never ran although its strength is not 0: the module there was "
                    "not called; was the model changed, wrapped or compiled after it was loaded?"
                )


@contextmanager
def edited(anatomy: Anatomy, batch: Batch, plan: Plan) -> Iterator[_Pass]:
    """Hooks for the plan's reads and edits; all gone on leaving, also after an error."""
    work = _Pass(batch, plan)
    with ExitStack() as stack:
        for site in sorted(work.sites):
            module = anatomy.module(site)
            heads = site.component == "heads"
            handle = (
                module.register_forward_pre_hook(_reading(work, site))
                if heads
                else module.register_forward_hook(_hook(work, site))
            )
            stack.callback(handle.remove)
        yield work


@contextmanager
def edited_steps(
    hf: nn.Module,
    anatomy: Anatomy,
    batch: Batch,
    steers: tuple[Steer, ...],
    width: int,
    marks: ThinkingMarks | None = None,
) -> Iterator[None]:
    """In here calls of the model decode a batch: hooks are set once, and every step is one call of each.

    Args:
        hf: the model.
        anatomy: its parts.
        batch: the prompts with all tokens to come; which of them are edited is known before the first step, but for
            scopes that go by the model's thinking.
        steers: edits.
        width: columns of the prompts. The first call runs these; later ones a single token behind a cache, or, without
            a cache, everything so far.
        marks: of the model's thinking, where a scope goes by it.

    Raises:
        PlanError: the model is called in another order.
    """
    plan = Plan(steers, logits="last")
    _validate(anatomy, batch, plan)
    thinking = None if marks is None else GrowingThinking(marks, batch)
    batch = batch if marks is None else replace(batch, thinking=torch.zeros_like(batch.real))
    expected = iter(range(width, batch.ids.shape[1]))

    def stepping(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        now, so_far = kwargs["input_ids"].shape[1], next(expected, None)
        if so_far is None or now not in (so_far, 1):
            raise PlanError(f"a step of generation came with {now} tokens a row, not with 1 or {so_far}")
        work.next = 0 if now == so_far else so_far - 1
        if thinking is not None:
            work.place(thinking.read(kwargs["input_ids"], work.next))

    with edited(anatomy, batch, plan) as work:
        handle = hf.register_forward_pre_hook(stepping, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()
        work.check()


def _hook(work: _Pass, site: Site) -> Callable[..., Any]:
    def hook(module: nn.Module, args: Any, output: Any) -> Any:
        before = first_tensor(output)
        after = work.at(site, before)
        if after is before:
            return None
        return after if isinstance(output, Tensor) else (after, *output[1:])

    return hook


def _reading(work: _Pass, site: Site) -> Callable[..., None]:
    def hook(module: nn.Module, args: Any) -> None:
        work.at(site, args[0])

    return hook


@contextmanager
def replaced(module: object, value: Any, name: str = "forward") -> Iterator[None]:
    """Another `forward` (or other attribute) on this instance for a while; the instance itself stays where it is."""
    own, before = name in module.__dict__, module.__dict__.get(name)
    setattr(module, name, value)
    try:
        yield
    finally:
        if own:
            setattr(module, name, before)
        else:
            delattr(module, name)


@contextmanager
def _resumed(anatomy: Anatomy, site: Site, residual: Tensor) -> Iterator[None]:
    """Blocks below the site hand on what they get; the block of the site returns the stored residual."""
    with ExitStack() as stack:
        for k in range(site.block + 1):
            stored = residual if k == site.block else None
            stack.enter_context(replaced(anatomy.blocks[k], _passing(stored, anatomy.returns[k])))
        yield


def _passing(stored: Tensor | None, returns: int) -> Callable[..., Any]:
    """A block's forward that computes nothing, in the shape that the block returns."""

    def forward(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        h = hidden_states if stored is None else stored.to(hidden_states.device)
        return (h, *[None] * (returns - 1)) if returns else h

    return forward


@contextmanager
def _picked(head: nn.Module, batch: Batch, plan: Plan) -> Iterator[None]:
    """The head sees only the positions whose logits are asked for."""
    project = head.forward

    def forward(h: Tensor, *args: Any, **kwargs: Any) -> Any:
        return project(_pick(h, batch, plan), *args, **kwargs)

    with replaced(head, forward):
        yield


@contextmanager
def _stopped(head: nn.Module, batch: Batch, plan: Plan, work: _Pass) -> Iterator[None]:
    """The pass ends in front of the head and of all hooks on it, with what it is handed at the positions asked for."""

    def stop(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        (h,) = (*args, *kwargs.values())
        work.hidden = _pick(h, batch, plan)
        raise _Stop

    handle = head.register_forward_pre_hook(stop, with_kwargs=True, prepend=True)
    try:
        yield
    finally:
        handle.remove()


def _pick(h: Tensor, batch: Batch, plan: Plan) -> Tensor:
    """`[B, T, x]` to `[B, x]` (last), `[N, x]` (answer) or itself (all)."""
    if plan.logits == "last":
        return h[torch.arange(len(h), device=h.device), batch.last.to(h.device)]
    if plan.logits == "answer":
        return h[batch.predicts_answer.to(h.device)]
    return h


def _validate(anatomy: Anatomy, batch: Batch, plan: Plan) -> None:
    if plan.logits == "none" and not plan.read:
        raise PlanError("the plan asks for nothing: name sites to read, or logits")
    if plan.logits == "last" and batch.text is not None:
        raise PlanError("a row of several texts has no last token; ask for the answers' logits")
    if any(s.undecided for s in plan.steers):
        raise PlanError(UNDECIDED)
    steered = {site for s in plan.steers if s.active for site in s.edits}
    for site in plan.read | steered:
        anatomy.module(site)
    heads = [site for site in steered if site.component == "heads"]
    if heads:
        raise PlanError(f"site {heads[0]}: heads are read, not edited; edit attention:{heads[0].block}")
    if plan.logits == "none":
        _nothing_above(max(_depth(s) for s in plan.read), plan.steers)
    if plan.resume is not None:
        site, residual = plan.resume
        if site.component != "residual":
            raise PlanError(f"resume at {site}: only a residual holds everything that the blocks above need")
        if residual.shape != (*batch.ids.shape, anatomy.d_model):
            needed = [*batch.ids.shape, anatomy.d_model]
            raise PlanError(f"resume needs a residual {needed} for this batch, not {list(residual.shape)}")
        anatomy.module(site)
        below = sorted(s for s in plan.read | steered if _depth(s) < _depth(site))
        if below:
            raise PlanError(f"site {below[0]} lies below the residual at site {site} that the pass resumes from")


def _nothing_above(deepest: tuple[int, bool], steers: tuple[Steer, ...]) -> None:
    for s in steers:
        for site in s.edits:
            if s.active and _depth(site) > deepest:
                raise PlanError(f"the edit at site {site} lies above everything that is read, so it would never run")


def _depth(site: Site) -> tuple[int, bool]:
    return site.block, site.component == "residual"
