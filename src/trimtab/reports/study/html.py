"""The page of a study: what many behaviors show together, as one HTML file that needs nothing else."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import plotly.graph_objects as go

from trimtab.languages import ENGLISH, Language
from trimtab.phrases import Phrase
from trimtab.reports.html import document
from trimtab.reports.palette import DARK
from trimtab.reports.study.groups import GroupView, groups
from trimtab.reports.study.marks import where
from trimtab.reports.study.plots import group_figures
from trimtab.reports.study.scatter import MORE_DARK, SHARED, across
from trimtab.reports.study.tables import (
    BEHAVIORS,
    WORDS,
    BehaviorRow,
    Outcome,
    TypeRow,
    absent,
    behavior_rows,
    counted,
    model_rows,
    outcomes,
    type_rows,
)
from trimtab.results.study import Study

# Parts of a group: the end of their ids, and their names.
CONTENTS: Final = (
    ("effects", Phrase("Effects")),
    ("wrong", Phrase("Anti-steerable")),
    ("ranks", Phrase("Ranks")),
    ("cosines", Phrase("Directions")),
    ("geometry", Phrase("Geometry")),
    ("behaviors", Phrase("Behaviors")),
)


@dataclass(frozen=True)
class _Section:
    """A group with what its tables hold."""

    group: GroupView
    types: list[TypeRow]
    outcomes: list[Outcome]
    behaviors: list[BehaviorRow]
    absent: list[tuple[Phrase, int]]


@dataclass(frozen=True)
class _Comparison:
    """Two models whose cells are held against each other; the plots are named `key` and a column."""

    key: str
    first: GroupView
    other: GroupView


def study_page(study: Study, language: Language = ENGLISH) -> str:
    """The study as a self-contained HTML page.

    Args:
        study: what to show; its cells are drawn, but only their table of behaviors is printed.
        language: of all but names, commands and the texts of data sets.

    Returns:
        The whole document. It makes no request, works without a network, and follows the reader's colour scheme.
    """
    parts = groups(study)
    drawn: dict[str, go.Figure] = {}
    for group in parts:
        drawn |= group_figures(group, study.equal_dose)
    comparisons = list(_comparisons(parts))
    for pair in comparisons:
        figures = {f"{pair.key}-{name}": across(pair.first, pair.other, name) for name in SHARED}
        drawn |= {name: figure for name, figure in figures.items() if figure is not None}
    return document(
        "study.html",
        drawn,
        {**DARK, **MORE_DARK},
        language,
        study=study,
        count=counted(study),
        models=model_rows(study),
        contents=CONTENTS,
        sections=[_section(group) for group in parts],
        comparisons=comparisons,
        shared=SHARED,
        ats={"strength 1": Phrase("strength 1"), "equal dose": Phrase("equal dose")},
        doses=[where("strength 1", study.equal_dose), where("equal dose", study.equal_dose)],
        words=WORDS,
        shown=BEHAVIORS,
    )


def _section(group: GroupView) -> _Section:
    return _Section(group, type_rows(group), outcomes(group), behavior_rows(group), absent(group))


def _comparisons(parts: list[GroupView]) -> Iterator[_Comparison]:
    """The first model's groups against those of every other model: same kind of answers, sites in their order."""
    by_kind: dict[str, dict[str, list[GroupView]]] = {}
    for group in parts:
        by_kind.setdefault(group.answer_kind, {}).setdefault(group.model, []).append(group)
    for models in by_kind.values():
        first, *others = models.values()
        for other in others:
            for here, there in zip(first, other, strict=False):
                yield _Comparison(f"{here.key}-{there.key}", here, there)
