"""What the rows of a study show together: prompt types compared, and what goes with a large effect."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np

from trimtab.behaviors import PromptType
from trimtab.experiment.instrument import Floats
from trimtab.measurements.geometry import attempted
from trimtab.results.figures import Estimate
from trimtab.results.study import Association, At, Cell, Study, TypeSummary
from trimtab.statistics import share_interval
from trimtab.statistics.associations import family_mean, partial_spearman, rank_counts, spearman

INDICES: Final = (
    "agreement_loo",
    "agreement",
    "separability_held_out",
    "edit_size_ratio",
)  # what could tell beforehand
OUTCOMES: Final = ("effect", "anti_steerable")
_COLUMN: Final[Mapping[At, str]] = {"strength 1": "", "equal dose": "equal_"}


@dataclass(frozen=True)
class CellGroup:
    """Cells that can be compared: one model, one site, one kind of answers, without controls.

    Args:
        model, block, component, answer_kind: what they have in common.
        cells: all measured ones.
    """

    model: str
    block: int
    component: str
    answer_kind: str
    cells: Sequence[Cell]

    @property
    def common(self) -> dict[str, object]:
        """What a record of the group begins with."""
        return {name: getattr(self, name) for name in ("model", "block", "component", "answer_kind")}


def groups(cells: Sequence[Cell]) -> list[CellGroup]:
    """The comparable cells of a study, in their order."""
    groups: dict[tuple[str, int, str, str], list[Cell]] = {}
    for cell in cells:
        if cell.not_measured is None and not cell.control:
            groups.setdefault((cell.model, cell.block, cell.component, cell.answer_kind), []).append(cell)
    return [CellGroup(*key, rows) for key, rows in groups.items()]


def with_findings(study: Study) -> Study:
    """The study with its summaries."""
    of = groups(study.cells)
    types = tuple(row for group in of for row in summaries(group, study.seed))
    associations = tuple(row for group in of for row in associated(group, study.seed))
    return study.model_copy(update={"types": types, "associations": associations})


def summaries(group: CellGroup, seed: int) -> Iterator[TypeSummary]:
    """Every prompt type over the behaviors of a group."""
    types = [t.value for t in PromptType if any(c.prompt_type == t.value for c in group.cells)]
    for at, before in _COLUMN.items():
        ranks = rank_counts(_by_type(group.cells, types, f"{before}effect"))
        for k, name in enumerate(types):
            rows = [c for c in group.cells if c.prompt_type == name]
            place = {"prompt_type": name, "at": at, "ranks": tuple(ranks[k].tolist())}
            yield TypeSummary.model_validate({**group.common, **place, **_means(rows, before, seed)})


def _means(cells: Sequence[Cell], before: str, seed: int) -> dict[str, Estimate]:
    """Means of the outcomes over behaviors, with intervals over families."""
    families, n = np.array([c.family for c in cells]), len(cells)
    effect, anti = (column(cells, f"{before}{outcome}") for outcome in OUTCOMES)
    return {
        "effect": attempted(lambda: family_mean(effect, families, seed=seed), n),
        "anti_steerable": attempted(lambda: family_mean(anti, families, seed=seed), n),
        "positive": attempted(lambda: share_interval(effect > 0, families), n),
    }


def associated(group: CellGroup, seed: int) -> Iterator[Association]:
    """How indices and outcomes go together: over all types, given the vector's norm, and type by type."""
    names = dict.fromkeys(c.prompt_type for c in group.cells)
    cases: list[tuple[str | None, str | None]] = [(None, None), (None, "norm"), *((name, None) for name in names)]
    for at, x, y, (name, given) in product(_COLUMN, INDICES, OUTCOMES, cases):
        rows = [c for c in group.cells if name in (None, c.prompt_type)]
        columns = [x, f"{_COLUMN[at]}{y}", *([given] if given else [])]
        whole = [c for c in rows if all(getattr(c, one) is not None for one in columns)]
        yield Association.model_validate(
            {
                **group.common,
                "x": x,
                "y": y,
                "given": given,
                "prompt_type": name,
                "at": at,
                "rho": _rho(whole, columns, seed),
                "families": len({c.family for c in whole}),
            }
        )


def _rho(cells: Sequence[Cell], columns: Sequence[str], seed: int) -> Estimate:
    families = np.array([c.family for c in cells])
    x, y, *given = (column(cells, name) for name in columns)
    if given:
        return attempted(lambda: partial_spearman(x, y, given[0], families, seed=seed), len(cells))
    return attempted(lambda: spearman(x, y, families, seed=seed), len(cells))


def column(cells: Sequence[Cell], name: str) -> Floats:
    """`[n]` of a column; NaN where a cell has none."""
    return np.array([np.nan if (v := getattr(c, name)) is None else v for c in cells], dtype=np.float64)


def _by_type(cells: Sequence[Cell], types: Sequence[str], name: str) -> Floats:
    """`[behaviors, types]` of a column; NaN where a type was not measured."""
    behaviors = list(dict.fromkeys(c.behavior for c in cells))
    out = np.full((len(behaviors), len(types)), np.nan)
    for c in cells:
        value = getattr(c, name)
        out[behaviors.index(c.behavior), types.index(c.prompt_type)] = np.nan if value is None else value
    return out
