"""How fast `trimtab serve` answers: steered over unsteered, many clients over one, over `transformers serve`.

    .venv/bin/python benchmarks/serving.py --json out/bench/serving.jsonl
    .venv/bin/python benchmarks/serving_table.py --rows out/bench/serving.jsonl --soak out/bench/soak.jsonl

Targets: with every request steered, tokens per second over those unsteered have an interval that begins at 0.95 or
above; 16 clients get 6 times one client's or more; at 16 clients no fewer than `transformers serve`; the first token of
an idle server takes at most 1.2 times that of a bare `generate`; the server's own share of a request is below 5 ms at
the median.

Each wave has 16 clients that send a greedy completion each and wait for it; its tokens per second are those that the
answers hold. Waves without steering, with each kind of steering, of one client, and on `transformers serve` (a process
in the same environment, continuous batching on) alternate in one run, every second round in reverse. Steered means that
edits are run whose vectors are zeros, so that texts stay the same and the same tokens are counted. The first token is
timed from the request to the first event of the stream; the bare `generate` of one token, tokenizing included, is in a
process of its own. The own share is what the log gives a request beyond the seconds that it waited for the engine; with
one client, so that nothing else is in it. With --json, rows are kept in a file and not measured again; delete it after
changes.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
from harness import CONTENDERS, Contender, kept, machine, model_folder
from served import TEXTS, Process, cpu_seconds, free_port, our_url, save_steerings, started, trimtab_serve

import trimtab as tt
from trimtab.serving.engines.batching import PAGE, Limits

LIMITS = Limits()
KINDS = ("additive", "gated", "several")
PEER = "transformers serve"
PAUSE = 0.3  # seconds after which a server counts as idle
Row = dict[str, Any]


def completion(text: str, tokens: int, kind: str | None = None, **more: Any) -> Row:
    """A greedy request."""
    return {"model": "bench" if kind is None else f"bench@{kind}", "prompt": text, "max_tokens": tokens,
            "temperature": 0, **more}  # fmt: skip


async def wave(url: str, clients: int, requests: int, body: Callable[[str], Row]) -> tuple[float, int]:
    """Seconds until all clients have all their answers, and the tokens in them."""

    async def one(client: httpx2.AsyncClient, n: int) -> int:
        tokens = 0
        for k in range(requests):
            response = await client.post(f"{url}/completions", json=body(TEXTS[(n + k) % len(TEXTS)]))
            assert response.is_success, response.text
            tokens += response.json()["usage"]["completion_tokens"]
        return tokens

    async with httpx2.AsyncClient(timeout=600, limits=httpx2.Limits(max_connections=clients)) as client:
        began = time.perf_counter()
        tokens = await asyncio.gather(*(one(client, n) for n in range(clients)))
        return time.perf_counter() - began, sum(tokens)


def throughput(settings: Row, server: Process, peer: Process | None, folder: str) -> Row:
    """Tokens per second of every kind of wave, by round; the peer knows its model by the folder."""
    tokens, clients = settings["tokens"], settings["clients"]

    def ours(kind: str | None) -> Callable[[], tuple[float, int]]:
        return lambda: asyncio.run(wave(server.url, clients, 1, lambda text: completion(text, tokens, kind)))

    waves: dict[str, Callable[[], tuple[float, int]]] = {"unsteered": ours(None)}
    waves |= {kind: ours(kind) for kind in KINDS}
    waves["one client"] = lambda: asyncio.run(wave(server.url, 1, 2, lambda text: completion(text, tokens)))
    if peer is not None:
        theirs = {"model": folder}
        waves[PEER] = lambda: asyncio.run(wave(peer.url, clients, 1, lambda text: completion(text, tokens) | theirs))
    for run in waves.values():
        run()  # what is loaded and compiled on first use
    found: dict[str, list[float]] = {name: [] for name in waves}
    for k in range(settings["rounds"]):
        for name in list(waves)[:: -1 if k % 2 else 1]:
            seconds, n = waves[name]()
            found[name].append(n / seconds)
        print(f"round {k + 1}: {', '.join(f'{name} {r[-1]:.0f}' for name, r in found.items())}", file=sys.stderr)
    return {"tokens_per_s": found}


def first_tokens(settings: Row, server: Process, bare: Contender) -> Row:
    """Seconds to the first token on an idle server, and of a bare generate, by round."""

    def streamed(kind: str | None) -> float:
        time.sleep(PAUSE)
        began = time.perf_counter()
        body = completion(settings["prompt"], 1, kind, stream=True)
        with client.stream("POST", f"{server.url}/completions", json=body) as response:
            lines = response.iter_lines()
            next(line for line in lines if line.startswith("data: {"))
            taken = time.perf_counter() - began
            assert all("error" not in line for line in lines)
        return taken

    def alone() -> float:
        time.sleep(PAUSE)
        return bare.seconds()

    runs: dict[str, Callable[[], float]] = {
        "unsteered": lambda: streamed(None), "steered": lambda: streamed(KINDS[0]), "bare generate": alone,
    }  # fmt: skip
    found: dict[str, list[float]] = {name: [] for name in runs}
    with httpx2.Client(timeout=600) as client:
        for run in runs.values():
            run()
        for k in range(settings["rounds"]):
            for name in list(runs)[:: -1 if k % 2 else 1]:
                found[name].append(runs[name]())
    return {"seconds": found}


def own_share(settings: Row, server: Process) -> Row:
    """Milliseconds of requests that were not the engine's, by the log; and processor time with many clients."""
    tokens, found = settings["tokens"], {}
    with httpx2.Client(timeout=600) as client:
        for way in ("whole", "streamed"):
            ids = []
            for k in range(settings["rounds"]):
                body = completion(TEXTS[k % len(TEXTS)], tokens, KINDS[0], stream=way == "streamed")
                response = client.post(f"{server.url}/completions", json=body)
                ids.append(response.headers["x-request-id"])
            time.sleep(PAUSE)
            lines = {line["request_id"]: line for line in logged(server)}
            found[way] = [1000 * (lines[id]["seconds"] - lines[id]["engine_seconds"]) for id in ids]
    before, clients = cpu_seconds(server.process.pid), settings["clients"]
    asyncio.run(wave(server.url, clients, 2, lambda text: completion(text, tokens)))
    processor = 1000 * (cpu_seconds(server.process.pid) - before) / (2 * clients)
    return {"milliseconds": found, "processor_ms": processor}


def logged(server: Process) -> Iterator[Row]:
    """The lines of a server's log about requests."""
    for line in list(server.lines):
        if line.startswith("{"):
            yield json.loads(line)


def peer_command(folder: str, settings: Row) -> list[str]:
    """Starts `transformers serve` on a free port, with our engine's limits: its own take most of the memory."""
    command = [str(Path(sys.executable).with_name("transformers")), "serve", folder, "--continuous-batching"]
    command += ["--host", "127.0.0.1", "--port", str(free_port()), "--dtype", settings["dtype"], "--device", "cpu"]
    cache = {"block-size": PAGE, "num-blocks": LIMITS.cache_tokens // PAGE, "max-batch-tokens": LIMITS.batch_tokens}
    return [*command, "--log-level", "info", *(word for n, v in cache.items() for word in (f"--cb-{n}", str(v)))]


def peer_url(line: str) -> str | None:
    """The sign by which `transformers serve` says that it listens."""
    at = line.find("running on http://")
    return None if at < 0 else line[at:].split()[2] + "/v1"


def measured(args: argparse.Namespace) -> None:
    """All rows that the file does not hold."""
    folder = args.model or str(model_folder())
    shared = {"model": Path(folder).name, "dtype": args.dtype, "threads": args.threads, "machine": machine()}
    tokens = {"tokens": args.tokens, "clients": args.clients}
    with TemporaryDirectory() as work, ExitStack() as stack:
        steerings = Path(work) / "steerings"
        save_steerings(tt.load(folder, dtype=args.dtype), steerings, 0.0)
        options: list[object] = ["--model", folder, "--dtype", args.dtype, "--name", "bench", "--no-auth"]
        options += ["--steerings", steerings, "--max-running", args.clients]
        options += [] if args.threads is None else ["--threads", args.threads]
        server = stack.enter_context(started(trimtab_serve(*options), our_url))

        def row(section: str, measure: Callable[[Row], Row], **own: Any) -> None:
            settings = {"section": section, **shared, **own}
            kept(args.json, settings, lambda: measure(settings))

        prompt = " ".join(f"{text} what it was." for text in TEXTS[:8])
        job = {"name": "bare generate", "folder": folder, "prompt": prompt}
        with Contender(sys.executable, CONTENDERS / "first_token.py", {**job, **_of(shared)}) as bare:
            row("first token", lambda s: first_tokens(s, server, bare), rounds=args.rounds, prompt=prompt)
        row("own share", lambda s: own_share(s, server), rounds=2 * args.rounds, **tokens)
        peer = None
        if not args.no_peer:
            peer = stack.enter_context(started(peer_command(folder, shared), peer_url))
        row(
            "throughput",
            lambda s: throughput(s, server, peer, folder),
            rounds=args.rounds,
            peer=peer is not None,
            **tokens,
        )


def _of(shared: Mapping[str, Any]) -> Row:
    return {name: shared[name] for name in ("dtype", "threads")}


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="folder of a model; the embedded one by default")
    parser.add_argument("--rounds", type=int, default=20, help="of all contenders in turn")
    parser.add_argument("--tokens", type=int, default=32, help="of an answer")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="bfloat16")
    parser.add_argument("--threads", type=int, help="of the model; by default torch's")
    parser.add_argument("--no-peer", action="store_true", help="leave out transformers serve")
    parser.add_argument("--json", type=Path, metavar="FILE", help="JSON lines, one per row, kept between runs")
    return parser.parse_args()


def main() -> None:
    args = parsed()
    waves = args.rounds + 1
    n = args.tokens * (args.clients * (len(KINDS) + (1 if args.no_peer else 2)) + 2)
    print(f"{machine()}\nabout {waves * n + 4 * args.rounds * args.tokens:,} tokens", flush=True)
    measured(args)


if __name__ == "__main__":
    main()
