"""Time and peak memory of capturing 100 to 100,000 texts into a folder: time should be linear, memory flat.

    .venv/bin/python benchmarks/memory.py --texts 100 1000 10000 100000

Every size runs in a process of its own with the embedded model: last token at block 1 (so that 100,000 take minutes),
texts of about 30 tokens made of built-in examples with a number in front, so that they have next to nothing in common.
Peak memory is the largest resident set after loading, above what the process held then (Linux keeps that count and can
reset it). "Kept in memory" is the same without a folder, for comparison.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import torch
from harness import machine, table

import trimtab as tt

BLOCK = 1


def texts(n: int) -> Iterator[str]:
    """So many distinct texts."""
    examples = tt.Behavior.builtin("sentiment").examples
    for i in range(n):
        prompt, other = examples[i % len(examples)], examples[(7 * i + i // len(examples)) % len(examples)]
        yield f"{i + 1}. {prompt.prompt}{other.positive if i % 2 else other.negative}"


def measure(n: int, folder: str) -> dict[str, float]:
    """Seconds, the process's peak memory in MiB, and tokens; `folder` empty keeps everything in memory."""
    model = tt.load("smollm2")
    model.capture(texts(64), [BLOCK])
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew from here
    loaded = peak_memory()
    start = perf_counter()
    result = model.capture(texts(n), [BLOCK], into=folder or None)
    seconds = perf_counter() - start
    assert result.activations[tt.Site(BLOCK)].shape == (n, model.d_model)
    return {"seconds": seconds, "loaded": loaded, "peak": peak_memory(), "tokens": result.sharing.given}


def peak_memory() -> float:
    """MiB, the largest resident set since the count was reset."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def run(n: int, to_folder: bool) -> list[str]:
    """One line of the table, measured in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--one", str(n), "--folder", folder if to_folder else ""]
        done = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return [
        f"{n:,}",
        "folder" if to_folder else "memory",
        f"{done['seconds']:.1f}",
        f"{1000 * done['seconds'] / n:.2f}",
        f"{done['tokens'] / done['seconds']:,.0f}",
        f"{done['loaded']:,.0f}",
        f"+{done['peak'] - done['loaded']:,.0f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, nargs="+", default=[100, 1000, 10_000, 100_000])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one, arguments.folder)))
        return
    dtype = str(tt.load("smollm2").dtype).removeprefix("torch.")
    print(f"{machine()}; {dtype}, {torch.get_num_threads()} threads\n")
    rows = [run(n, True) for n in arguments.texts] + [run(n, False) for n in arguments.texts[:-1]]
    print(table(["texts", "kept in", "s", "ms a text", "tokens/s", "MiB before", "peak, MiB more"], rows))


if __name__ == "__main__":
    main()
