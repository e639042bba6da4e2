"""What releases and their records cost: assignment and recording, status and experiment of a large release, an audit.

    .venv/bin/python benchmarks/operations.py --json out/bench/operations.jsonl --out docs/results/operations.md

Targets: at 200 requests a second on an engine that answers at once, a store adds less than 2 ms to a request at the
median and less than 10 ms at the 99th percentile; the status of a release with 1 million exposures takes less than a
second; an audit is verified at 20,000 entries a second or more.

Requests come at fixed times, whether those before are answered or not (an open loop), and are timed from when they were
due, at the client, a process of its own. Waves at servers without a store, with one in SQLite and, with --postgres, one
in PostgreSQL alternate, every second round in reverse; what a store adds is the difference of the quantiles of a round,
told as the median over the rounds. On the servers with a store a release at 50 % decides for every request. With
--json, rows are kept in a file and not measured again; delete it after changes. --only experiment measures the
experiment alone: a release in SQLite with a metric from feedback and three guardrails, of 100,000 users.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
import numpy as np
from harness import kept, machine, publish, table
from served import our_url, started
from sqlalchemy import URL, create_engine, text

from trimtab.interventions import POSITION_SCOPES, AnswerScore, Capabilities, Event, Request, ScoreRequest
from trimtab.operations import (
    Arm,
    Change,
    Definition,
    Exposure,
    ExposureLog,
    Metric,
    Outcome,
    OutcomeLog,
    Release,
    Releases,
    Store,
    arm_of,
    import_metrics,
    planned,
    record,
    verify,
)
from trimtab.operations.experiments import Experiment, OverTime

NONE, SQLITE, POSTGRES = "without a store", "SQLite", "PostgreSQL"
TARGETS = {"median": 2.0, "p99": 10.0, "status": 1.0, "audit": 20_000}
BATCH = 10_000
Row = dict[str, Any]


class Nothing:
    """An engine that answers every request at once, with one token."""

    async def capabilities(self) -> Capabilities:
        kinds = frozenset({"additive"})
        return Capabilities(None, 1000, 16, kinds, frozenset(POSITION_SCOPES), messages=True)

    async def submit(self, request: Request) -> AsyncIterator[Event]:
        yield Event(request.id, "x", (1,), prompt_tokens=1, finish="stop")

    async def score(self, request: ScoreRequest) -> tuple[AnswerScore, ...]:
        return tuple(AnswerScore(1, -1.0, -1.0) for _ in request.texts)

    async def cancel(self, id: str) -> None:
        """Nothing is under way."""

    async def close(self) -> None:
        """Nothing is held."""


def serve(steerings: Path, place: str | None) -> None:
    """The server on that engine, as a process of its own."""
    from rich.console import Console

    from trimtab.operations import OffSwitch
    from trimtab.serving.app import create_app
    from trimtab.serving.listening import listen
    from trimtab.serving.live import Operations
    from trimtab.serving.logs import logger
    from trimtab.serving.registry import Registry
    from trimtab.serving.settings import Limits, Settings

    limits = Limits(running=10_000, running_per_key=10_000, requests_per_minute=10**6)
    settings = Settings("bench", no_auth=True, playground=False, limits=limits)
    registry, operations = Registry(steerings), None
    if place is not None:
        off = OffSwitch(steerings / "OFF")
        operations = Operations(Store(place), "bench", registry, off, logger(sys.stderr))
    app = create_app(Nothing(), registry, None, settings, operations=operations)
    listen(app, "127.0.0.1", 0, Console(stderr=True, soft_wrap=True), playground=False)


async def wave(url: str, rate: float, seconds: float) -> list[float]:
    """Milliseconds of every request, from when it was due."""
    loop = asyncio.get_running_loop()
    body = {"model": "bench", "messages": [{"role": "user", "content": "hello"}]}

    async def one(client: httpx2.AsyncClient, due: float, k: int) -> float:
        await asyncio.sleep(due - loop.time())
        answer = await client.post(f"{url}/chat/completions", json=body | {"user": f"user-{k % 1000}"})
        assert answer.is_success, answer.text
        return 1000 * (loop.time() - due)

    async with httpx2.AsyncClient(timeout=60, limits=httpx2.Limits(max_connections=200)) as client:
        begin = loop.time() + 0.1
        return await asyncio.gather(*(one(client, begin + k / rate, k) for k in range(int(rate * seconds))))


def requests(settings: Row, steerings: Path, places: dict[str, str | None]) -> Row:
    """Quantiles of the milliseconds of a request, by server and round."""
    found: dict[str, list[list[float]]] = {name: [] for name in places}
    with ExitStack() as stack:
        urls = {}
        for name, place in places.items():
            command = [sys.executable, __file__, "--serve", str(steerings)]
            command += [] if place is None else ["--place", place]
            urls[name] = stack.enter_context(started(command, our_url)).url
            asyncio.run(wave(urls[name], settings["rate"] / 4, min(2, settings["seconds"])))  # imports, connections
        for k in range(settings["rounds"]):
            for name in list(places)[:: -1 if k % 2 else 1]:
                taken = asyncio.run(wave(urls[name], settings["rate"], settings["seconds"]))
                found[name].append([float(q) for q in np.percentile(taken, [50, 99])])
            print(f"round {k + 1}: {', '.join(f'{n} {r[-1]}' for n, r in found.items())}", file=sys.stderr)
    return {"quantiles_ms": found}


def _vacuum(url: URL) -> None:
    """What PostgreSQL does by itself within minutes, after rows that would have come over hours."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("VACUUM ANALYZE exposures"))
    engine.dispose()


def status(settings: Row, place: str) -> Row:
    """Seconds that a release's status takes with so many exposures in the store."""
    with Store(place) as store:
        log, n = ExposureLog(store), settings["exposures"]
        for start in range(0, n, BATCH):
            log.write([
                Exposure(f"bench-{k}", float(k), "bench", "treatment" if k % 2 else "control", f"user-{k % 100_000}",
                         "live", 2, artifact="a" * 64, answer_tokens=20)
                for k in range(start, min(start + BATCH, n))
            ])  # fmt: skip
        if store.is_postgresql:
            _vacuum(store.url)
        taken = []
        for _ in range(settings["rounds"]):
            began = time.perf_counter()
            Releases(store).get("live")
            counts = log.counts("live")
            taken.append(time.perf_counter() - began)
        assert sum(count.requests for count in counts) >= n
    return {"seconds": taken}


def experiment(settings: Row) -> Row:
    """Seconds of a look at a release's metrics: the first one, as `trimtab release status` takes it; the next one of a
    server, a minute of new answers later; and of the course of its metric, as the console shows it."""
    n, more = settings["exposures"], settings["new"]
    with TemporaryDirectory() as work, Store(Path(work) / "operations.db", create=True) as store:
        liked = Metric.made(name="liked", feedback="thumbs", labels={"up": 1, "down": 0}, bounds=(0, 1))
        import_metrics(store, [liked], by="ada")
        warm = Arm(name="warm", artifact="a" * 64, strength={"warm": 1.0})
        releases = Releases(store, artifact_now=lambda arm: arm.artifact)
        given = planned("liked:0.03", ["errors:0.01", "latency:0.5", "length:25"])
        releases.add(
            Definition(name="live", model="bench", treatment=warm, stages=(50, 100), salt="s", **given), by="ada"
        )
        release = releases.act("live", "start", by="ada")
        log, outcomes, random = ExposureLog(store), OutcomeLog(store), np.random.default_rng(0)

        def answer(first: int, last: int) -> None:
            for start in range(first, last, BATCH):
                some = range(start, min(start + BATCH, last))
                log.write([_answered(release, k, random) for k in some])
                said = [Outcome("thumbs", f"bench-{k}", label="up" if random.random() < 0.5 else "down")
                        for k in some if k % 20 == 0]  # fmt: skip
                outcomes.write(said)

        answer(0, n)
        looking, found = Experiment(store, "live"), {}
        for what, act in (("first", looking.look), ("course", OverTime(store, "live").read)):
            found[what] = _timed(act)
        answer(n, n + more)
        found["next"] = _timed(looking.look)
        assert sum(looking.look().findings[1].requests) == n + more
    return found


def _answered(release: Release, k: int, random: np.random.Generator) -> Exposure:
    unit = f"user-{random.integers(100_000)}"
    return Exposure(
        f"bench-{k}", release.time + k / 100, "bench", release.arm(unit), unit, "live", release.version,
        artifact="a" * 64, strength={"warm": 1.0}, answer_tokens=int(random.integers(200)),
        seconds=float(random.gamma(2.0)), finish="error" if random.random() < 0.01 else "stop",
    )  # fmt: skip


def _timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def audit(settings: Row, place: str) -> Row:
    """Entries a second of a verification."""
    with Store(place) as store:
        for start in range(0, settings["entries"], BATCH):
            with store.changing() as connection:
                for k in range(start, min(start + BATCH, settings["entries"])):
                    record(
                        connection, Change("ada", "release.promote", "live", "no complaints", {"n": k}, {"n": k + 1})
                    )
        taken = []
        for _ in range(settings["rounds"]):
            began = time.perf_counter()
            found = verify(store)
            taken.append(found.size / (time.perf_counter() - began))
            assert found.holds
    return {"entries_per_s": taken}


@contextmanager
def prepared(postgres: str | None) -> Iterator[tuple[Path, dict[str, str | None]]]:
    """A folder with a steering, and stores with a live release of it."""
    from trimtab.steering import Steering

    with TemporaryDirectory() as work:
        import torch

        folder = Path(work) / "steerings"
        Steering.from_vector(1, torch.ones(4), "warm").save(folder / "warm")
        places: dict[str, str | None] = {NONE: None, SQLITE: str(Path(work) / "operations.db")}
        if postgres is not None:
            places[POSTGRES] = postgres
        for place in filter(None, places.values()):
            with Store(place, create=True) as store:
                given = Definition(
                    name="live", model="bench", treatment=arm_of(folder / "warm")[0], stages=(50, 100), salt="s"
                )
                releases = Releases(store)
                releases.add(given, by="ada")
                releases.act("live", "start", by="ada")
        yield folder, places


def measured(args: argparse.Namespace) -> list[Row]:
    """All rows; those that the file does not hold are measured."""
    shared = {"machine": machine(), "rounds": args.rounds}
    of = {
        "section": "experiment",
        "machine": machine(),
        "exposures": args.exposures,
        "new": max(args.exposures // 200, 1),
    }
    last = kept(args.json, of, partial(experiment, of))
    if args.only == "experiment":
        return [last]
    with prepared(args.postgres) as (folder, places):
        settings = {"section": "requests", **shared, "rate": args.rate, "seconds": args.seconds, "stores": [*places]}
        rows = [kept(args.json, settings, lambda: requests(settings, folder, places))]
        for name, place in places.items():
            if place is None:
                continue
            of = {"section": "status", **shared, "store": name, "exposures": args.exposures}
            rows.append(kept(args.json, of, partial(status, of, place)))
            of = {"section": "audit", **shared, "store": name, "entries": args.entries}
            rows.append(kept(args.json, of, partial(audit, of, place)))
    return [*rows, last]


def page(rows: list[Row]) -> str:
    """The rows against their targets, in Markdown."""
    lines = []
    for row in rows:
        own = row["settings"]
        if own["section"] == "status":
            lines.append((f"status with {own['exposures']:,} exposures, {own['store']}",
                          f"{median(row['seconds']):.3f} s", f"< {TARGETS['status']:g} s"))  # fmt: skip
        elif own["section"] == "experiment":
            of = f"{own['exposures']:,} exposures"
            for what, which in (
                ("first", f"first look at 4 metrics of {of}, SQLite"),
                ("next", f"next look, {own['new']:,} exposures later"),
                ("course", f"course of a metric over {of}, for the console"),
            ):
                lines.append((which, f"{row[what]:.1f} s", ""))
        elif own["section"] == "audit":
            lines.append((f"audit of {own['entries']:,} entries verified, {own['store']}",
                          f"{median(row['entries_per_s']):,.0f} entries/s", f"≥ {TARGETS['audit']:,}"))  # fmt: skip
        else:
            quantiles = {name: np.asarray(found) for name, found in row["quantiles_ms"].items()}
            for place, which in enumerate(("median", "p99")):
                plain = quantiles[NONE][:, place]
                lines.append((f"request {NONE}, {which}", f"{np.median(plain):.2f} ms", ""))
                for name in own["stores"][1:]:
                    added = np.median(quantiles[name][:, place] - plain)
                    lines.append((f"added by {name}, {which}", f"{added:.2f} ms", f"< {TARGETS[which]:g} ms"))
    first = rows[0]["settings"]
    pace = f"; {first['rate']:g} requests a second, {first['rounds']} rounds" if "rate" in first else ""
    how = f"{first['machine']}{pace}."
    return f"# Releases and their records\n\n{how}\n\n" + table(("what", "measured", "target"), lines) + "\n"


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="of all servers in turn")
    parser.add_argument("--rate", type=float, default=200, help="requests a second")
    parser.add_argument("--seconds", type=float, default=10, help="of a wave")
    parser.add_argument("--exposures", type=int, default=1_000_000, help="in the store of the status")
    parser.add_argument("--entries", type=int, default=50_000, help="of the audit")
    parser.add_argument("--only", choices=["experiment"], help="measure this part alone")
    parser.add_argument("--postgres", metavar="URL", help="of an empty database; without it SQLite alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="JSON lines, one per row, kept between runs")
    parser.add_argument("--out", type=Path, metavar="FILE", help="Markdown; else standard output")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--place", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    args = parsed()
    if args.serve is not None:
        serve(args.serve, args.place)
        return
    publish(page(measured(args)), args.out)


if __name__ == "__main__":
    main()
