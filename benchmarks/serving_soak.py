"""A soak of `trimtab serve`: thousands of mixed requests while clients leave, steerings change and the model dies.

    .venv/bin/python benchmarks/serving_soak.py --requests 2000 --json out/bench/soak.jsonl

16 clients, each with a key of its own, ask for chats and completions, streamed or not, unsteered or with one of three
kinds of steering at several strengths and scopes, for JSON by a schema, for calls of functions, for an explanation or
a comparison. One request in ten is left by its client before the end. Meanwhile an operator disables, enables, forgets
and loads steerings; after a fifth of the requests the process of the model is killed (SIGKILL). At the end the server
is told to stop (SIGTERM) while 16 answers are under way.

Held: every request is answered or its failure has a status that is accounted for (a steering that was off meanwhile,
an engine that was being started again); greedy answers are those that the same request got alone, up to a point where
the two likeliest tokens were nearer than 5e-3 nats (float32 sums in another order); JSON and calls hold the request's
own marker; answers under way at the end are finished, and no process is left. Memory of both processes is read each
second; its slope after two fifths and after three fifths of the requests (the model's process is then one fifth and two
fifths old, since it was killed) has a 95 % interval from the means of ten blocks.

With --vllm the model runs in `trimtab vllm`, and `trimtab serve --upstream` stands in front of it: the soaked server
passes requests on, without explanations, which vLLM does not give, and vLLM with all its processes is what is killed
and started again at once, as a service manager would.

    .venv/bin/python benchmarks/serving_soak.py --requests 500 --vllm .bench/vllm/bin/python \
        --json out/bench/vllm_soak.jsonl

The draw of the requests has a seed. Rows are written as they come to --json; a soak that was interrupted begins anew.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
import numpy as np
from harness import keep, machine, model_folder, table
from scipy import stats
from served import SIZE, Process, Vllm, our_url, resident, save_steerings, started, trimtab_serve
from soak_requests import KINDS, UPSTREAM, Answer, Case, Kind, Planned, Solo, cases, planned

import trimtab as tt
from trimtab.serving.keys import KeyFile

CLIENTS, CASES, BLOCKS = 16, 32, 10
KILL_AFTER, WARM_AFTER = 0.2, (0.4, 0.6)  # shares of the requests
PATIENCE = 120.0  # seconds for one answer
GRACE = 1.0  # seconds by which clocks of client and server may differ in what they call "meanwhile"
Row = dict[str, Any]


@dataclass
class Soak:
    """The state of a soak.

    Args:
        server: that is soaked.
        args: of the command line.
        attributes: of the steerings by name.
        keys: one for each client, then the operator's.
        vllm: that the server passes requests on to; None where it runs the model itself.
    """

    server: Process
    args: argparse.Namespace
    attributes: dict[str, list[str]]
    keys: list[str]
    vllm: Vllm | None = None
    solos: dict[Case, Solo] = field(default_factory=dict)
    done: int = 0
    next: int = 0
    off: dict[str, list[list[float]]] = field(default_factory=dict)  # by steering, from when to when
    down: list[list[float]] = field(default_factory=list)  # the engine, from when to when
    outcomes: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    memory: list[Row] = field(default_factory=list)

    def client(self, key: str) -> httpx2.AsyncClient:
        """Who asks with a key."""
        headers = {"authorization": f"Bearer {key}"}
        return httpx2.AsyncClient(base_url=self.server.url, headers=headers, timeout=PATIENCE)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Of requests that are asked."""
        return tuple(KINDS) if self.vllm is None else UPSTREAM

    def row(self, **row: Any) -> None:
        """Write one down."""
        keep({"at": round(time.monotonic(), 2), **row}, self.args.json)

    # ---- Clients ----------------------------------------------------------------------------------------------------

    async def ask_alone(self) -> None:
        """The answers to compare with."""
        known = cases(self.attributes, CASES, self.args.seed)
        async with self.client(self.keys[0]) as client:
            for case in known:
                log = {"logprobs": True, "top_logprobs": 2} if case.chat else {"logprobs": 2}
                response = await client.post(case.path, json={**case.body(self.args.tokens), **log})
                response.raise_for_status()
                self.solos[case] = Solo.of(response.json()["choices"][0])

    async def work(self, key: str) -> None:
        """One client: request after request, until there are no more."""
        async with self.client(key) as client:
            while self.next < self.args.requests:
                self.next += 1
                one = planned(self.next - 1, list(self.solos), self.args.seed, self.kinds)
                outcome, began = "again", time.monotonic()
                while outcome == "again":
                    outcome = await self._outcome(client, one)
                self.outcomes[outcome] += 1
                self.done += 1
                self.row(request=one.i, kind=one.kind, stream=one.stream, outcome=outcome, began=began)

    async def _outcome(self, client: httpx2.AsyncClient, one: Planned) -> str:
        """What came of a request; `again` where it was refused for a reason that passes."""
        began, answer = time.monotonic(), Answer()
        path, body = one.case.path, one.body(self.args.tokens)
        try:
            if one.stream:
                async with client.stream("POST", path, json=body) as response:
                    if response.status_code != 200:
                        await response.aread()
                    elif not await self._read(response, answer, one.leaves):
                        return "left"
            else:
                leaves = PATIENCE if one.leaves is None else one.leaves / 100
                response = await client.post(path, json=body, timeout=leaves)
                answer.take(response.json())
        except httpx2.TimeoutException:
            return "left" if one.leaves is not None and not one.stream else "lost: no answer in time"
        except httpx2.HTTPError as error:
            return f"lost: {type(error).__name__}"
        if response.status_code == 200 and answer.error is None:
            return one.verdict(answer, self.solos)
        return await self._refused(one, response, answer, began)

    async def _read(self, response: httpx2.Response, answer: Answer, leaves: int | None) -> bool:
        """Read a stream; whether up to its end."""
        n = 0
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                answer.take(json.loads(line.removeprefix("data: ")))
                n += 1
            if n == leaves:
                return False
            if line == "data: [DONE]" or answer.error is not None:
                return True
        answer.error = answer.error or "the stream broke off"
        return True

    async def _refused(self, one: Planned, response: httpx2.Response, answer: Answer, began: float) -> str:
        """`again` where the reason is known and passes; else what is wrong."""
        status, now = response.status_code, time.monotonic()
        if status == 400 and one.case.name and _overlap(self.off.get(one.case.name, []), began, now):
            reason = "400, the steering was off"
        elif status in (200, 503) and _overlap(self.down, began, now):
            reason = "503, the engine was down" if status == 503 else "error in a stream, the engine was down"
        elif status == 429:
            reason = "429, more than the key may ask"
        else:
            return f"failed: {status} {answer.error or response.text[:200]}"
        self.refusals[reason] += 1
        self.row(request=one.i, refused=reason)
        await asyncio.sleep(min(2.0, float(response.headers.get("retry-after", 0.2))))
        return "again"

    # ---- What happens meanwhile -------------------------------------------------------------------------------------

    async def operate(self) -> None:
        """Switch steerings off and on, forget and load them, until cancelled."""
        rng = random.Random(self.args.seed)
        async with self.client(self.keys[-1]) as client:
            while True:
                await asyncio.sleep(rng.uniform(0.5, 3.0))
                name, forget = rng.choice(sorted(self.attributes)), rng.random() < 0.5
                span = [time.monotonic(), float("inf")]
                self.off.setdefault(name, []).append(span)
                method, path = ("DELETE", f"/steerings/{name}") if forget else ("POST", f"/steerings/{name}/disable")
                (await client.request(method, path)).raise_for_status()
                await asyncio.sleep(rng.uniform(0.1, 1.0))
                path, body = ("/steerings", {"name": name}) if forget else (f"/steerings/{name}/enable", None)
                (await client.post(path, json=body)).raise_for_status()
                span[1] = time.monotonic()
                self.row(operated="forgotten" if forget else "disabled", steering=name)

    async def kill(self) -> None:
        """Kill the model's process once, and note how long the engine is down."""
        while self.done < KILL_AFTER * self.args.requests:
            await asyncio.sleep(0.05)
        span = [time.monotonic(), float("inf")]
        self.down.append(span)
        if self.vllm is not None:
            self.vllm.kill()
            await asyncio.to_thread(self.vllm.start)
        else:
            engine = self.server.engine
            assert engine is not None
            os.kill(engine, signal.SIGKILL)
        async with self.client(self.keys[0]) as client:
            await asyncio.sleep(0.5)
            ready = self.server.url.removesuffix("/v1") + "/ready"
            while (await client.get(ready)).status_code != 200:
                await asyncio.sleep(0.2)
        span[1] = time.monotonic()
        self.row(killed=True, seconds_down=round(span[1] - span[0], 2))

    async def watch(self) -> None:
        """Read the memory of both processes each second, until cancelled."""
        while True:
            engine = self.server.engine if self.vllm is None else None
            memory = self.vllm.resident() if self.vllm is not None else engine and resident(engine)
            found = {"server": resident(self.server.process.pid), "engine": memory, "pid": engine}
            self.memory.append({"done": self.done, **found})
            self.row(memory=self.memory[-1])
            await asyncio.sleep(self.args.every)

    async def stop(self) -> Row:
        """Tell the server to stop while answers are under way."""

        async def one(key: str, begun: asyncio.Event) -> str:
            body = {**Case(False, "The film was").body(self.args.tokens), "stream": True}
            async with self.client(key) as client, client.stream("POST", "/completions", json=body) as response:
                lines = [line async for line in _telling(response.aiter_lines(), begun)]
            return "finished" if "data: [DONE]" in lines else "cut off"

        begun = [asyncio.Event() for _ in range(CLIENTS)]
        asking = [asyncio.create_task(one(key, b)) for key, b in zip(self.keys, begun, strict=False)]
        await asyncio.gather(*(b.wait() for b in begun))
        engine, started_at = self.server.engine if self.vllm is None else None, time.monotonic()
        status = asyncio.get_running_loop().run_in_executor(None, self.server.stop)
        ends = Counter(await asyncio.gather(*asking))
        return {
            "answers": dict(ends), "status": await status, "seconds": round(time.monotonic() - started_at, 1),
            "engine left": None if engine is None else Path(f"/proc/{engine}").exists(),  # None where vLLM stays
        }  # fmt: skip

    async def run(self) -> Row:
        """All of it."""
        began = time.monotonic()
        await self.ask_alone()
        side = [asyncio.create_task(work) for work in (self.operate(), self.watch())]
        killing = asyncio.create_task(self.kill())
        async with asyncio.timeout(self.args.seconds):
            await asyncio.gather(*(self.work(key) for key in self.keys[:CLIENTS]), killing)
        for task in side:
            task.cancel()
        ended = await asyncio.gather(*side, return_exceptions=True)
        failed = [repr(one) for one in ended if not isinstance(one, asyncio.CancelledError)]
        result = {
            "requests": self.args.requests, "outcomes": dict(self.outcomes), "refusals": dict(self.refusals),
            "memory": {name: slopes(self.memory, name, self.args.requests) for name in ("server", "engine")},
            "switched": sum(map(len, self.off.values())), "operator": failed, "seconds down": self.down[0],
            "seconds": round(time.monotonic() - began, 1), "stop": await self.stop(),
        }  # fmt: skip
        result["seconds down"] = round(self.down[0][1] - self.down[0][0], 1)
        return result


async def _telling(lines: Any, begun: asyncio.Event) -> Any:
    async for line in lines:
        begun.set()
        yield line


def _overlap(spans: list[list[float]], began: float, ended: float) -> bool:
    return any(low - GRACE <= ended and began <= high + GRACE for low, high in spans)


def slopes(memory: list[Row], name: str, requests: int) -> list[Row]:
    """MB for each 1,000 requests after shares of them, with 95 % intervals from means of blocks; none if too short."""
    late = [[m for m in memory if m["done"] >= after * requests and m[name] is not None] for after in WARM_AFTER]
    return [
        {"after": after} | slope(m, name) for after, m in zip(WARM_AFTER, late, strict=True) if len(m) >= 2 * BLOCKS
    ]


def slope(late: list[Row], name: str) -> Row:
    blocks = np.array_split(np.array([(m["done"], m[name]) for m in late]), BLOCKS)
    means = np.array([block.mean(axis=0) for block in blocks])
    fit = stats.linregress(means[:, 0], means[:, 1])
    half = stats.t.ppf(0.975, BLOCKS - 2) * fit.stderr
    ends = [float(np.median(block[:, 1])) for block in (blocks[0], blocks[-1])]
    return {
        "mb": ends, "n": len(late), "per_1000": 1000 * float(fit.slope), "low": 1000 * float(fit.slope - half),
        "high": 1000 * float(fit.slope + half),
    }  # fmt: skip


def faults(result: Row) -> list[str]:
    """What did not hold."""
    found = [f"{n} × {what}" for what, n in result["outcomes"].items() if what not in ("same", "parted", "left")]
    stop = result["stop"]
    if stop["answers"] != {"finished": CLIENTS} or stop["engine left"] or stop["status"] not in (0, -signal.SIGTERM):
        found.append(f"the end: {stop}")
    return [*found, *result["operator"]]


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="folder of a model; the embedded one by default")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--tokens", type=int, default=24, help="of a greedy answer at most")
    parser.add_argument("--seconds", type=float, default=5400, help="after which the soak has failed")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two looks at the memory")
    parser.add_argument("--threads", type=int, help="of the model")
    parser.add_argument("--vllm", metavar="PYTHON", help="of an environment with vLLM, which then runs the model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="JSON lines, written as they come")
    return parser.parse_args()


def vllm_options(folder: str, steerings: Path) -> list[object]:
    """Of `trimtab vllm`, in whose batches every client has a place."""
    own = ["--dtype", "float32", "--max-model-len", 512, "--max-num-seqs", CLIENTS, "--served-model-name", "soak"]
    return [folder, "--steerings", steerings, "--", *own]


def main() -> None:
    args = parsed()
    folder = args.model or str(model_folder())
    most = args.requests * args.tokens
    print(f"{machine()}\nabout {most:,} tokens in {args.requests:,} answers, and {CASES} answers alone", flush=True)
    with TemporaryDirectory() as work:
        held = KeyFile(Path(work) / "keys.json")
        keys = [held.create(f"client-{n}", ["infer"]) for n in range(CLIENTS)]
        keys.append(held.create("operator", ["operate"]))
        attributes = dict(save_steerings(tt.load(folder, dtype="float32"), Path(work) / "steerings", SIZE))
        steerings = Path(work) / "steerings"
        options: list[object] = ["--keys", held.file, "--steerings", steerings]
        with ExitStack() as stack:
            vllm = None
            if args.vllm is not None:
                vllm = Vllm(args.vllm, vllm_options(folder, steerings), Path(work) / "vllm.log")
                stack.callback(vllm.kill)
                vllm.start()
                options += ["--upstream", vllm.url, "--tokenizer", folder]
            else:
                options += ["--model", folder, "--dtype", "float32", "--name", "soak"]
                options += [] if args.threads is None else ["--threads", args.threads]
            server = stack.enter_context(started(trimtab_serve(*options), our_url))
            result = asyncio.run(Soak(server, args, attributes, keys, vllm).run())
    keep({"result": result}, args.json)
    rows = [(what, n) for name in ("outcomes", "refusals") for what, n in sorted(result[name].items())]
    print(table(["outcome", "requests"], rows))
    print(json.dumps({name: value for name, value in result.items() if name not in ("outcomes", "refusals")}, indent=1))
    wrong = faults(result)
    print("held" if not wrong else "NOT held:\n" + "\n".join(wrong))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
