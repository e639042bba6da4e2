"""Tokens per second at 16 clients over HTTP: `trimtab vllm` against `trimtab serve`, whose transformers engine runs it.

    make test-vllm   # makes the environment
    .venv/bin/python benchmarks/vllm_clients.py --vllm .bench/vllm/bin/python --json out/bench/vllm_clients.jsonl

Both servers run all the time with the same model in the same dtype, one thread for each core; only one is asked at a
time. A wave is 16 clients who each ask for one greedy completion of 32 tokens, unsteered, with every second one
steered, or all; waves of both servers alternate, every second round in reverse. Steered means that edits are run whose
vectors are zeros, so that all waves compute the same tokens. Ratios are of medians, with a paired 95 % bootstrap
interval over rounds. The table is written by benchmarks/vllm_throughput.py.
"""

import argparse
import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx2
from harness import kept, machine, model_folder, ratio, table
from served import TEXTS, Vllm, our_url, save_steerings, started, trimtab_serve

import trimtab as tt

TOKENS: Final = 32
WARM_UP: Final = 2
WAVES: Final = ("unsteered", "every second one steered", "all steered")
Row = dict[str, Any]


async def wave(client: httpx2.AsyncClient, url: str, steered: str) -> float:
    """Tokens per second of one wave."""

    async def one(i: int, text: str) -> int:
        body = {"model": "tested", "prompt": text, "max_tokens": TOKENS, "temperature": 0}
        if steered == "all steered" or (steered != "unsteered" and i % 2):
            body["steering"] = {"name": "gated"}
        response = await client.post(f"{url}/completions", json=body)
        response.raise_for_status()
        return int(response.json()["usage"]["completion_tokens"])

    began = time.perf_counter()
    counts = await asyncio.gather(*(one(i, text) for i, text in enumerate(TEXTS)))
    return sum(counts) / (time.perf_counter() - began)


async def rates(urls: dict[str, str], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Tokens per second by server and kind of wave, one for each round."""
    found: dict[str, dict[str, list[float]]] = {name: {kind: [] for kind in WAVES} for name in urls}
    async with httpx2.AsyncClient(timeout=300) as client:
        for k in range(-WARM_UP, rounds):
            for kind in WAVES:
                for name in list(urls)[:: -1 if k % 2 else 1]:
                    rate = await wave(client, urls[name], kind)
                    if k >= 0:
                        found[name][kind].append(rate)
    return found


def measured(python: str, rounds: int, dtype: str) -> Row:
    """The rates of both servers."""
    folder = model_folder()
    with TemporaryDirectory() as work, ExitStack() as stack:
        steerings = Path(work) / "steerings"
        save_steerings(tt.load(folder, dtype="float32"), steerings, 0.0)
        own = ["--dtype", dtype, "--max-model-len", 512, "--max-num-seqs", len(TEXTS)]
        options = [folder, "--steerings", steerings, "--", *own, "--served-model-name", "tested"]
        vllm = Vllm(python, [*options, "--no-enable-prefix-caching"], Path(work) / "vllm.log")
        stack.callback(vllm.kill)
        vllm.start()
        ours = ["--model", folder, "--dtype", dtype, "--name", "tested", "--steerings", steerings]
        ours += ["--no-auth", "--no-playground", "--requests-per-minute", 10**6]
        server = stack.enter_context(started(trimtab_serve(*ours), our_url))
        return {
            "machine": machine(),
            "tokens_per_s": asyncio.run(rates({"vllm": vllm.url, "serve": server.url}, rounds)),
        }


def section(row: Row) -> Iterator[str]:
    """The part of the page."""
    found = row["tokens_per_s"]
    lines = []
    for kind in WAVES:
        vllm, serve = found["vllm"][kind], found["serve"][kind]
        lines.append((kind, f"{median(vllm):.0f}", f"{median(serve):.0f}", ratio(vllm, serve)))
    settings = row["settings"]
    yield "## vLLM over the transformers engine, at 16 clients\n"
    command = "benchmarks/vllm_clients.py --vllm .bench/vllm/bin/python"
    yield f"`.venv/bin/python {command} --rounds {settings['rounds']}`\n"
    yield (
        f"{row['machine']}. `trimtab vllm` and `trimtab serve` over HTTP, {settings['model']} in {settings['dtype']}, "
        f"16 greedy completions of {TOKENS} tokens at once, {settings['rounds']} rounds in turns in one run; steered "
        "by three gated attributes.\n"
    )
    yield table(("", "vLLM, tokens/s", "transformers engine, tokens/s", "ratio"), lines) + "\n"


def main() -> None:
    """Measure, and show the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vllm", required=True, metavar="PYTHON", help="of an environment with vLLM")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--json", type=Path, metavar="FILE", help="JSON lines, one per row, kept between runs")
    args = parser.parse_args()
    settings = {"rounds": args.rounds, "dtype": args.dtype, "model": model_folder().name}
    print("\n".join(section(kept(args.json, settings, lambda: measured(args.vllm, args.rounds, args.dtype)))))


if __name__ == "__main__":
    main()
