"""Find the parts of a decoder by what they do in one tiny forward pass, not by a list of names."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import torch
from torch import Tensor, nn

from trimtab.errors import InputError
from trimtab.interventions import Site
from trimtab.models.eager import eagerly


@dataclass(frozen=True)
class Heads:
    """The attention heads of a block.

    Args:
        projection: computes the attention term from their concatenated outputs.
        n: how many.
        width: of all of them together.
    """

    projection: nn.Module
    n: int
    width: int

    def folded(self, shift: Tensor) -> Tensor:
        """What a shift of their outputs adds to the attention term: `[n, width]` to `[n, d_model]`, in its dtype."""
        weight = next(self.projection.parameters(), shift)
        plain = weight.is_floating_point() and weight.dtype.itemsize > 1  # else quantised
        dtype = weight.dtype if plain else shift.dtype
        with torch.no_grad():
            both = torch.stack([shift, torch.zeros_like(shift)]).to(weight.device, dtype)
            after, zero = self.projection(both).to(shift)  # without the bias
        folded: Tensor = after - zero
        return folded


@dataclass(frozen=True)
class Anatomy:
    """The parts that reading and editing need.

    Args:
        blocks: the decoder blocks in order.
        d_model: width of the residual stream.
        returns: by block, 0 if it returns a bare tensor, else the length of the tuple it returns.
        tail: the modules that run between the last block and the head, outermost ones, in order.
        head: the module that maps to the vocabulary; None if the model computes logits otherwise.
        bare_head: whether what the head returns are the logits: no scale and no softcap behind it.
        terms: by block, the modules whose outputs are added to the residual, as (attention, mlp), where the
            block is such a sum.
        heads: by block, its attention heads; None where no single module computes the
            attention term from their outputs.
        dtype: of the residual stream, as it was in the tiny pass.
    """

    blocks: tuple[nn.Module, ...]
    d_model: int
    returns: tuple[int, ...]
    tail: tuple[nn.Module, ...]
    head: nn.Module | None
    bare_head: bool
    terms: tuple[tuple[nn.Module, nn.Module] | None, ...]
    heads: "tuple[Heads | None, ...]"
    dtype: torch.dtype

    @property
    def heavy_modules(self) -> tuple[nn.Module, ...]:
        """The modules that do nearly all the work: blocks and head."""
        return (*self.blocks, *((self.head,) if self.head is not None else ()))

    def module(self, site: Site) -> nn.Module:
        """The module whose output is the activation at a site; of heads the one whose input it is.

        Raises:
            InputError: a block out of range, or a component that this architecture does not compute separately.
        """
        if site.block >= len(self.blocks):
            n = len(self.blocks)
            raise InputError(
                f"site {site}: the model has blocks 0 to {n - 1}; name one of these, or, if the site is of a steering, "
                f"leave out its sites beyond: trimtab.integrations.vectors.within(steering, {n})",
                code="no-such-site",
                field="site",
            )
        if site.component == "residual":
            return self.blocks[site.block]
        if site.component == "heads":
            return self.heads_of(site.block).projection
        terms = self.terms[site.block]
        if terms is None:
            raise InputError(
                f"site {site}: block {site.block} is not a plain sum of an attention and an mlp term "
                f"({type(self.blocks[site.block]).__name__}); use the residual, site {site.block}"
            )
        return terms[0 if site.component == "attention" else 1]

    def heads_of(self, block: int) -> Heads:
        """The attention heads of a block.

        Raises:
            InputError: a block out of range, or one whose attention term is not made by one module.
        """
        self.module(Site(block))
        heads = self.heads[block]
        if heads is None:
            raise InputError(
                f"site heads:{block}: no single module computes the attention term from the heads' outputs"
            )
        return heads

    def width(self, site: Site) -> int:
        """Width of the activation at a site."""
        return self.heads_of(site.block).width if site.component == "heads" else self.d_model


def first_tensor(output: Any) -> Tensor:
    """The activation in a module's output: the output itself, or the first item of a tuple."""
    tensor = output[0] if isinstance(output, (tuple, list)) else output
    if not isinstance(tensor, Tensor):
        raise InputError(f"a block returned {type(output).__name__}, which is neither a tensor nor a tuple of them")
    return tensor


def embedding_table(hf: nn.Module) -> Tensor:
    """`[vocabulary, d]` weights of the input embedding."""
    weight = hf.get_input_embeddings().weight  # type: ignore[operator]
    table: Tensor = weight() if callable(weight) and not isinstance(weight, Tensor) else weight  # torch's quantised one
    return table


def input_device(hf: nn.Module) -> torch.device:
    """Where token ids go: the device of the input embedding, also while accelerate has offloaded it.

    Raises:
        InputError: the weights have no values.
    """
    embedding = hf.get_input_embeddings()  # type: ignore[operator]
    device = embedding_table(hf).device
    if device.type != "meta":
        return device
    if not hasattr(embedding, "_hf_hook"):
        raise InputError("the model lies on the device meta, which holds no values; load its weights first")
    return torch.device(embedding._hf_hook.execution_device)


def dissect(hf: nn.Module, ids: Tensor) -> tuple[Anatomy, Any]:
    """Run one short text `[1, T]` through the model to see which parts do what; gives the model's output too.

    Raises:
        InputError: no stack of blocks is found, or the model cannot be run on a row of tokens.
    """
    candidates = _stacks(hf)
    if not candidates:
        raise InputError(f"{type(hf).__name__} has no list of similar blocks; trimtab steers decoder language models")
    try:
        trace = _observe(hf, ids)
    except (TypeError, ValueError, RuntimeError, AttributeError, KeyError, IndexError, AssertionError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{type(hf).__name__} cannot be run on a row of tokens: {first}") from error
    for blocks in candidates:
        records = [trace.calls.get(id(b), []) for b in blocks]
        if all(len(r) == 1 for r in records) and _chained([r[0] for r in records]):
            return _anatomy(hf, blocks, [r[0] for r in records], trace), trace.output
    raise InputError(f"{type(hf).__name__}: no list of blocks runs once each, in order, on a [B, T, d_model] tensor")


@dataclass
class _Call:
    """One call of a module during the probe."""

    module: nn.Module
    start: int
    end: int
    input: Tensor | None
    output: Tensor | None
    returns: int


@dataclass
class _CallTrace:
    calls: dict[int, list[_Call]]
    output: Any

    def within(self, first: int, last: int) -> list[_Call]:
        """Calls that began after `first` and ended before `last`, in order of beginning."""
        every = (c for calls in self.calls.values() for c in calls)
        return sorted((c for c in every if c.start > first and c.end < last), key=lambda c: c.start)


def _stacks(hf: nn.Module) -> list[list[nn.Module]]:
    """Lists of similar modules, outermost and longest first: the blocks are one of them."""
    result: list[tuple[int, int, list[nn.Module]]] = []
    for name, module in hf.named_modules():
        if isinstance(module, nn.ModuleList) and len(module):
            depth = name.count(".")
            if len({type(m).__name__ for m in module}) <= 2:  # hybrids alternate between two kinds
                result.append((depth, -len(module), list(module)))
    return [blocks for _, _, blocks in sorted(result, key=lambda item: item[:2])]


def _observe(hf: nn.Module, ids: Tensor) -> _CallTrace:
    clock = iter(range(1 << 30))
    calls: dict[int, list[_Call]] = {}
    running: list[_Call] = []

    def before(module: nn.Module, args: Any, kwargs: Mapping[str, Any]) -> None:
        inputs = [t for t in (*args, *kwargs.values()) if isinstance(t, Tensor) and t.is_floating_point()]
        # cloned: some blocks add in place (Falcon adds its attention to the mlp's output)
        running.append(_Call(module, next(clock), -1, inputs[0].clone() if inputs else None, None, 0))

    def after(module: nn.Module, args: Any, output: Any) -> None:
        call = running.pop()
        call.end = next(clock)
        call.returns = len(output) if isinstance(output, (tuple, list)) else 0
        first = output[0] if call.returns else output
        call.output = first.clone() if isinstance(first, Tensor) else None
        calls.setdefault(id(module), []).append(call)

    handles = []
    for module in hf.modules():
        handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
        handles.append(module.register_forward_hook(after))
    try:
        with torch.no_grad(), eagerly():
            output = hf(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return _CallTrace(calls, output)


def _chained(calls: list[_Call]) -> bool:
    """Each block takes a [1, T, d] tensor and hands one of the same shape to the next."""
    shapes = {tuple(t.shape) for c in calls for t in (c.input, c.output) if t is not None}
    complete = all(c.input is not None and c.output is not None for c in calls)
    ordered = all(a.end < b.start for a, b in pairwise(calls))
    return complete and ordered and len(shapes) == 1 and len(next(iter(shapes))) == 3


def _anatomy(hf: nn.Module, blocks: list[nn.Module], calls: list[_Call], trace: _CallTrace) -> Anatomy:
    head: nn.Module | None = hf.get_output_embeddings()  # type: ignore[operator]
    head_call = trace.calls.get(id(head), [None])[0]
    tail: list[nn.Module] = []
    if head_call is not None:
        end = -1
        for call in trace.within(calls[-1].end, head_call.start):
            if call.start > end:  # outermost calls only
                tail.append(call.module)
                end = call.end
    residual = calls[-1].output
    assert residual is not None
    terms = tuple(_terms(call, trace) for call in calls)
    n_heads = getattr(hf.config.get_text_config(), "num_attention_heads", 0)  # type: ignore[operator, union-attr]
    return Anatomy(
        blocks=tuple(blocks),
        d_model=residual.shape[-1],
        returns=tuple(c.returns for c in calls),
        tail=tuple(tail),
        head=head if head_call is not None else None,
        bare_head=head_call is not None and _same(head_call.output, getattr(trace.output, "logits", None)),
        terms=terms,
        heads=tuple(_heads(call, pair, trace, n_heads) for call, pair in zip(calls, terms, strict=True)),
        dtype=residual.dtype,
    )


def _same(a: Tensor | None, b: Tensor | None) -> bool:
    """Whether two tensors hold the same, whatever their dtypes."""
    return a is not None and b is not None and a.shape == b.shape and torch.equal(a.float(), b.float())


def _terms(block: _Call, trace: _CallTrace) -> tuple[nn.Module, nn.Module] | None:
    """The two direct children whose outputs, added to the block's input, make its output.

    Of several that fit equally (an mlp and an inactive dropout behind it), the last one is taken.
    """
    x, y = block.input, block.output
    assert x is not None
    assert y is not None
    # a child that is called twice (Phi's one dropout behind attention and mlp) is no place for either term
    children = {id(m) for m in block.module.children() if len(trace.calls.get(id(m), ())) == 1}
    inner = [c for c in trace.within(block.start, block.end) if id(c.module) in children]
    terms = [c for c in inner if c.output is not None and c.output.shape == x.shape]
    best: tuple[float, tuple[nn.Module, nn.Module]] | None = None
    for a, m in combinations(terms, 2):
        assert a.output is not None
        assert m.output is not None
        error = _misfit(x, a.output, m.output, y)
        if error < 1.0 and (best is None or error <= best[0]):
            best = (error, (a.module, m.module))
    return best[1] if best else None


def _heads(block: _Call, terms: tuple[nn.Module, nn.Module] | None, trace: _CallTrace, n: int) -> Heads | None:
    """Through the last module with a weight matrix in the block whose output is the attention term itself."""
    if terms is None:
        return None
    (whole,) = trace.calls[id(terms[0])]
    assert whole.output is not None
    heads = None
    for call in trace.within(block.start, whole.end + 1):
        weight = getattr(call.module, "weight", None)
        linear = isinstance(weight, Tensor) and weight.ndim == 2
        x, y = call.input, call.output
        if linear and x is not None and y is not None and torch.equal(y, whole.output):
            fits = n > 0 and x.ndim == 3 and x.shape[-1] % n == 0
            heads = Heads(call.module, n, x.shape[-1]) if fits else None
    return heads


def _misfit(x: Tensor, a: Tensor, m: Tensor, y: Tensor) -> float:
    """Largest |x + a + m - y| in units of what rounding in this dtype can explain; below 1 it fits."""
    size = torch.stack([t.float().abs() for t in (x, a, m, y)]).amax(dim=0)
    allowed = 4 * torch.finfo(y.dtype).eps * size + 1e-30
    return float(((x.float() + a.float() + m.float() - y.float()).abs() / allowed).max())
