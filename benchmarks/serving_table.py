"""Tables of what benchmarks/serving.py and benchmarks/serving_soak.py measured: docs/results/serving.md.

    .venv/bin/python benchmarks/serving_table.py --rows out/bench/serving.jsonl --soak out/bench/soak.jsonl \
        --out docs/results/serving.md
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from harness import known, publish, ratio, table
from serving_soak import faults

from serving import KINDS, PEER

STEERED, MANY, OVER_PEER, FIRST, OWN_MS = 0.95, 6.0, 1.0, 1.2, 5.0
Row = dict[str, Any]
Line = Sequence[object]


def met(holds: bool) -> str:
    """A word for the table."""
    return "met" if holds else "**missed**"


def throughput(row: Row) -> Iterator[Line]:
    """Ratios of tokens per second."""
    rates, clients = row["tokens_per_s"], row["settings"]["clients"]
    for kind in KINDS:
        over = ratio(rates[kind], rates["unsteered"])
        yield f"all steered, {kind}, over unsteered", over, f"interval from {STEERED}", met(over.low >= STEERED)
    many = ratio(rates["unsteered"], rates["one client"])
    yield f"{clients} clients over one", many, f"{MANY:.0f}× or more", met(many.median >= MANY)
    if PEER in rates:
        over = ratio(rates["unsteered"], rates[PEER])
        yield f"over {PEER}, {clients} clients", over, f"{OVER_PEER:.1f}× or more", met(over.median >= OVER_PEER)


def first_token(row: Row) -> Iterator[Line]:
    """Ratios of seconds."""
    for way in ("unsteered", "steered"):
        over = ratio(row["seconds"][way], row["seconds"]["bare generate"])
        what = f"first token of an idle server, {way}, over a bare generate"
        yield what, over, f"{FIRST}× or less", met(over.median <= FIRST)


def own_share(row: Row) -> Iterator[Line]:
    """Milliseconds, which one client's requests are long."""
    for way, found in row["milliseconds"].items():
        worst = sorted(found)[int(0.95 * len(found))]
        shown = f"{median(found):.1f} ms, 95 % below {worst:.1f} ms"
        yield (
            f"the server's own share of a request, {way}",
            shown,
            f"below {OWN_MS:.0f} ms",
            met(median(found) < OWN_MS),
        )
    yield "its processor time for a request, many clients", f"{row['processor_ms']:.1f} ms", "", ""


SECTIONS = {"throughput": throughput, "first token": first_token, "own share": own_share}


def speed(rows: Sequence[Row]) -> Iterator[str]:
    """The part about speed."""
    (rates, settings), *_ = [(row["tokens_per_s"], row["settings"]) for row in rows if "tokens_per_s" in row]
    threads = "torch's default" if settings["threads"] is None else settings["threads"]
    yield (
        f"Machine: {settings['machine']}. Model: {settings['model']} in {settings['dtype']}, threads of the model: "
        f"{threads}; {settings['rounds']} rounds in one run, answers of {settings['tokens']} tokens, greedy; ratios "
        "are of medians, with a paired 95 % bootstrap interval over rounds.\n"
    )
    lines = [line for section, lines_of in SECTIONS.items() for row in rows for line in _in(section, row, lines_of)]
    yield table(["", "measured", "target", ""], lines)
    yield "\nTokens per second, medians: " + ", ".join(f"{name} {median(r):.0f}" for name, r in rates.items()) + ".\n"


def _in(section: str, row: Row, lines_of: Any) -> Iterator[Line]:
    return lines_of(row) if row["settings"]["section"] == section else iter(())


def soak(result: Row) -> Iterator[str]:
    """The part about the soak."""
    wrong = faults(result)
    stop = result["stop"]
    held = f"**Not held: {'; '.join(wrong)}.**" if wrong else "Everything held."
    yield (
        f"{result['requests']:,} requests in {result['seconds'] / 60:.0f} minutes; steerings were switched "
        f"{result['switched']} times; the model's process was killed once and back after "
        f"{result['seconds down']:.1f} s. {held}\n"
    )
    names = {
        "same": "the answer that it gets alone, or its own marker",
        "parted": "the same up to two tokens that were all but equally likely",
        "left": "left by the client",
    }
    outcomes = [(names.get(what, what), n) for what, n in sorted(result["outcomes"].items())]
    yield table(["outcome", "requests"], outcomes) + "\n"
    yield table(["refused, and sent again", "times"], sorted(result["refusals"].items())) + "\n"
    grown = [
        (
            name,
            f"{one['after']:.0%}",
            f"{one['per_1000']:+.1f} MB [{one['low']:+.1f}, {one['high']:+.1f}]",
            " → ".join(f"{mb:.0f}" for mb in one["mb"]) + " MB",
        )
        for name, found in result["memory"].items()
        for one in found
    ]
    yield (
        table(
            [
                "process",
                "requests before",
                "memory for each 1,000 requests",
                "median of the first and of the last tenth",
            ],
            grown,
        )
        + "\n"
    )
    ends = ", ".join(f"{n} {what}" for what, n in stop["answers"].items())
    left = {None: "", True: ", the model's process was left", False: ", no process was left"}[stop["engine left"]]
    how = f"ended after {stop['seconds']} s with status {stop['status']}{left}"
    yield f"Told to stop with answers under way: {ends}; {how}.\n"


def page(rows: Sequence[Row], soaked: Row | None) -> str:
    """The document."""
    parts = ["# Serving: speed, and a soak\n"]
    if rows:
        parts += ["## Speed\n", "`.venv/bin/python benchmarks/serving.py`\n", *speed(rows)]
    if soaked is not None:
        parts += ["## Soak\n", "`.venv/bin/python benchmarks/serving_soak.py`\n", *soak(soaked)]
    return "\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, metavar="FILE", help="of serving.py")
    parser.add_argument("--soak", type=Path, metavar="FILE", help="of serving_soak.py")
    parser.add_argument("--out", type=Path, metavar="FILE", help="Markdown; else standard output alone")
    args = parser.parse_args()
    results = [row["result"] for row in known(args.soak) if "result" in row]
    publish(page(known(args.rows), results[-1] if results else None), args.out)


if __name__ == "__main__":
    main()
