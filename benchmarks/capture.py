"""Reading activations at one middle block: trimtab against a plain transformers loop, as ratios of medians.

    make bench        (or: .venv/bin/python benchmarks/capture.py --pairs 100 --repeats 5)

Both read the last token at block 14 of the embedded model, for both sides of built-in examples. The plain
loop asks for hidden states and pads its batches in the order the texts come; it is given its best batch size.
Results must agree (cosine > 0.999) before anything is timed. Runs alternate; the table shows ratios of medians.
"""

import argparse
import platform
from collections.abc import Callable
from statistics import median
from time import perf_counter

import torch

import trimtab as tt
from trimtab.behaviors import Rendered
from trimtab.models.text import collate

SITE = tt.Site(14)


def plain(model: tt.Model, texts: list[str], batch_size: int) -> torch.Tensor:
    """What one writes by hand: `[n, d_model]`."""
    rows = model.encoder().encode([Rendered("", "", t) for t in texts])
    out = []
    for start in range(0, len(rows), batch_size):
        batch = collate(rows[start : start + batch_size], 0, model.device)
        with torch.no_grad():
            states = model.hf.model(
                input_ids=batch.ids, attention_mask=batch.real.long(), output_hidden_states=True
            ).hidden_states
        out.append(states[SITE.block + 1][torch.arange(len(states[0])), batch.last].float())
    return torch.cat(out)


def ours(model: tt.Model, texts: list[str]) -> torch.Tensor:
    """The same with trimtab."""
    return model.capture(texts, [SITE], read="last").activations[SITE]


def timed(work: Callable[[], torch.Tensor]) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    examples = tt.Behavior.builtin("sentiment").examples[: arguments.pairs]
    texts = [e.prompt + side for e in examples for side in (e.positive, e.negative)]
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, {len(texts)} texts")
    print("| dtype | plain loop's best batch | trimtab over plain at batch 1 | trimtab over plain at its best batch |")
    print("|---|---|---|---|")
    for dtype in ("float32", "bfloat16"):
        print(row(tt.load("smollm2", dtype=dtype), texts, arguments.repeats))


def row(model: tt.Model, texts: list[str], repeats: int) -> str:
    """One line of the table."""
    agreement = torch.cosine_similarity(plain(model, texts, 16), ours(model, texts)).min()
    assert agreement > 0.999, f"results differ: cosine {agreement}"
    best = min((4, 16, 64), key=lambda size: timed(lambda: plain(model, texts, size)))
    work = {
        "ours": lambda: ours(model, texts),
        "best": lambda: plain(model, texts, best),
        "one": lambda: plain(model, texts, 1),
    }
    runs: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(repeats):
        for name, run in work.items():
            runs[name].append(timed(run))
    ratio = {name: median(times) / median(runs["ours"]) for name, times in runs.items()}
    dtype = str(model.dtype).removeprefix("torch.")
    return f"| {dtype} | {best} | {ratio['one']:.1f}× | {ratio['best']:.1f}× |"


if __name__ == "__main__":
    main()
