"""Tables of the studies beside the numbers of Braun et al. (2505.22637): docs/results/study.md.

    .venv/bin/python benchmarks/study_table.py --studies out/study --out docs/results/study.md

Below --studies lie the folders that `trimtab study --out` wrote: persona (statements), choice, builtins, nulls, maps
(sites and slopes), models and float32 (the same behaviors on other models).
"""

import argparse
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import mean

import numpy as np
from harness import machine, table
from scipy.stats import spearmanr

from trimtab.results.figures import Estimate
from trimtab.results.study import Association, At, Cell, Study, TypeSummary
from trimtab.results.study_files import load_study
from trimtab.statistics.associations import spearman

NAMES = ("persona", "choice", "builtins", "nulls", "maps", "models", "float32")
INDICES = {"agreement_loo": "agreement, leave-one-out", "agreement": "agreement (paper)",
           "separability_held_out": "d′ held out", "edit_size_ratio": "dose of strength 1"}  # fmt: skip
ATS: tuple[At, At] = ("strength 1", "equal dose")
WHOLE = 69  # persona sets
MIN_EFFECT, MAX_ANTI_STEERABLE = 0.05, 0.25  # bounds of a check: effect, nats per token, and anti-steerable share
SHARED = ("agreement_loo", "separability_held_out", "norm", "effect", "anti_steerable")


def real(study: Study) -> list[Cell]:
    """Measured cells that are no controls."""
    return [c for c in study.cells if c.not_measured is None and not c.control]


def figure(e: Estimate, scale: float = 1.0, digits: int = 2) -> str:
    """An estimate with its interval."""
    if e.value is None:
        return f"not measured: {e.reason}"
    value, *ends = (f"{scale * x:.{digits}f}" for x in (e.value, e.low, e.high) if x is not None)
    return f"{value} [{', '.join(ends)}]" if ends else value


def percent(e: Estimate) -> str:
    return figure(e, 100.0, 0) + " %"


def values(cells: Sequence[Cell], name: str) -> np.ndarray:
    return np.array([getattr(c, name) for c in cells], dtype=float)


def summaries(study: Study, at: At) -> list[TypeSummary]:
    return [t for t in study.types if t.at == at]


def rho(study: Study, x: str, y: str, at: At, given: str | None = None, prompt_type: str | None = None) -> Association:
    key = (x, y, at, given, prompt_type)
    return next(a for a in study.associations if (a.x, a.y, a.at, a.given, a.prompt_type) == key)


def by_behavior(study: Study, name: str) -> dict[str, float]:
    """Mean over prompt types."""
    cells = real(study)
    return {
        b: float(np.mean([getattr(c, name) for c in cells if c.behavior == b])) for b in {c.behavior for c in cells}
    }


def between_types(study: Study) -> tuple[float, float]:
    """Least and largest mean over behaviors of the cosine of two types' vectors."""
    controls = {c.behavior for c in study.cells if c.control}
    mine = np.stack([np.array(c.matrix) for c in study.cosines if c.behavior not in controls and len(c.types) == 7])
    means = mine.mean(axis=0)[np.triu_indices(7, 1)]
    return float(means.min()), float(means.max())


def run(studies: dict[str, Study]) -> str:
    rows = []
    for name, s in studies.items():
        cells = [c for c in s.cells if c.not_measured is None]
        families = len({c.family for c in cells if not c.control})
        behaviors, controls = (len({c.behavior for c in cells if c.control is flag}) for flag in (False, True))
        sites = ", ".join(map(str, sorted({c.block for c in cells})))
        sizes = sorted({(c.n_train, c.n_eval) for c in cells})
        split = f"{sizes[0][0]}/{sizes[0][1]}" + (f" to {sizes[-1][0]}/{sizes[-1][1]}" if len(sizes) > 1 else "")
        rows.append([name, behaviors, controls, families, len({c.prompt_type for c in cells}), sites, split,
                     len(cells), f"{s.seconds / 60:.0f} min"])  # fmt: skip
    head = ["study", "behaviors", "controls", "families", "prompt types", "blocks", "train/eval", "cells", "time"]
    return table(head, rows)


def paper(s: Study, choice: Study | None) -> str:
    """The paper's findings beside ours."""

    def of(tell: Callable[[Study, At], str]) -> list[str]:
        return [tell(s, "strength 1"), tell(s, "equal dose"), tell(choice, "strength 1") if choice else "not run"]

    def shares(study: Study, at: At) -> str:
        shares = [100 * (t.anti_steerable.value or 0.0) for t in summaries(study, at)]
        return f"{min(shares):.0f} to {max(shares):.0f} %"

    def spread(study: Study, at: At) -> str:
        name = "anti_steerable" if at == "strength 1" else "equal_anti_steerable"
        shares = [100 * v for v in by_behavior(study, name).values()]
        return f"{min(shares):.0f} to {max(shares):.0f} %"

    def best(study: Study, at: At) -> str:
        first = Counter({t.prompt_type: t.ranks[0] for t in summaries(study, at)}).most_common(2)
        return ", ".join(f"{name} {n}" for name, n in first)

    def positive(study: Study, at: At) -> str:
        types = summaries(study, at)
        sure = sum((t.effect.low or 0.0) > 0 for t in types)
        return f"{sum((t.effect.value or 0.0) > 0 for t in types)} of {len(types)} ({sure} with the whole interval)"

    def linked(x: str, y: str, prompt_type: str | None = None) -> Callable[[Study, At], str]:
        return lambda study, at: figure(rho(study, x, y, at, None, prompt_type).rho)

    def cosines(study: Study, at: At) -> str:
        return "{:.2f} to {:.2f}".format(*between_types(study))

    rows = [
        ["prompt types with a mean effect above 0", "7 of 7", *of(positive)],
        ["ranked first in most behaviors", "none stands out", *of(best)],
        ["anti-steerable share by type", "29 to 43 %", *of(shares)],
        ["anti-steerable share by behavior", "3 to 50 %", *of(spread)],
        ["ρ of agreement and effect, prefilled", "0.76", *of(linked("agreement", "effect", "prefilled"))],
        ["… all prompt types pooled", "", *of(linked("agreement", "effect"))],
        [
            "ρ of agreement and anti-steerable, prefilled",
            "−0.78",
            *of(linked("agreement", "anti_steerable", "prefilled")),
        ],
        ["… all prompt types pooled", "", *of(linked("agreement", "anti_steerable"))],
        [
            "ρ of d′ and effect, prefilled (ours held out)",
            "0.71",
            *of(linked("separability_held_out", "effect", "prefilled")),
        ],
        ["… all prompt types pooled", "", *of(linked("separability_held_out", "effect"))],
        ["cosines between types (means over behaviors)", "0.07 to 0.86", *of(cosines)],
    ]
    return table(["finding", "paper", "statements, strength 1", "statements, equal dose", "choices, strength 1"], rows)


def types(s: Study) -> str:
    equal = {t.prompt_type: t for t in summaries(s, "equal dose")}
    rows = []
    for t in summaries(s, "strength 1"):
        e, cells = equal[t.prompt_type], [c for c in real(s) if c.prompt_type == t.prompt_type]
        geometry = [
            f"{values(cells, name).mean():.2f}"
            for name in ("agreement_loo", "separability_held_out", "edit_size_ratio")
        ]
        one = [figure(t.effect, digits=3), percent(t.positive), percent(t.anti_steerable)]
        ranks = " ".join(map(str, t.ranks))
        rows.append([t.prompt_type, *geometry, *one, figure(e.effect, digits=3), percent(e.anti_steerable), ranks])
    head = ["prompt type", "agreement", "d′", "dose", "effect, λ = 1", "above 0", "anti-steerable"]
    return table([*head, "effect, equal dose", "anti-steerable", "behaviors at rank 1 … by effect"], rows)


def choices(s: Study | None) -> str:
    return f"## Choices\n\n{types(s)}\n\n{links(s)}\n" if s else ""


def links(s: Study) -> str:
    rows = []
    names = [t.prompt_type for t in summaries(s, "strength 1")]
    for x, name in INDICES.items():
        for y in ("effect", "anti_steerable"):
            within = [v for n in names if (v := rho(s, x, y, "equal dose", None, n).rho.value) is not None]
            over_all = [figure(rho(s, x, y, at).rho) for at in ATS]
            fixed_norm = figure(rho(s, x, y, "strength 1", "norm").rho)
            ends = f"{min(within):.2f} to {max(within):.2f}" if within else "–"
            rows.append([name, y.replace("_", "-"), *over_all, fixed_norm, ends])
    head = ["ρ of", "with", "strength 1", "equal dose", "strength 1 given ‖s‖", "within one type, equal dose"]
    return table(head, rows)


def nulls(s: Study) -> str:
    rows = []
    columns = ("agreement_loo", "separability_held_out", "auroc_held_out", "permutation_p", "effect", "anti_steerable")
    for name, flag in (("sets", False), ("the same with shuffled labels", True)):
        cells = [c for c in s.cells if c.control is flag and c.not_measured is None]
        rows.append([name, len(cells), *(_middle(values(cells, column)) for column in columns)])
    head = ["prefilled vectors", "n", "agreement", "d′ held out", "AUROC held out", "p of “no direction”"]
    return table([*head, "effect, λ = 1", "anti-steerable"], rows)


def _middle(x: np.ndarray) -> str:
    low, high = np.quantile(x, [0.025, 0.975])
    return f"{x.mean():.2f} ({low:.2f} to {high:.2f})"


def maps(s: Study) -> str:
    columns = {
        "agreement_loo": "agreement", "separability_held_out": "d′ held out", "edit_size_ratio": "dose of λ = 1",
        "effect": "effect, λ = 1", "equal_effect": "effect, equal dose",
        "equal_anti_steerable": "anti-steerable, equal dose", "steerability": "slope",
        "spearman": "rank correlation of λ and m",
    }  # fmt: skip
    rows = []
    for block in sorted({c.block for c in real(s)}):
        cells = [c for c in real(s) if c.block == block]
        figures = [values(cells, name) for name in columns]
        rows.append([block, *(f"{x.mean():.2f} ({x.min():.2f} to {x.max():.2f})" for x in figures)])
    return table(["block", *columns.values()], rows)


def carried(s: Study) -> Iterator[list[object]]:
    """Every other model of a study against its first."""
    first, *others = dict.fromkeys(c.model for c in s.cells)
    here = {(c.behavior, c.prompt_type): c for c in real(s) if c.model == first}
    for other in others:
        pairs = [(here[c.behavior, c.prompt_type], c) for c in real(s) if c.model == other]
        for name in SHARED:
            x, y = (np.array([getattr(pair[i], name) for pair in pairs]) for i in (0, 1))
            row = [f"{first} → {other}", name, len(pairs), f"{x.mean():.3f}", f"{y.mean():.3f}",
                   f"{spearmanr(x, y).statistic:.3f}", f"{np.median(np.abs(x - y)):.4f}"]  # fmt: skip
            yield row
        agreement, families = values([p[0] for p in pairs], "agreement_loo"), np.array([p[0].family for p in pairs])
        crossed = [spearman(agreement, values([p[i] for p in pairs], "effect"), families, seed=0) for i in (0, 1)]
        yield [f"{first} → {other}", "ρ of the first's agreement with either's effect", len(pairs),
               *(f"{i.value:.2f} [{i.low:.2f}, {i.high:.2f}]" for i in crossed), "–", "–"]  # fmt: skip


def steerable(s: Study) -> str:
    """Agreement where prefilled vectors keep the bounds of a check at equal dose, and where they do not."""
    parts: tuple[list[float], list[float]] = ([], [])
    for c in real(s):
        if c.prompt_type == "prefilled":
            held = (c.equal_effect_low or 0.0) > MIN_EFFECT and (
                c.equal_anti_steerable_high or 1.0
            ) < MAX_ANTI_STEERABLE
            parts[not held].append(c.agreement_loo or 0.0)
    means = [f"{mean(part):.2f} in the {len(part)} sets" if part else "no set" for part in parts]
    return f"{means[0]} that keep a check's bounds at equal dose, {means[1]} that do not"


def command(s: Study) -> str:
    """As it was typed: the shell made a list of the whole folder."""
    words = s.command.split()
    files = [word for word in words if word.startswith("persona/")]
    if len(files) < WHOLE:
        return s.command
    return " ".join([*words[:2], "persona/*.jsonl", *(word for word in words[2:] if word not in files)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=Path, required=True, help="folder with the folders of studies")
    parser.add_argument("--out", type=Path, help="Markdown file; else standard output")
    args = parser.parse_args()
    studies = {
        name: load_study(args.studies / name) for name in NAMES if (args.studies / name / "study.json").is_file()
    }
    s = studies["persona"]
    commands = "\n".join(map(command, studies.values()))
    others = [*carried(studies["models"]), *carried(studies["float32"])]
    head = ["models", "figure", "cells", "first", "other", "ρ between them", "median difference"]
    text = f"""# The study: the reliability paper's findings, measured again

```
{commands}
.venv/bin/python benchmarks/study_table.py --studies out/study --out docs/results/study.md
```

{machine()}; SmolLM2-135M-Instruct in bfloat16 unless a table says otherwise; two processes; times beside other work.
Vectors at the residual of block 14, which was named before anything was measured. Intervals are over families of
behaviors. What this means is explained in [Studies](../study.md#what-came-out).

{run(studies)}

## Beside the paper

Braun et al. steered Llama-2-7b-chat on choices (A or B) at λ = 1. Leave-one-out agreement of our prefilled vectors:
{steerable(s)} (paper: about 0.48 for a steerable behavior, 0.19 for one that is not).

{paper(s, studies.get("choice"))}

## Statements: prompt types

{types(s)}

## Statements: what goes with a large effect

{links(s)}

{choices(studies.get("choice"))}
## Built-in behaviors

{types(studies["builtins"])}

## Shuffled labels

{nulls(studies["nulls"])}

Means, and in brackets where 95 % of the sets lie.

## Sites and slopes

Six sets, prefilled vectors: mean (least to largest).

{maps(studies["maps"])}

## Other models

{table(head, others)}
"""
    if args.out:
        args.out.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
