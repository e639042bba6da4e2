"""How near an extraction comes to what this machine could do at best, and where the rest of the time goes.

    .venv/bin/python benchmarks/floor.py --pairs 200 --repeats 7

The limit is the time of the matrix products alone: tokens that differ x blocks needed x 2 x the block's matrix
parameters, at the fastest rate that this machine reaches on the same shapes, with as many tokens as a batch of ours. A
token counts once for all texts that begin with it and the same tokens before (a trie over all texts). All of these are
needed in the last block too, since a capture reports norms over a text's tokens. Attention's own products are left out
of the limit; a column says what they would add. Rates and extractions are measured in turn. Jobs: `extraction.py`.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

import torch
from extraction import BLOCK, FORMS, Sides, texts_of
from harness import machine, model_folder, ratio, table
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

import trimtab as tt
from trimtab.texts import Rendered

BLOCKS = BLOCK + 1
CALLS = 15  # of each way on each shape, per round
PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::linear", "aten::mkldnn_linear", "mkldnn::_linear_pointwise")
Shape = tuple[int, int]  # d_out, d_in
Rates = dict[Shape, dict[str, float]]  # FLOP/s by way


@dataclass(frozen=True)
class Need:
    """What must be computed for a list of texts.

    Args:
        tokens: of all texts.
        unique: tokens that differ in themselves or in what stands before them.
        keys: how many keys these look at, all together.
    """

    tokens: int
    unique: int
    keys: int


def need_of(rows: Sequence[Sequence[int]]) -> Need:
    """The nodes of the trie over all rows: in lexical order a row adds what it does not share with the one before."""
    unique, keys = 0, 0
    before: tuple[int, ...] = ()
    for row in sorted(tuple(row) for row in rows):
        shared = next((i for i, (a, b) in enumerate(zip(row, before, strict=False)) if a != b), len(before))
        unique += len(row) - shared
        keys += sum(range(shared + 1, len(row) + 1))
        before = row
    return Need(sum(len(row) for row in rows), unique, keys)


def shapes_of(model: tt.Model) -> Counter[Shape]:
    """The block's matrices by shape."""
    layers = [m for m in model.hf.model.layers[BLOCK].modules() if isinstance(m, torch.nn.Linear)]
    return Counter((m.out_features, m.in_features) for m in layers)


def ways_of(x: Tensor, w: Tensor) -> dict[str, Callable[[], Tensor]]:
    """How `x @ w.T` can be asked for."""
    ways = {"torch": lambda: torch.nn.functional.linear(x, w)}
    if torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        pointwise = torch.ops.mkldnn._linear_pointwise
        packed = torch.ops.mkldnn._reorder_linear_weight(w, len(x))
        ways["oneDNN"] = lambda: pointwise(x, w, None, "none", [], "")
        ways["oneDNN, packed weights"] = lambda: pointwise(x, packed, None, "none", [], "")
    return ways


@torch.no_grad()
def rates_of(shapes: Mapping[Shape, int], tokens: int, dtype: torch.dtype) -> Rates:
    """FLOP/s of every way on every shape."""
    result: Rates = {}
    for shape in shapes:
        d_out, d_in = shape
        x, w = torch.randn(tokens, d_in, dtype=dtype), torch.randn(d_out, d_in, dtype=dtype)
        times = {way: median(_seconds(call) for _ in range(CALLS)) for way, call in ways_of(x, w).items()}
        result[shape] = {way: 2 * tokens * d_out * d_in / seconds for way, seconds in times.items()}
    return result


def computed(model: tt.Model, work: Callable[[], Any]) -> int:
    """Tokens that a run hands to the first block's matrices, padding and repetition included."""
    sizes: list[int] = []
    hook = model.hf.model.layers[0].mlp.register_forward_pre_hook(
        lambda _, inputs: sizes.append(inputs[0][..., 0].numel())
    )
    with hook:
        work()
    return sum(sizes)


def limit(need: Need, shapes: Mapping[Shape, int], rates: Rates) -> float:
    """Seconds of the matrix products, each the fastest way."""
    token = sum(n * 2 * s[0] * s[1] / max(rates[s].values()) for s, n in shapes.items())
    return need.unique * BLOCKS * token


def flops(need: Need, shapes: Mapping[Shape, int]) -> float:
    """Operations of the matrix products."""
    return need.unique * BLOCKS * sum(n * 2 * s[0] * s[1] for s, n in shapes.items())


def shares(model: tt.Model, texts: Sequence[str]) -> list[float]:
    """Where a run's time goes: matrix products, attention, other operations, tokenizing, Python and the profiler."""
    with profile(activities=[ProfilerActivity.CPU]) as trace:
        whole = _seconds(partial(model.capture, texts, [BLOCK], read="last"))
    spent: Counter[str] = Counter()
    for event in trace.key_averages():
        spent[_kind(event.key)] += event.self_cpu_time_total / 1e6
    encode = min(_seconds(partial(_ids, model, texts)) for _ in range(3))
    parts = [spent["product"], spent["attention"], spent["other"], encode]
    return [part / whole for part in [*parts, whole - sum(parts)]]


def _kind(operation: str) -> str:
    if operation in PRODUCTS:
        return "product"
    return "attention" if "scaled_dot_product" in operation or "flash_attention" in operation else "other"


def _seconds(work: Callable[[], Any]) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


def _ids(model: tt.Model, texts: Sequence[str]) -> list[Sequence[int]]:
    return [row.ids for row in model.encoder().encode([Rendered("", "", text) for text in texts])]


def measure(model: tt.Model, sides: Sides, repeats: int) -> tuple[list[object], list[object], list[Rates]]:
    """A line of the table of shares, a line of the table of where time goes, and all rates."""
    texts, shapes = [*sides[0], *sides[1]], shapes_of(model)
    need = need_of(_ids(model, texts))
    work = partial(model.capture, texts, [BLOCK], read="last")
    work()  # the first run is slow
    rates, seconds = [], []
    for _ in range(repeats):
        rates.append(rates_of(shapes, model.batch_tokens, model.dtype))
        seconds.append(_seconds(work))
    limits = [limit(need, shapes, r) for r in rates]
    reached, operations = ratio(limits, seconds), flops(need, shapes)
    scores = BLOCKS * 4 * need.keys * model.d_model  # queries with keys, weights with values
    line = [
        len(texts),
        need.tokens,
        need.unique,
        computed(model, work),
        f"{operations / 1e9:.0f}",
        f"+{scores / operations:.1%}",
    ]
    line += [f"{operations / median(limits) / 1e9:.0f}", f"{median(limits):.2f}", f"{median(seconds):.2f}"]
    line.append(f"{reached.median:.0%} [{reached.low:.0%}, {reached.high:.0%}]")
    return line, [f"{share:.0%}" for share in shares(model, texts)], rates


def rate_lines(dtype: str, rates: Sequence[Rates]) -> list[list[object]]:
    """Median rate of each way, one line per shape."""
    ways = list(next(iter(rates[0].values())))
    return [
        [dtype, f"{d_in} → {d_out}", *(f"{median(r[d_out, d_in][way] for r in rates) / 1e9:.0f}" for way in ways)]
        for d_out, d_in in rates[0]
    ]


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--form", nargs="+", choices=FORMS, default=list(FORMS))
    parser.add_argument("--dtype", nargs="+", choices=["float32", "bfloat16"], default=["float32", "bfloat16"])
    return parser.parse_args()


def main() -> None:
    arguments = parsed()
    reached, spent, speeds = [], [], []
    print(machine(), flush=True)
    for dtype in arguments.dtype:
        model, rates = tt.load(model_folder(), dtype=dtype, device="cpu"), []
        for form in arguments.form:
            try:
                sides = texts_of(form, arguments.pairs)
            except LookupError as why:
                print(f"skipped: {why.args[0]}")
                continue
            line, where, measured = measure(model, sides, arguments.repeats)
            reached.append([form, dtype, *line])
            spent.append([form, dtype, *where])
            rates += measured
        speeds += rate_lines(dtype, rates) if rates else []
    columns = [
        "texts",
        "tokens",
        "unique",
        "computed",
        "GFLOP",
        "attention",
        "GFLOP/s",
        "limit, s",
        "measured, s",
        "reached",
    ]
    print("\nShare of the limit:\n\n" + table(["job", "dtype", *columns], reached))
    parts = ["matrix products", "attention", "other operations", "tokenizing", "Python and the profiler"]
    print("\nWhere the time of a profiled run goes:\n\n" + table(["job", "dtype", *parts], spent))
    ways = list(ways_of(torch.ones(1, 1), torch.ones(1, 1)))
    print(f"\nGFLOP/s on {model.batch_tokens} tokens:\n\n" + table(["dtype", "shape", *ways], speeds))


if __name__ == "__main__":
    main()
