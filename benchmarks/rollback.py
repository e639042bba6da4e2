"""A wrong steering goes live on the embedded model: how many requests until the server takes it back by itself?

    .venv/bin/python benchmarks/rollback.py --json out/bench/rollback.jsonl --out docs/results/rollback.md

`trimtab serve` is a process of its own, with the embedded model in bfloat16 and a store in SQLite; `trimtab fit`
makes a steering toward `sentiment` and `trimtab check` judges it. The server runs already when the release starts.
Clients ask, each request by a user of its own, for sampled continuations; half of the users get the treatment. The
mistakes are those of an operator: a preset with the wrong sign, and one that is eight times too strong. The evidence
does not fit either, and the release says so; both are released with a reason, as a colleague in a hurry would. Each
is watched in one way at a time, at the defaults but for `--canary-every` (far beyond the run: a canary looks at once
at what comes live) and `--watch-every` (5 s); the right steering is watched in all ways. With --json, rows are kept
in a file and not measured again; delete it after changes. Steering and check are kept in --work.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path
from sqlite3 import connect
from statistics import median
from typing import Any, Final

import httpx2
from harness import kept, known, machine, publish, table
from served import TEXTS, our_url, started, trimtab, trimtab_serve

import trimtab as tt

PRESETS: Final = {"right": 1.0, "reversed": -1.0, "broken": 8.0}  # times the steering's own strength
CLIENTS: Final = 8
AFTER: Final = 3.0  # seconds that clients go on once it is
ROWS: Final = 48  # of the check, and so of the canary
GUARDRAILS: Final = ("degenerate", "repetition", "length", "refusal", "errors")
MEASURED: Final = ("repetition", "degenerate")  # of every answer, shown for both arms
WAYS: Final = ("canary", "shadow", "guardrails")
RUNS: Final = (
    ("reversed", ("canary",)),
    ("broken", ("canary",)),
    ("broken", ("shadow",)),
    ("broken", ("guardrails",)),
    ("reversed", ("shadow",)),
    ("right", WAYS),
)
ONCE: Final = ("reversed", ("shadow",))  # one seed, as nothing is expected to come of it
SUBJECTS: Final = ("weather this week", "new teacher", "hotel room", "evening class", "bus ride", "garden", "concert")
Row = dict[str, Any]


def prepared(work: Path, model: str, site: int) -> Row:
    """The steering with its presets, and its check; kept in the folder."""
    steering, check, began = work / "steerings" / "sentiment", work / "check", time.perf_counter()
    if not (steering / "steering.json").exists():
        trimtab(
            "fit", "sentiment", "--model", model, "--site", site, "--strength", 0.75, "--dtype", "bfloat16",
            "--no-check", "--out", steering,
        )  # fmt: skip
    fitted = tt.Steering.load(steering)
    if not fitted.presets:
        presets = {name: {a: times * s for a, s in fitted.attributes.items()} for name, times in PRESETS.items()}
        fitted.changed(presets=presets).save(steering)
    if not (check / "report.json").exists():
        options = ["--model", model, "--dtype", "bfloat16", "--eval", ROWS, "--out", check]
        trimtab("check", "sentiment", "--steering", steering, *options)
        (work / "seconds").write_text(f"{time.perf_counter() - began:.0f}")
    report = tt.Report.load(check)
    (result,) = report.prompt_types.values()
    assert result.effect is not None
    return {
        "decision": report.verdict.decision, "effect": result.effect.mean, "n": report.n_eval,
        "seconds": float((work / "seconds").read_text()),
    }  # fmt: skip


def options_of(ways: Sequence[str], check: Path, max_kl: float) -> list[object]:
    """Of the server, for the ways in which it watches."""
    own: dict[str, list[object]] = {
        "canary": ["--canary", check, "--canary-every", 600],
        "shadow": ["--shadow", 1, "--shadow-max-kl", max_kl],
        "guardrails": ["--watch-every", 5],
    }
    return [word for way in ways for word in own[way]]


def release(name: str, preset: str, ways: Sequence[str], work: Path, store: Path) -> None:
    """Make and start it, as an operator does."""
    decision = tt.Report.load(work / "check").verdict.decision
    command: list[object] = ["release", "create", name, "--treatment", f"{work / 'steerings' / 'sentiment'}@{preset}"]
    command += [] if decision in ("go", "caution") else ["--unchecked", "a trial of this script"]
    command += ["--model", "smollm2", "--stages", "50,100", "--check", work / "check"]
    command += ["--no-chat-template", "--on-alarm", "rollback"]
    if preset != "right":
        command += ["--accepted", "only the preset is new"]
    if "guardrails" in ways:
        command += [word for one in GUARDRAILS for word in ("--guardrail", f"{one}::rollback")]
    trimtab(*command, "--store", store, "--by", "ada")
    trimtab("release", "start", name, "--store", store, "--by", "ada")


async def traffic(url: str, name: str, seed: int, tokens: int, limit: int) -> Row:
    """Requests of users until the release is taken back, and a moment longer; so many at most."""
    rng = random.Random(seed)
    prompts = [*TEXTS, *(f"The {subject} was" for subject in SUBJECTS)]
    texts: dict[str, str] = {}
    asked, until = 0, float("inf")
    async with httpx2.AsyncClient(timeout=120) as client:

        async def ask() -> None:
            nonlocal asked
            while time.monotonic() < until and asked < limit:
                asked += 1
                body = {
                    "model": "smollm2", "prompt": rng.choice(prompts), "max_tokens": tokens, "temperature": 0.8,
                    "seed": rng.randrange(2**31), "user": f"user-{seed}-{asked}",
                }  # fmt: skip
                answer = await client.post(f"{url}/completions", json=body)
                assert answer.is_success, answer.text
                said = answer.json()
                arm = "steered" if said["trimtab"]["steering"] else "plain"
                texts.setdefault(arm, body["prompt"] + said["choices"][0]["text"])

        async def look() -> None:
            nonlocal until
            while time.monotonic() < until and asked < limit:
                state = (await client.get(f"{url}/releases/{name}")).json()["state"]
                if state != "running":
                    until = time.monotonic() + AFTER
                await asyncio.sleep(0.25)

        await asyncio.gather(look(), *(ask() for _ in range(CLIENTS)))
        observed = (await client.get(f"{url}/monitoring")).json()
    return {"texts": texts, "alarms": [one["kind"] for one in observed["alarms"]], "shadow": _shadow(observed)}


def _shadow(observed: Row) -> Row | None:
    found = [one["shadow"] for one in observed["steerings"] if one["shadow"] and one["releases"]]
    return found[0] if found else None


def recorded(store: Path, name: str) -> Row:
    """What the store says of it: requests until it was taken back, seconds, who did it and why, and what came after."""
    steps = json.loads(trimtab("release", "history", name, "--store", store, "--json")[1])
    times = {one["what"]: datetime.fromisoformat(_entry_time(store, one["entry"])).timestamp() for one in steps}
    last = steps[-1]
    back = times.get("release.rollback")
    with closing(connect(store)) as connection:
        rows = connection.execute(
            "SELECT time, artifact IS NOT NULL, content FROM exposures WHERE release = ?", (name,)
        ).fetchall()
    before = [row for row in rows if back is None or row[0] <= back]
    _, audit = trimtab("audit", "verify", "--store", store)
    return {
        "requests": len(before),
        "steered": sum(row[1] for row in before),
        "seconds": (back or max(row[0] for row in rows)) - times["release.start"],
        "taken_back": back is not None,
        "by": last["by"],
        "why": last["why"],
        "after": sum(back is not None and row[0] > back for row in rows),
        "steered_late": sum(bool(row[1]) and back is not None and row[0] > back + 1 for row in rows),
        "audit": audit.partition(":")[0],
        **{
            outcome: {
                arm: _mean([json.loads(row[2]).get(outcome) for row in before if bool(row[1]) == steered])
                for arm, steered in (("steered", True), ("plain", False))
            }
            for outcome in MEASURED
        },
    }


def _mean(values: Sequence[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return sum(found) / len(found) if found else None


def _entry_time(store: Path, number: int) -> str:
    with closing(connect(store)) as connection:
        (content,) = connection.execute("SELECT content FROM audit_entries WHERE number = ?", (number,)).fetchone()
    return str(json.loads(content)["time"])


def measured(settings: Row, work: Path) -> Row:
    """One release, from its start until it is taken back."""
    name = f"{settings['preset']}-{'-'.join(settings['ways'])}-{settings['seed']}"
    store = work / f"{name}.db"
    for old in work.glob(f"{name}.db*"):
        old.unlink()
    trimtab("store", "migrate", "--store", store)
    options: list[object] = ["--model", settings["model"], "--name", "smollm2", "--steerings", work / "steerings"]
    options += ["--store", store, "--dtype", "bfloat16", "--no-auth"]
    options += ["--no-playground", *options_of(settings["ways"], work / "check", settings["max_kl"])]
    with started(trimtab_serve(*options), our_url) as server:
        httpx2.post(
            f"{server.url}/completions", json={"model": "smollm2", "prompt": "Hi", "max_tokens": 1}, timeout=120
        )
        release(name, settings["preset"], settings["ways"], work, store)
        found = asyncio.run(traffic(server.url, name, settings["seed"], settings["tokens"], settings["limit"]))
        server.stop()
    return found | recorded(store, name)


def all_rows(args: argparse.Namespace) -> list[Row]:
    """Every release, measured or kept."""
    common = {"model": args.model, "max_kl": args.max_kl, "tokens": args.tokens, "limit": args.limit}
    rows = []
    for seed in range(args.seeds):
        for preset, ways in RUNS:
            if seed and (preset, ways) == ONCE:
                continue
            settings = {"preset": preset, "ways": list(ways), "seed": seed, **common}
            if "guardrails" in ways:
                settings["guardrails"] = list(GUARDRAILS)
            rows.append(kept(args.json, settings, partial(_timed, settings, args.work)))
    return rows


def _timed(settings: Row, work: Path) -> Row:
    began = time.perf_counter()
    return measured(settings, work) | {"total_seconds": time.perf_counter() - began, "machine": machine()}


def page(check: Row, rows: Sequence[Row], max_kl: float) -> str:
    """The page."""
    runs: dict[tuple[str, tuple[str, ...]], list[Row]] = {}
    for row in rows:
        runs.setdefault((row["settings"]["preset"], tuple(row["settings"]["ways"])), []).append(row)
    lines = []
    for (preset, ways), group in runs.items():
        back = [row for row in group if row["taken_back"]]
        told = {row["why"].partition(":")[0] for row in back}
        lines.append([
            preset, ", ".join(ways), f"{len(back)} of {len(group)}", _range([r["requests"] for r in group]),
            _range([r["steered"] for r in group]), _range([r["seconds"] for r in group]),
            ", ".join(sorted(told)) or "–", sum(r["steered_late"] for r in group),
        ])  # fmt: skip
    header = ["steering", "watched by", "taken back", "requests until then", "of them steered", "seconds", "by", "late"]
    limit = rows[0]["settings"]["limit"]
    words = {"page": table(header, lines), "check": check, "kl": max_kl, "limit": limit, "clients": CLIENTS}
    total = sum(row["total_seconds"] for row in rows) + check["seconds"]
    return _PAGE.format(
        **words, machine=rows[0]["machine"], minutes=total / 60, why=_quoted(rows), shown=_shown(rows),
        figures=_figures(runs), tokens=rows[0]["settings"]["tokens"],
        audits=", ".join(sorted({row["audit"] for row in rows})), command=" ".join(sys.argv),
    )  # fmt: skip


def _range(values: Sequence[float]) -> str:
    low, mid, high = min(values), median(values), max(values)
    return f"{mid:.0f}" if low == high else f"{mid:.0f} ({low:.0f} to {high:.0f})"


def _quoted(rows: Sequence[Row]) -> str:
    first = {(r["settings"]["preset"], r["settings"]["ways"][0]): r for r in reversed(rows) if r["taken_back"]}
    return "\n".join(f"- {preset}, {way}: *{row['by']}*: {row['why']}" for (preset, way), row in sorted(first.items()))


def _shown(rows: Sequence[Row]) -> str:
    first = {row["settings"]["preset"]: row["texts"] for row in reversed(rows)}
    said = [(name, texts["steered"]) for name, texts in first.items() if "steered" in texts]
    return table(["steering", "an answer"], [(name, " ".join(text.split()).replace("|", "/")) for name, text in said])


def _figures(runs: dict[tuple[str, tuple[str, ...]], list[Row]]) -> str:
    lines = []
    for (preset, ways), group in runs.items():
        seen = [row["shadow"] for row in group if row["shadow"]]
        kl = [s["kl"]["value"] for s in seen if s["kl"]["value"] is not None]
        random_kl = [s["random_kl"]["value"] for s in seen if s["random_kl"]["value"] is not None]
        shares = [
            _mean([row[outcome][arm] for row in group if outcome in row])
            for outcome in MEASURED for arm in ("steered", "plain")
        ]  # fmt: skip
        lines.append([
            preset, ", ".join(ways), *(f"{median(x):.2f}" if x else "–" for x in (kl, random_kl)),
            *("–" if x is None else f"{x:.2f}" for x in shares),
        ])  # fmt: skip
    header = ["steering", "watched by", "live KL", "of random directions"]
    return table([*header, *(said for one in MEASURED for said in (f"{one}, steered", "unsteered"))], lines)


_PAGE: Final = """# A wrong steering is taken back

    .venv/bin/python {command}

{machine}; {minutes:.0f} minutes with everything. SmolLM2-135M-Instruct (embedded) in bfloat16, `trimtab serve` with a
store in SQLite, {clients} clients, a new user with every request, {tokens} tokens sampled at temperature 0.8. The
steering toward `sentiment` (block 17, strength 0.75) has the verdict *{check[decision]}*: {check[effect]:+.2f} nats per
token on {check[n]} unseen examples.

Two mistakes are released to half of the users, as an operator would: `@reversed`, a preset whose sign is wrong, and
`@broken`, a preset that is eight times too strong. `trimtab release create` names the difference to what was checked
and refuses; somebody answers `--accepted "only the preset is new"`. The server runs already, so that what is counted is
the time from the start of the release to the step in the audit. Median of the seeds, with the range where there are
several; a release is given {limit} requests at most.

{page}

*By* is who found it, from the entry of the audit; *late* are steered answers to requests that came more than a second
after the step.

## What the audit says

All of these steps are by `watch`, and `trimtab audit verify` says of every store: {audits}.

{why}

## What was seen

{figures}

Bound of `--shadow-max-kl`: {kl:g} nats per token. *Degenerate* is the share of answers that have broken down; a dash
is a figure that was not taken.

{shown}

A canary looks at once when something comes live that it has not looked at, whatever `--canary-every` says. Before
this was so, the same releases would have been live until the next look, by default up to an hour.
"""


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2", help="another one is for trials: the page speaks of this one")
    parser.add_argument("--site", type=int, default=17, help="of the steering")
    parser.add_argument("--limit", type=int, default=200, help="requests after which it counts as not taken back")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each release")
    parser.add_argument("--tokens", type=int, default=32, help="of an answer")
    parser.add_argument("--max-kl", type=float, default=0.3, help="bound of the shadow, nats per token")
    parser.add_argument("--work", type=Path, default=Path("out/bench/rollback"), help="steering, check and stores")
    parser.add_argument("--json", type=Path, metavar="FILE", help="JSON lines, one per release, kept between runs")
    parser.add_argument("--out", type=Path, metavar="FILE", help="page to write")
    return parser.parse_args()


def main() -> None:
    args = parsed()
    print(machine(), file=sys.stderr)
    check = prepared(args.work, args.model, args.site)
    print(f"check: {check}; {len(known(args.json))} rows are there", file=sys.stderr, flush=True)
    text = page(check, all_rows(args), args.max_kl)
    publish(text, args.out)


if __name__ == "__main__":
    main()
