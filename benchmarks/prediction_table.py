"""How well geometry predicts what steering will do: docs/results/prediction.md.

    .venv/bin/trimtab predict --fit out/study/persona --fit out/study/nulls --fit … --out out/study/fit
    .venv/bin/python benchmarks/prediction_table.py --fit out/study/fit --study out/study/persona \
        --study out/study/nulls --verdicts out/bench/verdict.jsonl --out docs/results/prediction.md

Every figure is over families of sets that were left out of the fit.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from harness import known, table
from scipy.stats import spearmanr

from trimtab.reports.prediction.terminal import NAMES, meaning
from trimtab.results.calibration_files import load_calibrations
from trimtab.results.numbers import spread
from trimtab.results.prediction import Calibration
from trimtab.results.study import Cell
from trimtab.results.study_files import load_study
from trimtab.statistics import Interval, two_sample_share
from trimtab.statistics.calibration import Cells
from trimtab.statistics.prediction import PredictionScores
from trimtab.workflows.predict.calibrate import comparable

COMMAND = (
    ".venv/bin/python benchmarks/prediction_table.py --fit out/fit --study out/persona --study out/nulls "
    "--verdicts out/bench/verdict.jsonl --out docs/results/prediction.md"
)
PASSED = ("go", "caution")


def shown(i: Interval) -> str:
    return spread(i.value, i.low, i.high)


def scores(c: Calibration) -> str:
    rows = [(" + ".join(NAMES[name] for name in c.predictor.features), c.scores)]
    if c.scores_with_controls:
        rows.append(("the same, controls counted too", c.scores_with_controls))
    rows += [(f"{NAMES[name]} alone", s) for name, s in c.singles.items()]
    head = [
        "predicted from",
        "cells",
        "held",
        "AUROC",
        "Brier",
        "base rate's",
        "gain",
        "R² effect",
        "R² anti-steerable",
    ]
    return table(head, (row(name, s) for name, s in rows))


def row(name: str, s: PredictionScores) -> list[object]:
    briers = [f"{s.brier:.3f}", f"{s.brier_base:.3f}", shown(s.gain)]
    return [
        name,
        s.cells,
        s.successes,
        shown(s.auroc),
        *briers,
        f"{s.effect_r2:.2f}",
        f"{s.anti_steerable_r2:.2f}",
    ]


def in_short(c: Calibration) -> str:
    """What the features together add to the best of them alone, and to the base rate."""
    best, gain = next(iter(c.singles)), c.scores.gain
    sure = "holds 0" if gain.low <= 0 <= gain.high else "lies off 0"
    return (
        f"**{c.kind.capitalize()}: {NAMES[best]} alone has an AUROC of {shown(c.singles[best].auroc)}, the three "
        f"features together {shown(c.scores.auroc)}** ({c.scores.cells} cells); the interval of their gain over the "
        f"base rate's Brier score, {shown(gain)}, {sure}."
    )


def bins(s: PredictionScores) -> str:
    rows = [(b.n, f"{b.predicted:.1%}", shown(Interval(*(100 * x for x in ends(b.observed)))) + " %") for b in s.bins]
    return table(["cells", "predicted", "held"], rows)


def ends(i: Interval) -> tuple[float, float, float]:
    return i.value, i.low, i.high


def left_out_of(c: Calibration, cells: Sequence[Cell]) -> dict[tuple[str, str], float]:
    """Probability of each cell by a model without its family."""
    column = {name: np.array([getattr(cell, name) for cell in cells], dtype=float) for name in c.predictor.features}
    effect, low = (
        np.array([getattr(cell, n) for cell in cells], dtype=float) for n in ("equal_effect", "equal_effect_low")
    )
    names = ("equal_anti_steerable", "equal_anti_steerable_high")
    anti, high = (np.array([getattr(cell, n) for cell in cells], dtype=float) for n in names)
    held = ((low > c.min_effect) & (high < c.max_anti_steerable)).astype(float)
    p = Cells(column, held, effect, anti, np.array([cell.family for cell in cells])).left_out.p
    return {(cell.behavior, cell.prompt_type): float(v) for cell, v in zip(cells, p, strict=True)}


def against_checks(p: dict[tuple[str, str], float], verdicts: list[dict[str, object]]) -> Iterator[str]:
    """Predictions of whole sets against what checks decided about them."""
    real = [v for v in verdicts if v["settings"]["job"] == "real"]  # type: ignore[index]
    by_set = {v["settings"]["name"]: v for v in real}  # type: ignore[index]
    best = {name: max(v for (behavior, _), v in p.items() if behavior == name) for name in by_set}
    passed = np.array([by_set[name]["decision"] in PASSED for name in best])
    values = np.array(list(best.values()))
    families = np.array([name.split("-")[0] for name in best])
    area = two_sample_share(values[passed], values[~passed], families[passed], families[~passed])
    auroc = Interval(1 - area.value, 1 - area.high, 1 - area.low)
    yield (
        f"For each of the {len(best)} sets, the largest left-out probability of its seven prompt types against the "
        f"decision of a full check, which chooses site, type and strength on dev and measures side effects too "
        f"([its study](verdict.md)): AUROC {shown(auroc)} for go or caution ({passed.sum()} sets) against the rest."
    )
    effects = [by_set[name]["bounds"]["mean steering effect"]["value"] for name in best]  # type: ignore[index]
    rho = spearmanr(values, effects).statistic
    yield f"Rank correlation of that probability with the check's effect: {rho:.2f}."
    order = np.argsort(-values)
    kinds = ("go", "caution", "inconclusive", "no-go")
    rows = []
    for part in np.array_split(order, 3):
        decisions = [by_set[list(best)[i]]["decision"] for i in part]
        ends_of = f"{values[part].min():.1%} to {values[part].max():.1%}"
        rows.append([ends_of, len(part), *(decisions.count(kind) for kind in kinds)])
    yield table(["probability", "sets", *kinds], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", type=Path, required=True, help="folder that trimtab predict --fit wrote")
    parser.add_argument("--study", type=Path, action="append", required=True, help="studies behind it (repeatable)")
    parser.add_argument("--verdicts", type=Path, required=True, help="what benchmarks/verdict.py measured")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    fit = load_calibrations(args.fit / "calibrations.json")
    text = next(c for c in fit.calibrations if c.kind == "free text, unpaired" and c.dtype == "bfloat16")
    key = (text.model.digest, text.dtype, text.block, text.component, text.answer_kind, text.pairing)
    cells = comparable([load_study(folder) for folder in args.study])[key]
    parts = [
        f"# Predictions before steering\n\n```\n{fit.command}\n{COMMAND}\n```\n",
        "![Predicted probability against what held](prediction.png)\n",
        "Every figure is over families of behaviors that were left out of the fit; intervals are over families. The "
        "three features were named before the study was run; single indices are for comparison.\n",
        *(f"{in_short(c)}\n" for c in fit.calibrations),
    ]
    for c in fit.calibrations:
        parts.append(f"## {c.model.id}, block {c.block} {c.component}, {c.kind}\n\n{meaning(c)}\n\n{scores(c)}\n")
        parts.append(f"Predicted and what came of it, without controls:\n\n{bins(c.scores)}\n")
        if c.scores_with_controls:
            parts.append(f"With controls:\n\n{bins(c.scores_with_controls)}\n")
    if fit.notes:
        parts.append("Not fitted: " + "; ".join(fit.notes) + ".\n")
    parts.append("## Against whole checks\n")
    parts += [f"{line}\n" for line in against_checks(left_out_of(text, cells), known(args.verdicts))]
    args.out.write_text("\n".join(parts))


if __name__ == "__main__":
    main()
