"""Few examples: what shrinkage toward known directions gains, and whether the forecast of a verdict comes true.

    .venv/bin/python benchmarks/few.py --data ../shared/data --out docs/results/few.md

Persona sets (statements view) and the built-in behaviors, each at the site and strength that the thorough check
chose (benchmarks/rows/verdict.jsonl; block 14 and strength 1 where there is none). From 8, 12, 20 and 40 training pairs
(one a question, several draws of each number) the plain mean difference is learned, and the same shrunk toward the
built-in behaviors, toward the instruction, and toward both (`trimtab fit --shrink-toward`). All are brought to the
length of the vector of all training pairs, so that what differs is the direction, and are compared by their cosine with
it and by their mean effect on evaluation examples. The rival is to put the same pairs in front of every prompt as
solved examples, where the model's context holds them.

The forecast (`verdict.outlook`) is tried on the effects of the vector of all pairs: some evaluation examples are taken
for all that there is, and what is said of further ones is held against what others of the same set bring.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from harness import known, machine, publish, table

from trimtab.behaviors import Behavior, PromptType
from trimtab.behaviors.controls import CONTROLS
from trimtab.behaviors.readers import builtin_names
from trimtab.errors import InputError
from trimtab.experiment.experiment import Experiment, Variant
from trimtab.experiment.instrument import Floats
from trimtab.interventions import Site
from trimtab.measurements.activations import training
from trimtab.measurements.effects import PLAIN, sweep
from trimtab.measurements.geometry import Geometry
from trimtab.measurements.known_directions import NOTHING, built_in_directions, instruction_direction
from trimtab.statistics import bootstrap_mean
from trimtab.statistics.contrast import Contrast
from trimtab.statistics.outlook import Needed, outlook
from trimtab.steering import Steering
from trimtab.steering.methods import Sides
from trimtab.steering.methods.mean_difference import MeanDifference
from trimtab.storage.steps import Ledger
from verdict import THRESHOLDS, Bench, drawn_sets, experiment_of, family, run, steered_before

PAIRS = (8, 12, 20, 40)
ARMS = ("plain", "built-in", "instruction", "both")
SHOTS = "solved examples"
SEEN, FURTHER = (8, 12, 20, 40), (10, 30, 80)  # evaluation examples of the forecast, and further ones
LEVEL = 0.95
Row = dict[str, Any]


class Few(Bench):
    """What a process of the pool holds."""

    def __init__(self, data: Path, work: Path) -> None:
        super().__init__(data, work)
        self.built_in = Ledger(None, "")  # read once for all sets

    def behavior(self, name: str) -> Behavior:
        return Behavior.builtin(name) if name in builtin_names() else self.persona(name)

    def few(self, name: str, block: int, strength: float, draws: int, rows: int) -> Row:
        """Cosines and effects of vectors from few pairs, and the effects of the vector of all pairs by example."""
        on = replace(experiment_of(self.model, self.behavior(name)), prompt_types=(PromptType.PREFILLED,))
        site = Site(block)
        whole = training(on, PromptType.PREFILLED, [site])[site]
        full = torch.from_numpy(whole.vector)
        directions = self._known(on, site)
        made = {
            f"{arm} {n} {k}": vector
            for k in range(draws)
            for n in PAIRS
            for arm, vector in _vectors(whole, n, k, directions).items()
        }
        base, *of_full = sweep(on, "eval", [PLAIN, (Steering.from_vector(site, full.float()), strength)])
        effect = on.contrast_of(on.splits.eval).change(base, of_full[0])
        variants: list[Variant] = [
            (Steering.from_vector(site, (v / v.norm() * full.norm()).float()), strength) for v in made.values()
        ]
        titles = list(made)
        if not on.behavior.bare:
            every = {f"{SHOTS} {n} {k}": _shots(on, n, k) for k in range(draws) for n in PAIRS}
            shots = {title: some for title, some in every.items() if _fit(on, some, rows)}
            titles += shots
            variants += [(steering, 1.0) for steering in shots.values()]
        first, *after = sweep(on, "eval", [PLAIN, *variants], rows)
        contrast_of = on.contrast_of(on.splits.eval).first(len(first.m))
        return {
            "decision": "measured", "n_train": len(whole.clusters), "pairing": effect.pairing,
            "clusters": list(effect.clusters),
            "full": {"positive": effect.positive.tolist(), "negative": effect.negative.tolist()},
            "full_effect": contrast_of.change(first, of_full[0][slice(len(first.m))]).mean().value,
            "cosine": {t: float(torch.cosine_similarity(v, full, dim=0)) for t, v in made.items()},
            "effect": {t: contrast_of.change(first, p).mean().value for t, p in zip(titles, after, strict=True)},
        }  # fmt: skip

    def _known(self, on: Experiment, site: Site) -> dict[str, dict[str, torch.Tensor]]:
        """By arm the directions that it shrinks toward."""
        built_in = built_in_directions(replace(on, ledger=self.built_in), (site,))
        others = {name: torch.from_numpy(by_site[site]) for name, by_site in built_in.items()}
        try:
            told = {"instruction": torch.from_numpy(instruction_direction(on, (site,))[site])}
        except InputError:  # every example has the same prompt
            told = {}
        return {"plain": {}, "built-in": others, "instruction": told, "both": {**others, **told}}


def _drawn(clusters: Sequence[str], n: int, k: int) -> list[int]:
    """The rows of n questions drawn at random, one each."""
    firsts = np.unique(np.array(clusters), return_index=True)[1]
    return np.sort(np.random.default_rng([n, k]).permutation(firsts)[:n]).tolist()  # type: ignore[no-any-return]


def _vectors(
    whole: Geometry, n: int, k: int, directions: dict[str, dict[str, torch.Tensor]]
) -> dict[str, torch.Tensor]:
    """By arm the vector of some n pairs; nothing where the set has no more than these."""
    rows = _drawn(whole.clusters, n, k)
    if len(set(whole.clusters)) <= n:
        return {}
    sides = [torch.from_numpy(side[rows]) for side in (whole.positive, whole.negative)]
    vectors = {}
    for arm in ARMS:
        side = Sides(sides[0], sides[1], not whole.arbitrary, known=directions[arm])
        vectors[arm] = MeanDifference().edit({"vector": side}, 0).vectors[0].double()
    return vectors


def _shots(on: Experiment, n: int, k: int) -> Steering:
    """The same pairs as solved examples in front of every prompt."""
    part = on.splits.train
    some = [part.examples[i] for i in _drawn(part.clusters, n, k)]
    texts = tuple("".join(e.prompt + getattr(e, side) + "\n\n" for e in some) for side in ("positive", "negative"))
    return Steering({}, {"shots": 1.0}, prompts={"shots": (texts[0], texts[1])})


def _fit(on: Experiment, shots: Steering, rows: int) -> bool:
    """Whether the model's context holds the solved examples in front of every evaluation text."""
    some = on.splits.eval.examples[:rows]
    return all(all(on.instrument.fitting(some, text)) for text in shots.prompts["shots"])


# ---- The forecast ----------------------------------------------------------------------------------------------------


def forecasts(row: Row, draws: int) -> Iterator[tuple[int, int, float, float, bool, bool]]:
    """Of a set: examples seen and further ones, what was said of a pass and a failure, and what came."""
    up, down = (np.array(row["full"][side]) for side in ("positive", "negative"))
    clusters = np.array(row["clusters"])
    names = np.unique(clusters)
    rng = np.random.default_rng(0)
    needs = [
        Needed("mean", 0, 1, THRESHOLDS.min_effect, "above"),
        Needed("share", 0, 1, THRESHOLDS.max_anti_steerable, "below"),
        Needed("mean", 0, None, 0.0, "above", must_hold=False),
    ]
    for n in SEEN:
        for _ in range(draws):
            order = rng.permutation(names)
            first = np.isin(clusters, order[:n])
            if len(names) < n + min(FURTHER) or _decided(up[first], down[first], clusters[first], row["pairing"]) != (
                False, False,
            ):  # fmt: skip
                continue
            figures = np.stack([up, down], axis=1)[first]
            found = outlook(
                figures, clusters[first], needs, pairing=row["pairing"], n_requirements=len(needs),
                seed=int(rng.integers(2**31)),
            )  # fmt: skip
            for more in FURTHER:
                k = int(np.searchsorted(found.new, more))
                both = np.isin(clusters, order[: n + int(found.new[k])])
                if len(names) < n + int(found.new[k]):
                    continue
                came = _decided(up[both], down[both], clusters[both], row["pairing"])
                yield n, more, float(found.passes[k]), float(found.fails[k]), *came


def _decided(up: Floats, down: Floats, clusters: Any, pairing: Any) -> tuple[bool, bool]:
    """Whether the requirements on examples pass, and whether one of the three fails (Holm's first step)."""
    c, strict = Contrast(up, down, tuple(clusters.tolist()), pairing, 0, LEVEL), 1 - (1 - LEVEL) / 3
    holds = c.mean().low > THRESHOLDS.min_effect and c.below_zero().high < THRESHOLDS.max_anti_steerable
    fails = (
        c.mean(strict).high < THRESHOLDS.min_effect
        or c.below_zero(strict).low > THRESHOLDS.max_anti_steerable
        or c.side("positive", strict).high < 0
    )
    return holds and not fails, fails


# ---- The page --------------------------------------------------------------------------------------------------------


def page(rows: Sequence[Row], seconds: float, draws: int) -> str:
    """docs/results/few.md."""
    text = [
        "# Few examples", "",
        "```", ".venv/bin/python benchmarks/few.py --data ../shared/data --out docs/results/few.md", "```", "",
        f"{machine()}; {seconds / 3600:.1f} hours of processes with one thread each. {len(rows)} sets.", "",
        __doc__.split("\n\n", 2)[2].strip(), "",
        "## Vectors from few pairs", "",
        "Means over sets, with 95 % intervals over families of sets. The effect is a share of that of the vector of "
        "all pairs, where that is above its bound.", "",
        table(("pairs", "by", "cosine with the vector of all pairs", "gain over plain", "sets that lose more than 0.01",
               "share of the effect", "gain over plain"), _compared(rows)), "",
        "## Does the forecast come true?", "",
        "Of verdicts that are open, what was said of further examples against what came, by fifths of the chance.", "",
        table(("of", "chance said", "share that came", "forecasts"), _calibrated(rows, draws)), "",
    ]  # fmt: skip
    return "\n".join(text) + "\n"


def _compared(rows: Sequence[Row]) -> Iterator[tuple[object, ...]]:
    families = [family(r["settings"]["name"]) for r in rows]
    for n in PAIRS:
        plain = np.array([_mean(r["cosine"], "plain", n) for r in rows])
        plain_effect = np.array([_share_of_full(r, "plain", n) for r in rows])
        for arm in (*ARMS, SHOTS):
            cosine = np.array([_mean(r["cosine"], arm, n) for r in rows])
            effect = np.array([_share_of_full(r, arm, n) for r in rows])
            gain, more = cosine - plain, effect - plain_effect
            lose = f"{int((gain < -0.01).sum())} of {int(np.isfinite(gain).sum())}"
            itself, in_front = arm == "plain", arm == SHOTS
            yield (
                n, arm, "–" if in_front else _pooled(cosine, families),
                "–" if in_front or itself else _pooled(gain, families), "–" if in_front or itself else lose,
                _pooled(effect, families), "–" if itself else _pooled(more, families),
            )  # fmt: skip


def _share_of_full(row: Row, arm: str, n: int) -> float:
    """Effect over that of the vector of all pairs; NaN where that is hardly one."""
    return _mean(row["effect"], arm, n) / row["full_effect"] if row["full_effect"] > THRESHOLDS.min_effect else np.nan


def _mean(by_title: dict[str, float], arm: str, n: int) -> float:
    """Over the draws; NaN where there is none."""
    values = [value for title, value in by_title.items() if title.startswith(f"{arm} {n} ")]
    return float(np.mean(values)) if values else float("nan")


def _pooled(values: Any, families: Sequence[str]) -> str:
    there = np.isfinite(values)
    some, of = np.array(values)[there], np.array(families)[there]
    if len(set(of.tolist())) < 2:
        return f"{some.mean():.3f}" if len(some) else "–"
    i = bootstrap_mean(some, of, seed=0)
    return f"{i.value:.3f} [{i.low:.3f}, {i.high:.3f}]"


def _calibrated(rows: Sequence[Row], draws: int) -> Iterator[tuple[object, ...]]:
    found = [f for row in rows for f in forecasts(row, draws)]
    for name, said, came in (("a pass", 2, 4), ("a no-go", 3, 5)):
        chances, outcomes = (np.array([f[i] for f in found], dtype=float) for i in (said, came))
        for low in (0.0, 0.2, 0.4, 0.6, 0.8):
            some = (chances >= low) & (chances < low + 0.2 + (low == 0.8))
            if some.any():
                yield name, f"{chances[some].mean():.0%}", f"{outcomes[some].mean():.0%}", int(some.sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", type=Path, default=Path("out/bench/few.jsonl"))
    parser.add_argument("--thorough", type=Path, default=Path("benchmarks/rows/verdict.jsonl"))
    parser.add_argument("--sets", type=int, help="so many persona sets, drawn at random; all of them if not given")
    parser.add_argument("--names", nargs="+", help="these sets alone")
    parser.add_argument("--draws", type=int, default=2, help="of each number of pairs")
    parser.add_argument("--rows", type=int, default=60, help="evaluation examples of vectors from few pairs")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, help="write the table here")
    parser.add_argument("--table", action="store_true", help="of the rows that are there; measure nothing")
    args = parser.parse_args()
    thorough = known(args.thorough)
    named = [name for name in builtin_names() if name not in CONTROLS and name != NOTHING]
    wanted = [
        {
            "job": "few", "name": name, **steered_before(thorough, name), "draws": args.draws, "rows": args.rows,
        }
        for name in args.names or [*named, *drawn_sets(args.data, args.sets)]
    ]  # fmt: skip
    start = perf_counter()
    if not args.table:
        run(wanted, args.data, args.json, args.processes, Few)
    rows = [row for row in known(args.json) if row["settings"] in wanted]
    print(f"{len(rows)} rows, {perf_counter() - start:.0f} s")
    publish(page(rows, sum(row["seconds"] for row in rows), draws=20), args.out)


if __name__ == "__main__":
    main()
