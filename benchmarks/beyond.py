"""When one direction does not hold: which examples backfire, and what leaving them alone is worth.

    .venv/bin/python benchmarks/beyond.py --data ../shared/data --out docs/results/beyond.md

Persona sets (statements view), TruthfulQA and the built-in behaviors. A mean difference of the prefilled type is
learned at the site and strength that the thorough check chose (benchmarks/rows/verdict.jsonl; block 14 and strength 1
where there is none). The risk and its thresholds are those of `trimtab fit --backfire`; they see training and dev
examples alone. What is reported is of the evaluation and replication examples together. Rivals: leaving examples alone
at random, which keeps the share of backfires, and by the unsteered propensity or the length alone, at the same
coverage. Another rival steers less in place of not at all: full strength on the third of the prompts with the least
risk, half on the next, none on the last (thirds of the risk where it was learned), beside leaving alone as many of the
riskiest as make the mean strength the same, and half the strength everywhere. What was measured is kept beside the
rows, so that rows can be computed anew without a model.
"""

import argparse
import pickle
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from attributes import attributes
from harness import known, machine, table

from trimtab.behaviors import Behavior, PromptType
from trimtab.behaviors.readers import builtin_names
from trimtab.errors import InputError
from trimtab.experiment.experiment import Experiment, Split
from trimtab.experiment.instrument import SIDES, Floats
from trimtab.interventions import Site
from trimtab.measurements.effects import PLAIN, sweep
from trimtab.measurements.risk import Outcomes, fit_risk, outcomes
from trimtab.statistics import bootstrap_mean
from trimtab.statistics.contrast import Contrast
from trimtab.statistics.selective import promised, risk_auroc, thresholds_by_coverage
from trimtab.steering import Steering
from trimtab.steering.methods import configured
from trimtab.workflows.fit.abstention import LEVEL, candidate_sites, held_out, upper_bound
from trimtab.workflows.fit.fit import alone
from trimtab.workflows.fit.materials import FitMaterials
from verdict import Bench, drawn_sets, experiment_of, family, run, steered_before

PROMISES = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35)
KEPT = (0.5, 0.7, 0.8)  # shares of the examples acted on, for the comparison with rivals
TEST: tuple[Split, ...] = ("eval", "replication")
MEASURED = 2  # version of what is kept beside the rows: 2 has the effects at half the strength
WAYS = {"alone": "the riskiest are left alone", "thirds": "full, half, none by thirds", "half": "half everywhere"}
Row = dict[str, Any]


class Abstaining(Bench):
    """What a process of the pool holds."""

    def behavior(self, name: str) -> Behavior:
        if name in builtin_names():
            return Behavior.builtin(name)
        return attributes(self.data)["truthfulness"] if name == "truthfulqa" else self.persona(name)

    def abstention(self, name: str, block: int, strength: float, measured: int) -> Row:
        """The risk, promises kept and broken on examples that nothing has seen, and what rivals come to there."""
        kept = self.work / f"{name}-{measured}.pickle"
        if not kept.is_file():
            self.work.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(pickle.dumps(self._measured(name, block, strength)))
        seen, test, half, rivals = pickle.loads(kept.read_bytes())
        row: Row = {
            "decision": "no risk", "n": test.effect.n_clusters,
            "n_seen": seen.effect.n_clusters, "pairing": test.effect.pairing,
            "wrong": asdict(test.effect.below_zero()), "effect": asdict(test.effect.mean()),
        }  # fmt: skip
        try:
            risk, scores = fit_risk(seen, 0)
            row["auroc_seen"] = asdict(risk_auroc(scores, seen.wrong, seen.clusters))
            risk_auroc(risk.of(test.prompts[risk.site]), test.wrong, test.clusters)
        except InputError as error:
            return {**row, "decision": f"no risk: {error}"}
        on_test = risk.of(test.prompts[risk.site])
        every = thresholds_by_coverage(scores)
        row["read_at"] = str(risk.site)
        row["auroc"] = asdict(risk_auroc(on_test, test.wrong, test.clusters))
        row["calibration"] = _calibration(on_test, test)
        row["promises"] = {}
        for most in PROMISES:
            found = promised(every, lambda t, level: upper_bound(seen.acting(scores, t), level), most, LEVEL)
            row["promises"][str(most)] = None if found is None else _figures(test, on_test, found)
        row["at"] = {name: _at(test, score) for name, score in {"risk": on_test, **rivals}.items()}
        row["rivals"] = {name: _auroc(score, test) for name, score in rivals.items()}
        row["shrunk"] = shrunk(test, half, on_test, scores)
        best = [most for most, figures in row["promises"].items() if figures is not None]
        return {**row, "decision": f"promises {min(best)}" if best else "promises nothing"}

    def _measured(
        self, name: str, block: int, strength: float
    ) -> tuple[Outcomes, Outcomes, Contrast, dict[str, Floats]]:
        """All that needs the model: examples to learn a risk from, unseen ones, their effects at half the strength,
        and what rivals say of them."""
        behavior = self.behavior(name)
        on = replace(experiment_of(self.model, behavior), prompt_types=(PromptType.PREFILLED,))
        learn = partial(_learned, Site(block), behavior.name)
        steering = learn({behavior.name: on}).changed(attributes={behavior.name: strength})
        seen = held_out({behavior.name: on}, behavior.name, steering, learn)
        test = Outcomes.together([outcomes(on, steering, part, candidate_sites(on)) for part in TEST])
        return seen, test, _at_half(on, steering, test), _rivals(on, test)


def _learned(site: Site, name: str, experiments: dict[str, Experiment]) -> Steering:
    return alone(configured("mean-difference", {}).learn(FitMaterials(experiments, [site]))[0].steering, name)


def _at_half(on: Experiment, steering: Steering, test: Outcomes) -> Contrast:
    """Effects of the unseen examples at half the strength."""
    changes = []
    for part in TEST:
        base, after = sweep(on, part, [PLAIN, (steering, 0.5)])
        changes.append([getattr(after, side) - getattr(base, side) for side in SIDES])
    positive, negative = (np.concatenate(side) for side in zip(*changes, strict=True))
    return replace(test.effect, positive=positive, negative=negative)


def _rivals(on: Experiment, test: Outcomes) -> dict[str, Floats]:
    """What else might tell: the unsteered propensity of the answer, and the length of the prompt."""
    base = [sweep(on, part, [PLAIN])[0] for part in TEST]
    up, down = (np.concatenate([getattr(p, side) for p in base]) for side in ("positive", "negative"))
    examples = [e for part in TEST for e in on.part(part).examples]
    rows = [row for side in on.instrument.bare(examples) for row in side]
    lengths = np.array([row.prompt_len for row in rows], dtype=np.float64)
    if test.effect.pairing == "natural":
        return {"propensity": up - down, "length": lengths[: len(up)]}
    return {"propensity": np.concatenate([up, -down]), "length": lengths}


def _auroc(score: Floats, test: Outcomes) -> dict[str, float]:
    """In the direction that is the better one here, which flatters a rival."""
    found = risk_auroc(score, test.wrong, test.clusters)
    return asdict(found if found.value >= 0.5 else risk_auroc(-score, test.wrong, test.clusters))


def _at(test: Outcomes, score: Floats) -> dict[str, Row]:
    """What is left where the riskiest by a score are left alone, in the better direction of the score."""
    sign = 1.0 if risk_auroc(score, test.wrong, test.clusters).value >= 0.5 else -1.0
    return {str(share): _figures(test, sign * score, float(np.quantile(sign * score, share))) for share in KEPT}


def _figures(test: Outcomes, score: Floats, threshold: float) -> Row:
    at = test.acting(score, threshold)
    acts, within, whole = at.acts(), at.mean_acting(), test.effect.mean().value
    assert acts is not None
    return {
        "acts": acts.value, "wrong": asdict(at.below_zero()), "n": at.n_acting,
        "effect": None if within is None else within.value, "effect_everywhere": whole,
    }  # fmt: skip


def shrunk(test: Outcomes, half: Contrast, on_test: Floats, scores: Floats) -> dict[str, Row]:
    """Strengths that shrink with the risk, beside leaving alone and beside half of it everywhere.

    Args:
        test: unseen examples at full strength.
        half: the same at half of it.
        on_test: `[m]` risks of their prompts.
        scores: risks where they were learned, whose thirds set the strengths.
    """
    safe, middle = np.quantile(scores, (1 / 3, 2 / 3))
    by_risk = np.where(on_test < safe, 1.0, np.where(on_test < middle, 0.5, 0.0))
    acts = (
        on_test <= np.quantile(on_test, by_risk.mean(), method="inverted_cdf") if by_risk.any() else on_test < -np.inf
    )
    strengths = {"alone": acts.astype(np.float64), "thirds": by_risk, "half": np.full(len(on_test), 0.5)}
    return {name: _of_strengths(test.effect, half, strength) for name, strength in strengths.items()}


def _of_strengths(full: Contrast, half: Contrast, strength: Floats) -> Row:
    """What prompts at strengths of 0, a half and 1 come to, `[m]`."""
    both = (strength, strength) if full.pairing == "natural" else tuple(np.split(strength, 2))
    positive, negative = (
        np.select([own == 1.0, own == 0.5], [getattr(full, side), getattr(half, side)], 0.0)
        for side, own in zip(SIDES, both, strict=True)
    )
    whole = replace(full, positive=positive, negative=negative)
    at = replace(whole, acting=(both[0] > 0, both[1] > 0))
    acts = at.acts()
    assert acts is not None
    pairs = whole.rows if full.pairing == "natural" else np.subtract.outer(positive, negative)
    return {
        "strength": float(strength.mean()), "acts": acts.value, "wrong": at.below_zero().value,
        "wrong_of_all": float((pairs < 0).mean()), "effect": whole.mean().value,
        "harm": float(np.maximum(-pairs, 0.0).mean()),
    }  # fmt: skip


def _calibration(log_odds: Floats, test: Outcomes) -> list[tuple[float, float, int]]:
    """By fifths of the predicted chance its mean, the share that went wrong, and prompts."""
    chance = 1 / (1 + np.exp(-log_odds))
    fifths = np.array_split(np.argsort(chance), 5)
    return [(float(chance[f].mean()), float(test.wrong[f].mean()), len(f)) for f in fifths]


def page(rows: Sequence[Row], seconds: float) -> str:
    """docs/results/beyond.md."""
    good = [r for r in rows if "auroc" in r]
    text = [
        "# Which examples backfire, and leaving those alone", "",
        "```", ".venv/bin/python benchmarks/beyond.py --data ../shared/data --out docs/results/beyond.md", "```", "",
        f"{machine()}; {seconds / 3600:.1f} hours of processes with one thread each.", "",
        __doc__.split("\n\n", 2)[2].strip(), "",
        "## Can it be told beforehand?", "", *_told(good), "",
        "## Promises", "", *_promises(good), "",
        "## At the same coverage", "", *_compared(good), "",
        "## Less strength in place of none", "", *_shrinking(good), "",
        "## By set", "", _by_set(rows),
    ]  # fmt: skip
    return "\n".join(text) + "\n"


def _told(rows: Sequence[Row]) -> list[str]:
    by = {"the risk": [r["auroc"]["value"] for r in rows]}
    by |= {name: [r["rivals"][name]["value"] for r in rows] for name in ("propensity", "length")}
    families = [family(r["settings"]["name"]) for r in rows]
    lines = [
        (name, _pooled(values, families), f"{np.quantile(values, 0.1):.2f} to {np.quantile(values, 0.9):.2f}")
        for name, values in by.items()
    ]
    above = sum(r["auroc"]["low"] > 0.5 for r in rows)
    calibration = np.mean([[(p, w) for p, w, _ in r["calibration"]] for r in rows], axis=0)
    fifths = ", ".join(f"{p:.0%} → {w:.0%}" for p, w in calibration)
    return [
        table(("what tells", "AUROC, mean over sets [95 % over families]", "8 of 10 sets"), lines), "",
        f"The interval of the risk lies above 0.5 in {above} of {len(rows)} sets. Propensity and length are taken in "
        f"the direction that turned out better, which flatters them. By fifths of the predicted chance, what was "
        f"predicted and what came: {fifths} (means over sets).",
    ]  # fmt: skip


def _pooled(values: Sequence[float], families: Sequence[str]) -> str:
    i = bootstrap_mean(np.array(values), np.array(families), seed=0)
    return f"{i.value:.2f} [{i.low:.2f}, {i.high:.2f}]"


def _promises(rows: Sequence[Row]) -> list[str]:
    lines = []
    for most in map(str, PROMISES):
        made = [(r, r["promises"][most]) for r in rows if r["promises"][most] is not None]
        if not made:
            lines.append((f"{float(most):.0%}", 0, "–", "–", "–", "–", "–"))
            continue
        broken = sum(f["wrong"]["value"] > float(most) for _, f in made)
        certain = sum(f["wrong"]["low"] > float(most) for _, f in made)
        needed = sum(r["wrong"]["value"] > float(most) for r, _ in made)
        kept = np.median([f["acts"] for _, f in made])
        ratio = np.median([f["effect"] / f["effect_everywhere"] for _, f in made if f["effect"] is not None])
        lines.append((f"{float(most):.0%}", len(made), needed, broken, certain, f"{kept:.0%}", f"{ratio:.2f}"))
    header = (
        "at most", f"promised, of {len(rows)} sets", "of these not kept without", "share above it on unseen examples",
        "with the whole interval", "acted on, median", "effect there over effect everywhere, median",
    )  # fmt: skip
    return [table(header, lines)]


def _compared(rows: Sequence[Row]) -> list[str]:
    lines = []
    for share in map(str, KEPT):
        before = np.array([r["wrong"]["value"] for r in rows])
        for name in ("risk", "propensity", "length"):
            after = np.array([r["at"][name][share]["wrong"]["value"] for r in rows])
            lines.append((f"{float(share):.0%}", name, f"{before.mean():.1%}", f"{after.mean():.1%}"))
    return [table(("acted on", "by", "backfires everywhere", "where it acts"), lines)]


def _shrinking(rows: Sequence[Row]) -> list[str]:
    families = [family(r["settings"]["name"]) for r in rows]

    def mean(way: str, figure: str) -> float:
        return float(np.mean([r["shrunk"][way][figure] for r in rows]))

    lines = [
        (
            what, f"{mean(way, 'strength'):.2f}", f"{mean(way, 'acts'):.0%}", f"{mean(way, 'wrong'):.1%}",
            f"{mean(way, 'wrong_of_all'):.1%}", f"{mean(way, 'effect'):.3f}", f"{mean(way, 'harm'):.4f}",
        )
        for way, what in WAYS.items()
    ]  # fmt: skip
    header = (
        "strength", "its mean", "acted on", "backfires where it acts", "backfires of all examples", "mean effect, all",
        "mean push the wrong way, all",
    )  # fmt: skip
    said = []
    for figure, what in (("effect", "the mean effect"), ("harm", "the mean push the wrong way")):
        gaps = [r["shrunk"]["thirds"][figure] - r["shrunk"]["alone"][figure] for r in rows]
        i = bootstrap_mean(np.array(gaps), np.array(families), seed=0)
        said.append(f"{what} {i.value:+.4f} [{i.low:+.4f}, {i.high:+.4f}]")
    return [
        table(header, lines), "",
        f"Means over sets; effects in nats per token. Shrinking by thirds minus leaving alone, at the same mean "
        f"strength in every set, with 95 % intervals over families: {', '.join(said)}.",
    ]  # fmt: skip


def _by_set(rows: Sequence[Row]) -> str:
    def line(r: Row) -> tuple[object, ...]:
        name, wrong = r["settings"]["name"], _share(r["wrong"])
        if "auroc" not in r:
            return (name, r["n"], f"{r['effect']['value']:.3f}", wrong, "–", "–", r["decision"])
        auroc = "{value:.2f} [{low:.2f}, {high:.2f}]".format(**r["auroc"])
        made = [(m, f) for m, f in r["promises"].items() if f is not None]
        least = f"{float(made[0][0]):.0%} at {made[0][1]['acts']:.0%}" if made else "none"
        return (
            name,
            r["n"],
            f"{r['effect']['value']:.3f}",
            wrong,
            auroc,
            _share(r["at"]["risk"]["0.5"]["wrong"]),
            least,
        )

    header = ("set", "n", "effect", "backfires", "AUROC of the risk", "backfires on the safer half", "least promise")
    return table(header, map(line, rows))


def _share(i: dict[str, float]) -> str:
    return "{value:.0%} [{low:.0%}, {high:.0%}]".format(**i)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", type=Path, default=Path("out/bench/beyond.jsonl"))
    parser.add_argument("--thorough", type=Path, default=Path("benchmarks/rows/verdict.jsonl"))
    parser.add_argument("--sets", type=int, help="so many persona sets, drawn at random; all of them if not given")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, help="write the table here")
    parser.add_argument("--table", action="store_true", help="of the rows that are there; measure nothing")
    args = parser.parse_args()
    thorough = known(args.thorough)
    named = [n for n in builtin_names() if n != "null"]
    wanted = [
        {
            "job": "abstention", "name": name, **steered_before(thorough, name), "measured": MEASURED,
        }
        for name in ["truthfulqa", *named, *drawn_sets(args.data, args.sets)]
    ]  # fmt: skip
    start = perf_counter()
    if not args.table:
        run(wanted, args.data, args.json, args.processes, Abstaining)
    rows = [row for row in known(args.json) if row["settings"].get("measured") == MEASURED]
    print(f"{len(rows)} rows, {perf_counter() - start:.0f} s")
    if args.out:
        args.out.write_text(page(rows, sum(row["seconds"] for row in rows)))


if __name__ == "__main__":
    main()
