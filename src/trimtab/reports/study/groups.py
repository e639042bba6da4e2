"""A study in parts that may be drawn together: one model, one site, one kind of answers, hence one unit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, get_args

from trimtab.phrases import Phrase, untranslated
from trimtab.results.study import Association, At, Cell, Measure, Study, TypeCosines, TypeSummary

ATS: Final[tuple[At, ...]] = get_args(At)


@dataclass(frozen=True)
class GroupView:
    """The results of a study on one model, at one site, with one kind of answers.

    Args:
        key: short name of the group; safe in HTML ids.
        model, block, component, answer_kind: what all cells have in common.
        unit: of their effects.
        types: prompt types, in the order of the study.
        cells, cosines, summaries, associations: the study's, of this group alone.
    """

    key: str
    model: str
    block: int
    component: str
    answer_kind: str
    unit: Phrase
    types: tuple[str, ...]
    cells: tuple[Cell, ...]
    cosines: tuple[TypeCosines, ...]
    summaries: tuple[TypeSummary, ...]
    associations: tuple[Association, ...]

    @property
    def site(self) -> Phrase:
        """Block and component."""
        return Phrase("block {block}, {component}", block=self.block, component=self.component)

    @property
    def title(self) -> Phrase:
        """What it is, for a heading."""
        answers = Phrase("labels") if self.answer_kind == "choice" else Phrase("free text")
        return Phrase("{model}, {site}, {answers}", model=self.model, site=self.site, answers=answers)

    @property
    def measured(self) -> tuple[Cell, ...]:
        """The cells that carry figures."""
        return tuple(cell for cell in self.cells if cell.not_measured is None)

    def summary(self, prompt_type: str, at: At) -> TypeSummary | None:
        """The summary of a prompt type, if there is one."""
        return next((s for s in self.summaries if (s.prompt_type, s.at) == (prompt_type, at)), None)

    def association(self, x: str, y: str, at: At) -> Association | None:
        """How `x` goes together with `y` over all prompt types, nothing held fixed, if the study says so."""
        key = (x, y, at, None, None)
        return next((a for a in self.associations if (a.x, a.y, a.at, a.prompt_type, a.given) == key), None)


def groups(study: Study) -> list[GroupView]:
    """The study's groups, in the order in which its rows name them."""
    rows: tuple[Cell | TypeSummary | Association, ...] = (*study.cells, *study.types, *study.associations)
    keys = dict.fromkeys(map(_key, rows))
    return [_group(study, f"g{i}", key) for i, key in enumerate(keys, start=1)]


def value(cell: Cell, measure: Measure, at: At) -> float | None:
    """A cell's effect or anti-steerable share, at strength 1 or at equal dose."""
    figure: float | None = getattr(cell, measure if at == "strength 1" else f"equal_{measure}")
    return figure


_Key = tuple[str, int, str, str]


def _key(row: Cell | TypeSummary | Association) -> _Key:
    return row.model, row.block, row.component, row.answer_kind


def _either(units: Sequence[Phrase]) -> Phrase:
    """One unit or another; cells of earlier versions may have either."""
    first, *others = units or [untranslated("")]
    return Phrase("{unit} or {other}", unit=first, other=_either(others)) if others else first


def _group(study: Study, name: str, key: _Key) -> GroupView:
    cells = tuple(cell for cell in study.cells if _key(cell) == key)
    summaries = tuple(s for s in study.types if _key(s) == key)
    own = {(cell.model, cell.block, cell.component, cell.behavior) for cell in cells}

    def types() -> Iterator[str]:
        yield from (s.prompt_type for s in summaries)
        yield from (cell.prompt_type for cell in cells)

    return GroupView(
        name,
        *key,
        unit=_either(list(dict.fromkeys(cell.unit for cell in cells))),
        types=tuple(dict.fromkeys(types())),
        cells=cells,
        cosines=tuple(c for c in study.cosines if (c.model, c.block, c.component, c.behavior) in own),
        summaries=summaries,
        associations=tuple(a for a in study.associations if _key(a) == key),
    )
