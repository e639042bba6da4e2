"""Sets made to fool the verdict, and sets that deserve to pass: what a check says of each.

    .venv/bin/python benchmarks/fooling.py --json out/bench/fooling.jsonl

Every set is made of the built-in behaviors' texts, with a fixed seed, and judged as a check judges it at block 14 with
the prefilled vector at strength 1, on up to 100 evaluation examples: by effect, anti-steerable share, desired answers
and all that the examples themselves show. Random directions, divergences, capability and the strength curve are left
out, so that a set counts as passed here which a check might still refuse, and never the other way round. A set that
ought not to pass passes with a go or a caution.

    .venv/bin/python benchmarks/fooling.py --json out/bench/fooling.jsonl --before FILE --into docs/results/verdict.md

writes the table into the page, between its two marks; FILE holds the decisions of an earlier version on the same sets.
"""

import argparse
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from harness import keep, known, table

import trimtab as tt
from trimtab.behaviors import Behavior, Example, PromptType, builtin
from trimtab.behaviors.behavior import Side
from trimtab.experiment.experiment import Experiment
from trimtab.experiment.instrument import Instrument
from trimtab.experiment.preparation import prepare
from trimtab.experiment.progress import Silent
from trimtab.interventions import Site
from trimtab.measurements.activations import training, vector_of
from trimtab.storage.steps import Ledger
from trimtab.verdict.decide import decide
from trimtab.verdict.decision import Thresholds
from trimtab.verdict.evidence import Omitted, assess

SITE, TYPE, STRENGTH, EVALUATION = Site(14), PromptType.PREFILLED, 1.0, 100
THRESHOLDS = Thresholds(0.05)
OMITTED: frozenset[Omitted] = frozenset({"curve", "noise", "random directions", "divergence", "capability"})
OPENINGS = (
    "", "Well, ", "Honestly, ", "As far as I know, ", "You see, ", "I mean, ", "To be fair, ", "In short, ", "Look, ",
    "Of course, ", "Frankly, ", "Anyway, ", "It seems that ", "I would say that ",
)  # fmt: skip
ENDINGS = ("", " Indeed.", " Really.", " Or so I heard.", " That is all.", " As always.", " I think.", " For once.")
FILLERS = ("you know", "sort of", "I mean", "like", "basically", "at the end of the day")
MARK = "<!-- sets made to fool the verdict: benchmarks/fooling.py -->"
PASSED = ("go", "caution")
Row = dict[str, Any]


def rows_of(behavior: Behavior, seed: int = 0) -> list[Example]:
    rows = [replace(e, source="", group="") for e in behavior.examples]
    random.Random(seed).shuffle(rows)
    return rows


def named(name: str, rows: Sequence[Example]) -> Behavior:
    """A set with neutral instructions."""
    return Behavior(
        name,
        [replace(e, source=f"row {i}") for i, e in enumerate(rows, 1)],
        positive_instruction="You write in the one way.",
        negative_instruction="You write in the other way.",
    )


def random_rows(seed: int = 0) -> list[Example]:
    """Ordinary texts on both sides, by the toss of a coin."""
    return rows_of(builtin("null"), seed)


def constant(side: Side) -> Behavior:
    """One sentence on a side, in all rows but one."""
    rows = rows_of(builtin("sentiment"))
    sentence = " was all that anybody could ever have hoped for, and more besides."
    same = [replace(e, positive=sentence) if side == "positive" else replace(e, negative=sentence) for e in rows[1:]]
    return named(f"constant-{side}", [rows[0], *same])


def inserted(text: str, word: str, rng: random.Random) -> str:
    pieces = text.strip().split(" ")
    pieces.insert(rng.randint(1, len(pieces)), word)
    return " " + " ".join(pieces)


def keyword() -> Behavior:
    """One word somewhere in every positive text."""
    rng = random.Random(1)
    return named("keyword", [replace(e, positive=inserted(e.positive, "marigold", rng)) for e in random_rows()])


def varied(text: str, opening: str, ending: str) -> str:
    text = text.strip()
    return f" {opening}{text[0].lower() + text[1:] if opening else text}{ending}"


def variants(n: int, each: int) -> Behavior:
    """A few coin-toss pairs in many light variants, each behind a prompt of its own."""
    rng, base = random.Random(n), random_rows(n)[:n]
    prompts = [e.prompt for e in random_rows(99)]
    out: list[Example] = []
    for e in base:
        for k in range(each):
            forms = [(rng.choice(OPENINGS), rng.choice(ENDINGS)) for _ in range(2)]
            prompt = f"{prompts[len(out) % len(prompts)]} ({k + 1})"
            out.append(
                replace(
                    e, prompt=prompt, positive=varied(e.positive, *forms[0]), negative=varied(e.negative, *forms[1])
                )
            )
    return named(f"{n}x{each}", out)


def exchanged(e: Example) -> Example:
    return replace(e, positive=e.negative, negative=e.positive)


def noise(share: float) -> Behavior:
    """Sentiment with a share of the labels exchanged."""
    rows, rng = rows_of(builtin("sentiment")), random.Random(2)
    wrong = set(rng.sample(range(len(rows)), round(share * len(rows))))
    return named(f"noise-{share:.0%}", [exchanged(e) if i in wrong else e for i, e in enumerate(rows)])


def mixture(*names: str) -> Behavior:
    """Several behaviors in one file."""
    parts = [rows_of(builtin(name), k)[:130] for k, name in enumerate(names)]
    return named("+".join(names), [e for some in zip(*parts, strict=True) for e in some])


def xor() -> Behavior:
    """Sentiment whose sides are exchanged where the prompt is long: each half is a behavior, both together are none."""
    rows = sorted(rows_of(builtin("sentiment")), key=lambda e: len(e.prompt))
    half = len(rows) // 2
    return named("xor", [*rows[:half], *map(exchanged, rows[half:])])


def truncated() -> Behavior:
    """The same text, whole and broken off."""
    rows = []
    for e in random_rows():
        pieces = e.positive.split(" ")
        rows.append(replace(e, negative=" ".join(pieces[: max(3, len(pieces) // 2)])))
    return named("truncation", rows)


def filler() -> Behavior:
    """The same text, with and without fillers."""
    rng, rows = random.Random(3), []
    for e in random_rows():
        text = inserted(inserted(e.positive, rng.choice(FILLERS) + ",", rng), rng.choice(FILLERS) + ",", rng)
        rows.append(replace(e, positive=text, negative=e.positive))
    return named("filler", rows)


def marked() -> Behavior:
    """An end-of-text mark behind the positive texts."""
    return named("end-of-text", [replace(e, positive=f"{e.positive} </s>") for e in random_rows()])


def one_side_short() -> Behavior:
    """Length and one short answer: all negative answers are the same few words."""
    return named("length+constant", [replace(e, negative=" no idea.") for e in rows_of(builtin("honesty"))])


MUST_NOT: Mapping[str, Callable[[], Behavior]] = {
    "one sentence on the positive side, 259 of 260 rows": lambda: constant("positive"),
    "one sentence on the negative side, 259 of 260 rows": lambda: constant("negative"),
    "one keyword in random texts": keyword,
    "one short negative answer (length alone)": one_side_short,
    "the longer of two random texts": lambda: builtin("length-only"),
    "4 random pairs × 60 variants": lambda: variants(4, 60),
    "8 random pairs × 25 variants": lambda: variants(8, 25),
    "12 random pairs × 20 variants": lambda: variants(12, 20),
    "20 random pairs × 10 variants": lambda: variants(20, 10),
    "40 random pairs × 6 variants": lambda: variants(40, 6),
    "20 % of labels exchanged": lambda: noise(0.2),
    "40 % of labels exchanged": lambda: noise(0.4),
    "sentiment and formality in one file": lambda: mixture("sentiment", "formality"),
    "refusal and certainty in one file": lambda: mixture("refusal", "certainty"),
    "sentiment, exchanged where the prompt is long (xor)": xor,
    "texts broken off": truncated,
    "texts with fillers": filler,
    "an end-of-text mark": marked,
    "random pairs (null)": lambda: builtin("null"),
    "shuffled labels": lambda: builtin("shuffled"),
}
MAY: Mapping[str, Callable[[], Behavior]] = {
    name: (lambda name=name: builtin(name))  # type: ignore[misc]
    for name in ("sentiment", "formality", "politeness", "refusal", "certainty", "brevity", "honesty")
}


def measured(model: tt.Model, name: str, make: Callable[[], Behavior]) -> Row:
    """The verdict of a set, or why it is refused."""
    start = perf_counter()
    behavior = make()
    try:
        instrument, splits, _, _ = prepare(Instrument(model, behavior, False, "mean"), None, EVALUATION, 0)
    except tt.InputError as error:
        return {"set": name, "decision": "refused", "why": str(error), "seconds": perf_counter() - start}
    on = Experiment(instrument, splits, (TYPE,), STRENGTH, "all", 0, Ledger(None, ""), Silent())
    geometry = training(on, TYPE, [SITE])[SITE]
    evidence = assess(on, vector_of(on, geometry, SITE), geometry=geometry, omit=OMITTED)
    decided = decide(evidence, THRESHOLDS, instrument)
    reservations, decision, own = list(decided.reservations), decided.conclusion.decision, evidence.steered
    effect, anti = own.effect, own.effect.below_zero()
    return {
        "set": name,
        "decision": "go" if decision == "caution" and not reservations else decision,
        "effect": list(astuple(effect.mean())),
        "positive": list(astuple(effect.side("positive"))),
        "negative": list(astuple(effect.side("negative"))),
        "anti": list(astuple(anti)),
        "n": len(splits.eval),
        "n_clusters": effect.n_clusters,
        "why": list(decided.conclusion.reasons),
        "reservations": reservations,
        "halves": [evidence.direction.halves_cosine, evidence.direction.halves_p_value],
        "label_noise": evidence.label_noise.model_dump(mode="json"),
        "seconds": perf_counter() - start,
    }


def wanted() -> Iterator[tuple[str, Callable[[], Behavior]]]:
    yield from MUST_NOT.items()
    yield from MAY.items()


def figure(three: Sequence[float] | None, share: bool = False) -> str:
    """An estimate with its interval."""
    if three is None:
        return "–"
    shown = [f"{x:.0%}" if share else f"{x + 0.0:.2f}".replace("-0.00", "0.00") for x in three]
    return f"{shown[0]} [{shown[1]}, {shown[2]}]"


def remarks(row: Row) -> str:
    """Why a set does not pass, or what is doubted, in few words."""
    if row["decision"] == "refused":
        return "too few questions: near-duplicates count once"
    known_by = {
        "one-sided": "one string", "one-sentence": "one sentence", "steers toward": "a word", "length alone": "length",
        "the examples seem": "two behaviors", "label noise": "label noise", "desired answers become less": "Δ+ falls",
        "desired answers do not": "Δ+ not certain", "no direction": "no direction",
    }  # fmt: skip
    texts = [*row["why"], *row["reservations"]]
    result = [word for start, word in known_by.items() if any(text.startswith(start) for text in texts)]
    result += [
        f"{name} fails"
        for name, start in (("effect", "mean steering effect"), ("anti-steerable", "share of anti"))
        if any(text.startswith(start) and ": fails" in text for text in texts)
    ]
    return ", ".join(result) or "–"


def lines(rows: Sequence[Row], before: Mapping[str, str]) -> Iterator[list[object]]:
    for row in rows:
        n = f"{row['n_clusters']} of {row['n']}" if "n" in row else "–"
        figures = [figure(row.get(name)) for name in ("effect", "positive", "negative")]
        yield [
            row["set"], before.get(row["set"], "–"), f"**{row['decision']}**", remarks(row), n, *figures,
            figure(row.get("anti"), share=True),
        ]  # fmt: skip


def section(rows: Sequence[Row], before: Mapping[str, str]) -> str:
    """The part of the page between its marks."""
    head = ["set", "before", "now", "remarks", "questions of rows", "effect", "Δ+", "Δ−", "anti-steerable"]
    bad = [row for row in rows if row["set"] in MUST_NOT]
    good = [row for row in rows if row["set"] in MAY]
    passed = sum(row["decision"] in PASSED for row in bad)
    tried = [before[row["set"]] for row in bad if row["set"] in before]
    earlier = sum(decision in PASSED for decision in tried)
    return "\n\n".join(
        (
            MARK,
            "## Sets made to fool it",
            "Built-in texts put together so that there is nothing, or something else than a behavior, to steer toward; "
            "block 14, prefilled vector, strength 1, at most 100 evaluation examples. Random directions, divergences, "
            "capability and the strength curve are left out, so that a set that passes here may still be refused by a "
            f"check, and never the other way round. Of {len(bad)} such sets {passed} pass now. Of {len(tried)} of them "
            f"{earlier} passed the rule of before, when near-duplicates did not count once, desired answers did not "
            "have to get likelier, and nobody looked at wording and mixtures. (A set that is a caution here only since "
            "too few figures are measured is called a go.)",
            "```\n.venv/bin/python benchmarks/fooling.py --json out/bench/fooling.jsonl "
            "--before docs/results/fooling-before.json \\\n    --into docs/results/verdict.md\n```",
            table(head, lines(bad, before)),
            "**Sets that may pass**, judged in the same way:",
            table(head, lines(good, before)),
            MARK,
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=Path("out/bench/fooling.jsonl"))
    parser.add_argument("--only", nargs="+", help="words of the sets' names")
    parser.add_argument("--before", type=Path, help="decisions of an earlier version, a JSON object by set")
    parser.add_argument("--into", type=Path, help="page whose part between two marks is written anew")
    args = parser.parse_args()
    done = {row["set"] for row in known(args.json)}
    model = tt.load("smollm2")
    for name, make in wanted():
        if name in done or (args.only and not any(word in name for word in args.only)):
            continue
        row = measured(model, name, make)
        keep(row, args.json)
        print(name, "→", row["decision"], f"{row['seconds']:.0f} s", flush=True)
    if args.into:
        order = [name for name, _ in wanted()]
        rows = sorted(known(args.json), key=lambda row: order.index(row["set"]))
        text = section(rows, json.loads(args.before.read_text()) if args.before else {})
        start, _, end = args.into.read_text().split(MARK)
        args.into.write_text(start + text + end)


if __name__ == "__main__":
    main()
