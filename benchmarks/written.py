"""Whether generated text tells the truth about a steering: on the persona sets, by the classifier that a check fits.

    .venv/bin/python benchmarks/written.py --data ../shared/data --out docs/results/written.md

Sets whose likelihoods are no no-go by benchmarks/stopped.py are taken with the block, prompt type and strength that
were chosen there. The model continues up to 80 evaluation texts, plain and steered, as `trimtab check` does, and then
as many of the replication split, which nothing else has used; the classifier of the training texts scores both. A
vector of texts that were dealt to two classes anew is tried on the same evaluation texts: a rise of its scores would be
a false one. Scores of every text are kept in --json, and what is there is not measured again.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from harness import known, machine, table
from verdict_table import PASSED, of_sets, percent, share

from trimtab.evaluation import Quality
from trimtab.experiment.experiment import Experiment
from trimtab.interventions import Site
from trimtab.measurements.activations import training, vector_of
from trimtab.measurements.continuations import continuations
from trimtab.measurements.generated_text import held_out_classifier
from trimtab.statistics import Interval, bootstrap_mean
from trimtab.steering import Steering
from verdict import STRENGTH, Bench, drawn_sets, experiment_of, family, relabelled_vectors, run

Row = dict[str, Any]
TEXTS = 80  # of a split that are continued at most


class Writing(Bench):
    """What a process of the pool holds."""

    def written(self, name: str, block: int, prompt_type: str, strength: float) -> Row:
        """Scores of what the model writes on the evaluation half, and with a vector that means nothing."""
        on, steering = self._prepared(name, block, prompt_type)
        row = _scored(on, steering, strength)
        meaningless = _scored(on, relabelled_vectors(on)[1][0], STRENGTH)
        return {"decision": "written", "scored": row, "relabelled": meaningless}

    def again(self, name: str, block: int, prompt_type: str, strength: float) -> Row:
        """The same on the replication half."""
        on, steering = self._prepared(name, block, prompt_type)
        half = replace(on, splits=replace(on.splits, eval=on.splits.replication))
        return {"decision": "again", "scored": _scored(half, steering, strength)}

    def _prepared(self, name: str, block: int, prompt_type: str) -> tuple[Experiment, Steering]:
        on = experiment_of(self.model, self.persona(name))
        site, kind = Site(block), next(t for t in on.prompt_types if str(t) == prompt_type)
        return on, vector_of(on, training(on, kind, [site])[site], site)


def _scored(on: Experiment, steering: Steering, strength: float) -> Row:
    """How well the classifier tells the half's own texts apart, and its scores of what was written; NaN as None."""
    learnt = held_out_classifier(on)
    texts = continuations(replace(on, strength=strength), steering, 0, TEXTS)
    scores = {
        which: [
            None if np.isnan(score) else float(score)
            for score in learnt.classifier.scores([getattr(text, which).text for text in texts])
        ]
        for which in ("base", "steered")
    }
    return {**_quality(learnt.quality), **scores, "clusters": list(on.splits.eval.clusters[: len(texts)])}


def _quality(quality: Quality) -> Row:
    auroc = quality.auroc
    figures = None if auroc is None else [float(auroc.value), float(auroc.low), float(auroc.high)]
    return {"auroc": figures, "able": quality.reason is None}


# ---- The table -------------------------------------------------------------------------------------------------------


def shift(scored: Row, n: int = TEXTS) -> Interval:
    """Change of the log-odds on the first texts, steered minus plain; where either is empty it does not count."""
    rows = zip(scored["base"][:n], scored["steered"][:n], scored["clusters"], strict=False)
    pairs = [(s - b, cluster) for b, s, cluster in rows if b is not None and s is not None]
    return bootstrap_mean(np.array([d for d, _ in pairs]), np.array([cluster for _, cluster in pairs]), seed=0)


def says(found: Interval) -> str:
    """What a check makes of a shift."""
    return "rises" if found.low > 0 else "falls" if found.high < 0 else "open"


def page(rows: Sequence[Row], decided: Sequence[Row], seconds: float) -> str:
    """docs/results/written.md."""
    decision = {r["settings"]["name"]: r["decision"] for r in decided}
    second = {r["settings"]["name"]: r["scored"] for r in rows if r["settings"]["job"] == "again"}
    rows = [
        r | {"again": second[r["settings"]["name"]]}
        for r in rows
        if r["settings"]["name"] in second and r["settings"]["job"] == "written"
    ]
    able = [r for r in rows if r["scored"]["able"]]
    return "\n".join([
        "# What the model writes, on real behaviors", "",
        "```", ".venv/bin/python benchmarks/written.py --data ../shared/data --out docs/results/written.md", "```", "",
        f"{machine()}; {seconds / 3600:.1f} hours of one process with one thread, beside other work.", "",
        f"The {len(rows)} of {len(decided)} persona sets (statements view) whose likelihoods are no no-go "
        f"([decided as `trimtab check` does](stopped.md)). Up to {TEXTS} evaluation texts are continued with and "
        "without the steering that was chosen, by 40 tokens each, and scored by a classifier of the training texts' "
        "words. "
        f"It tells unseen texts apart well enough to be asked in {len(able)} sets; the others are judged by "
        "likelihood alone, and say so.", "",
        table(
            ("judged by likelihood", "sets", "classifier able", "text rises", "open", "falls"),
            [_said(name, [r for r in rows if decision[r["settings"]["name"]] in which]) for name, which in KINDS],
        ), "",
        "**Does it repeat?** The same on the replication split: other texts to go on from, which nothing has used.",
        "",
        table(
            ("on evaluation", "sets", "estimate above 0 on replication", "rises there", "falls there"),
            [_again(what, [r for r in able if says(shift(r["scored"])) == what]) for what in SAID],
        ), "",
        _meaningless(able), "",
        _how_many(able), "",
        table(
            ("set", "by likelihood", "AUROC", "evaluation, log-odds", "replication, log-odds", "meaningless vector"),
            [_line(r, decision) for r in rows],
        ),
    ]) + "\n"  # fmt: skip


SAID = ("rises", "open", "falls")
KINDS = (("go or caution", PASSED), ("inconclusive", ("inconclusive",)))


def _said(name: str, rows: Sequence[Row]) -> list[object]:
    able = [r for r in rows if r["scored"]["able"]]
    said = [says(shift(r["scored"])) for r in able]
    return [name, len(rows), len(able), *(said.count(what) for what in SAID)]


def _again(what: str, rows: Sequence[Row]) -> list[object]:
    second = [shift(r["again"]) for r in rows]
    return [
        what, len(rows), _part(rows, [i.value > 0 for i in second]),
        *(sum(says(i) == other for i in second) for other in ("rises", "falls")),
    ]  # fmt: skip


def _part(rows: Sequence[Row], flags: Sequence[bool]) -> str:
    """How many, and the share with its interval over families of sets."""
    named = dict(zip([r["settings"]["name"] for r in rows], flags, strict=True))
    if len({family(name) for name in named}) < 2:
        return f"{sum(flags)}"
    return f"{sum(flags)}: {percent(of_sets(rows, lambda r: named[r['settings']['name']]))}"


def _meaningless(able: Sequence[Row]) -> str:
    said = [says(shift(r["relabelled"])) for r in able]
    most = share([what == "rises" for what in said], [family(r["settings"]["name"]) for r in able], 0.9).high
    return (
        f"**A vector that means nothing** (texts dealt to two classes anew, strength {STRENGTH:g}) makes the text rise "
        f"in {said.count('rises')} of {len(said)} sets, at most {most:.0%} (one-sided, 95 %), and fall in "
        f"{said.count('falls')}; were it of no effect at all, 2.5 % each would be expected. What is more "
        "than that is a strong push that moves what is written one way or the other. So text can take back what "
        "likelihoods promise, and cannot promise anything without them: a verdict asks for both, and "
        "[no such vector](stopped.md) passes by its likelihoods."
    )


def _how_many(able: Sequence[Row]) -> str:
    """How often a rise is seen, by the number of texts."""
    seen = {n: sum(says(shift(r["scored"], n)) == "rises" for r in able) for n in (20, 40, TEXTS)}
    told = ", ".join(f"{count} with {n}" for n, count in seen.items())
    return f"**How many texts it takes.** Of the {len(able)} sets the text rises for certain in {told}."


def _line(row: Row, decision: dict[str, str]) -> list[object]:
    name, auroc = row["settings"]["name"], row["scored"]["auroc"]
    told = "–" if auroc is None else f"{auroc[0]:.2f} [{auroc[1]:.2f}, {auroc[2]:.2f}]"
    shown = [shift(row[part]) if row["scored"]["able"] else None for part in ("scored", "again", "relabelled")]
    figures = ["–" if i is None else f"{i.value:+.2f} [{i.low:+.2f}, {i.high:+.2f}]" for i in shown]
    return [name, decision[name], told, *figures]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/rows/written.jsonl"))
    parser.add_argument("--stopped", type=Path, default=Path("benchmarks/rows/stopped.jsonl"))
    parser.add_argument("--sets", type=int, help="so many, drawn at random; all of them if not given")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--out", type=Path, help="write the table here")
    parser.add_argument("--table", action="store_true", help="of the rows that are there; measure nothing")
    args = parser.parse_args()
    decided = {r["settings"]["name"]: r for r in known(args.stopped) if r["settings"]["job"] == "stopped"}
    names = [name for name in drawn_sets(args.data, args.sets) if decided[name]["decision"] != "no-go"]
    wanted = [
        {"job": job, "name": name, **{key: decided[name][key] for key in ("block", "prompt_type", "strength")}}
        for name in sorted(names, key=lambda name: decided[name]["decision"] not in PASSED)
        for job in ("written", "again")
    ]
    if not args.table:
        run(wanted, args.data, args.json, args.processes, Writing)
    rows = known(args.json)
    if args.out:
        args.out.write_text(page(rows, list(decided.values()), sum(row["seconds"] for row in rows)))


if __name__ == "__main__":
    main()
