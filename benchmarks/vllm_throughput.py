"""Tokens per second of vLLM with the plug-in: steered over unsteered, in one process and one run.

    make test-vllm   # makes the environment
    .bench/vllm/bin/python benchmarks/vllm_throughput.py --json out/bench/vllm.jsonl \
        --clients out/bench/vllm_clients.jsonl --soak out/bench/vllm_soak.jsonl --out docs/results/scale.md

Target: with every request steered, and with every second one, tokens per second over those unsteered have an interval
that begins at 0.97 or above.

Each wave is 16 greedy completions of 32 tokens that vLLM's offline engine takes at once, compiled, the prefix cache
emptied before. Waves without steering, with each kind of steering, and with every second request steered alternate,
every second round in reverse. Steered means that edits are run whose vectors are zeros, so that all waves compute the
same tokens. --clients and --soak put what vllm_clients.py and serving_soak.py measured onto the same page; --busy puts
into the table what else the machine did.
"""

import argparse
import os
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from harness import kept, known, machine, model_folder, publish, ratio, table
from served import TEXTS, save_steerings
from serving_table import soak
from vllm_clients import section

import trimtab as tt

TARGET = 0.97
TOKENS, WARM_UP = 32, 2
PLAIN, HALF = "unsteered", "every second one, additive"
SOAK = ".venv/bin/python benchmarks/serving_soak.py --requests 500 --vllm .bench/vllm/bin/python"
KINDS = ("additive", "gated", "several")
Row = dict[str, Any]


def asks(wave: str) -> list[str | None]:
    """The steering of each of a wave's requests."""
    if wave == PLAIN:
        return [None] * len(TEXTS)
    if wave == HALF:
        return ["additive" if i % 2 else None for i in range(len(TEXTS))]
    return [wave] * len(TEXTS)


def rates(rounds: int, dtype: str) -> dict[str, list[float]]:
    """Tokens per second of each kind of wave, one for each round."""
    from vllm import LLM, SamplingParams

    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    folder = model_folder()
    with TemporaryDirectory() as steerings:
        model = tt.load(folder, dtype="float32")
        save_steerings(model, Path(steerings), 0.0)
        prompts = [{"prompt_token_ids": list(model.encoder().encode([text])[0].ids)} for text in _texts()]
        del model
        config = {"trimtab": {"steerings": steerings}}
        llm = LLM(str(folder), dtype=dtype, max_model_len=512, max_num_seqs=len(TEXTS), additional_config=config)
        found: dict[str, list[float]] = {wave: [] for wave in (PLAIN, *KINDS, HALF)}
        for k in range(-WARM_UP, rounds):
            for wave in list(found)[:: -1 if k % 2 else 1]:
                params = [
                    SamplingParams(
                        temperature=0,
                        max_tokens=TOKENS,
                        ignore_eos=True,
                        extra_args=None if name is None else {"steering": {"name": name}},
                    )
                    for name in asks(wave)
                ]
                llm.reset_prefix_cache()
                began = time.perf_counter()
                answers = llm.generate(prompts, params, use_tqdm=False)
                seconds = time.perf_counter() - began
                if k >= 0:
                    found[wave].append(sum(len(answer.outputs[0].token_ids) for answer in answers) / seconds)
    return found


def _texts() -> Iterator[Any]:
    from trimtab.texts import Rendered

    return (Rendered("", text, "") for text in TEXTS)


def page(row: Row, busy: str, clients: Row | None, soaked: Row | None) -> str:
    """The tables."""
    found = row["tokens_per_s"]
    lines = []
    for wave in (*KINDS, HALF):
        over = ratio(found[wave], found[PLAIN])
        share = f"all steered, {wave}" if wave in KINDS else wave
        met = "met" if over.low >= TARGET else "**missed**"
        lines.append((f"{share}, over unsteered", over, f"interval from {TARGET}", met))
    settings = row["settings"]
    medians = ", ".join(f"{wave} {median(values):.0f}" for wave, values in found.items())
    parts = [
        "# Scale", "", "## vLLM with the plug-in, on CPUs", "",
        f"`.bench/vllm/bin/python benchmarks/vllm_throughput.py --rounds {settings['rounds']}`", "",
        f"Machine: {row['machine']}, vLLM {row['vllm']}. Model: {settings['model']} in {settings['dtype']}, compiled; "
        f"{settings['rounds']} rounds in one run, 16 requests of {TOKENS} tokens a wave, greedy; ratios of medians, "
        f"with a paired 95 % bootstrap interval over rounds.{f' {busy}' if busy else ''}", "",
        table(("", "measured", "target", ""), lines), "", f"Tokens per second, medians: {medians}.", "",
    ]  # fmt: skip
    if clients is not None:
        parts += section(clients)
    if soaked is not None:
        parts += ["## A soak of `trimtab serve` in front of vLLM\n", f"`{SOAK}`\n", *soak(soaked)]
    return "\n".join(parts)


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--busy", default="", help="a sentence on what else the machine did")
    parser.add_argument("--json", type=Path, metavar="FILE", help="JSON lines, one per row, kept between runs")
    parser.add_argument("--clients", type=Path, metavar="FILE", help="of vllm_clients.py")
    parser.add_argument("--soak", type=Path, metavar="FILE", help="of serving_soak.py --vllm")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the page")
    args = parser.parse_args()
    settings = {"rounds": args.rounds, "dtype": args.dtype, "model": model_folder().name}

    def measure() -> Row:
        from importlib.metadata import version

        return {"machine": machine(), "vllm": version("vllm-cpu"), "tokens_per_s": rates(args.rounds, args.dtype)}

    row = kept(args.json, settings, measure)
    clients, soaked = known(args.clients), [one["result"] for one in known(args.soak) if "result" in one]
    publish(page(row, args.busy, clients[-1] if clients else None, soaked[-1] if soaked else None), args.out)


if __name__ == "__main__":
    main()
