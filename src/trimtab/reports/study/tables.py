"""What the tables and lists of a study's page hold, worked out from the record."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from trimtab.phrases import Phrase, untranslated, with_commas
from trimtab.reports.check.tables import GLOSSARY, cell
from trimtab.reports.study.groups import ATS, GroupView
from trimtab.results.figures import Estimate
from trimtab.results.numbers import missing
from trimtab.results.study import Association, At, Cell, Study, TypeSummary

BEHAVIORS: Final = 150  # rows of the table of behaviors

COLUMNS: Final[Mapping[str, Phrase]] = {
    "agreement": Phrase("agreement (paper)"),
    "agreement_loo": Phrase("agreement, leave-one-out"),
    "separability": Phrase("d′ in sample"),
    "separability_held_out": Phrase("d′ held out"),
    "auroc_held_out": Phrase("AUROC held out"),
    "expected_cosine": Phrase("cosine of two vectors trained apart, expected"),
    "permutation_p": Phrase("p of “no direction at all”"),
    "halves_cosine": Phrase("cosine between halves that differ in subject"),
    "norm": Phrase("norm of the vector"),
    "edit_size_ratio": Phrase("dose of strength 1"),
    "length_auroc": Phrase("AUROC of answer length"),
    "base_accuracy": Phrase("accuracy before steering"),
    "effect": Phrase("effect Δ"),
    "positive": Phrase("change of desired answers, Δ+"),
    "negative": Phrase("change of undesired answers, Δ−"),
    "effect_sd": Phrase("spread of the effect"),
    "odd": Phrase("odd part of the effect"),
    "even": Phrase("even part of the effect"),
    "anti_steerable": Phrase("anti-steerable share"),
    "steerability": Phrase("steerability"),
    "spearman": Phrase("linearity (rank correlation of strength and propensity)"),
    "n_train": Phrase("training examples"),
}

_OWN: Final = (
    (
        Phrase("Cell"),
        Phrase(
            "One behavior under one prompt type, at one site of one model: a mark in the plots, a row of the table "
            "cells.parquet."
        ),
    ),
    (
        Phrase("Prompt type"),
        Phrase(
            "How the examples were put to the model when the vector was trained: with their own answer prefilled (P), "
            "under an instruction (I), after five shots (5), or with several of these. All vectors are tried on the "
            "same bare prompts."
        ),
    ),
    (
        Phrase("Control"),
        Phrase("A set with nothing to steer toward, such as shuffled labels. What a control shows is chance."),
    ),
    (
        Phrase("Strength 1 and equal dose"),
        Phrase(
            "A vector is as long as its examples make it, so at strength 1 a coherent behavior also gets a stronger "
            "push. At equal dose every vector is brought to the same length against the activations, so what still "
            "goes together there does not come from length."
        ),
    ),
    (
        Phrase("Family"),
        Phrase(
            "Behaviors that are near copies of each other. Intervals of means and of ρ resample families, so that ten "
            "copies do not count as ten findings."
        ),
    ),
    (
        Phrase("ρ"),
        Phrase(
            "Spearman's rank correlation over cells: 1 the same order, 0 none, −1 the reverse order. With a column "
            "held fixed it is the partial correlation given that column."
        ),
    ),
)
_SHARED: Final = ("Propensity m", "Effect Δ", "Δ+ and Δ−", "Anti-steerable", "Agreement", "κ", "d′", "AUROC", "Dose")

# What the page explains: its own words, and between them those of reports that a study uses too.
WORDS: Final = (*_OWN[:3], *((word, meaning) for word, meaning in GLOSSARY if word in _SHARED), *_OWN[3:])

_EARLIER: Final = Phrase("the study is of an earlier version")
Pair = tuple[str, str]  # a value and its interval, over two lines of a table's cell


def percent(e: Estimate) -> Pair:
    """A share in per cent over two lines."""
    value, low, high = (None if end is None else 100 * end for end in (e.value, e.low, e.high))
    return cell(Estimate(value=value, low=low, high=high, n=e.n, reason=e.reason))


@dataclass(frozen=True)
class Counts:
    """How much was studied; `absent` cells were not measured."""

    behaviors: int
    controls: int
    families: int
    types: int
    cells: int
    absent: int


def counted(study: Study) -> Counts:
    """Counts over all models and sites."""
    return Counts(
        behaviors=len({c.behavior for c in study.cells}),
        controls=len({c.behavior for c in study.cells if c.control}),
        families=len({c.family for c in study.cells}),
        types=len({c.prompt_type for c in study.cells}),
        cells=len(study.cells),
        absent=sum(c.not_measured is not None for c in study.cells),
    )


@dataclass(frozen=True)
class TypeRow:
    """A prompt type at both doses: mean effect, share of behaviors with a positive one, anti-steerable share."""

    name: str
    n: int | None
    figures: tuple[Pair, ...]


def type_rows(group: GroupView) -> list[TypeRow]:
    """A row for each prompt type that has a summary."""
    rows = []
    for name in group.types:
        summaries = [group.summary(name, at) for at in ATS]
        if any(summaries):
            figures = tuple(pair for s in summaries for pair in _type_figures(s))
            rows.append(TypeRow(name, next(s.effect.n for s in summaries if s), figures))
    return rows


def _type_figures(s: TypeSummary | None) -> tuple[Pair, Pair, Pair]:
    absent = missing(None), ""
    return (cell(s.effect), percent(s.positive), percent(s.anti_steerable)) if s else (absent, absent, absent)


@dataclass(frozen=True)
class Link:
    """An association as a table shows it."""

    rho: Pair
    n: int | None
    families: int


@dataclass(frozen=True)
class LinkRow:
    """A column of geometry against an outcome at both doses, where one was computed."""

    name: str
    links: tuple[Link | None, ...]


@dataclass(frozen=True)
class Outcome:
    """Everything that goes with one outcome: over all types, and by prompt type at either dose."""

    name: str
    together: tuple[LinkRow, ...]
    types: tuple[str, ...]
    by_type: tuple[tuple[At, tuple[LinkRow, ...]], ...]


def outcomes(group: GroupView) -> list[Outcome]:
    """The associations, grouped by what they explain."""
    names = dict.fromkeys(a.y for a in group.associations)
    return [_outcome(group, name) for name in names]


def _outcome(group: GroupView, name: str) -> Outcome:
    own = [a for a in group.associations if a.y == name]
    together = _link_rows([a for a in own if a.prompt_type is None], [(None, at) for at in ATS])
    single = [a for a in own if a.prompt_type is not None]
    types = tuple(t for t in group.types if any(a.prompt_type == t for a in single))
    by_type = ((at, _link_rows([a for a in single if a.at == at], [(t, at) for t in types])) for at in ATS)
    return Outcome(COLUMNS.get(name, name), together, types, tuple((at, rows) for at, rows in by_type if rows))


def _link_rows(associations: Sequence[Association], places: Sequence[tuple[str | None, At]]) -> tuple[LinkRow, ...]:
    """A row for each explaining column and what is held fixed, a link for each type and dose in `places`."""
    by_key: dict[tuple[str, str | None], dict[tuple[str | None, At], Link]] = {}
    for a in associations:
        link = Link(cell(a.rho), a.rho.n, a.families)
        by_key.setdefault((a.x, a.given), {})[a.prompt_type, a.at] = link
    named = {_explains(x, fixed): links for (x, fixed), links in by_key.items()}
    return tuple(LinkRow(name, tuple(links.get(place) for place in places)) for name, links in named.items())


def _explains(x: str, fixed: str | None) -> str:
    name = COLUMNS.get(x, x)
    return Phrase("{what} ({fixed} held fixed)", what=name, fixed=COLUMNS.get(fixed, fixed)) if fixed else name


@dataclass(frozen=True)
class BehaviorRow:
    """A behavior under the prompt type with the largest effect at strength 1; `reason` where none was measured."""

    name: str
    family: str
    control: bool
    reason: Phrase | None
    prompt_type: str
    effect: Pair
    positive: Pair
    negative: Pair
    anti_steerable: Pair
    agreement: Pair
    separability: Pair
    equal_effect: Pair


def behavior_rows(group: GroupView) -> list[BehaviorRow]:
    """All behaviors: the largest effects first, then controls, then what could not be measured."""
    by_name: dict[str, list[Cell]] = {}
    for one in group.cells:
        by_name.setdefault(one.behavior, []).append(one)
    best = [max(cells, key=_strength) for cells in by_name.values()]
    best.sort(key=lambda c: (c.effect is None, c.control, -_strength(c)))
    return [_behavior_row(c) for c in best]


def _strength(one: Cell) -> float:
    return float("-inf") if one.effect is None else one.effect


def _behavior_row(c: Cell) -> BehaviorRow:
    return BehaviorRow(
        c.behavior,
        c.family,
        c.control,
        None if c.effect is not None else missing(c.not_measured),
        c.prompt_type,
        effect=cell(Estimate(value=c.effect, low=c.effect_low, high=c.effect_high)),
        positive=cell(Estimate(value=c.positive, low=c.positive_low, high=c.positive_high, reason=_EARLIER)),
        negative=cell(Estimate(value=c.negative, low=c.negative_low, high=c.negative_high, reason=_EARLIER)),
        anti_steerable=percent(Estimate(value=c.anti_steerable, low=c.anti_steerable_low, high=c.anti_steerable_high)),
        agreement=cell(Estimate(value=c.agreement_loo, low=c.agreement_loo_low, high=c.agreement_loo_high)),
        separability=cell(
            Estimate(value=c.separability_held_out, low=c.separability_held_out_low, high=c.separability_held_out_high)
        ),
        equal_effect=cell(Estimate(value=c.equal_effect, low=c.equal_effect_low, high=c.equal_effect_high)),
    )


def absent(group: GroupView) -> list[tuple[Phrase, int]]:
    """Why cells carry no figures, and how many of them, the commonest reason first."""
    return Counter(c.not_measured for c in group.cells if c.not_measured is not None).most_common()


@dataclass(frozen=True)
class ModelRow:
    """A model as it was studied."""

    label: str
    what: Phrase
    dtype: str
    digest: str
    sites: Phrase


def model_rows(study: Study) -> list[ModelRow]:
    """The models in the order of the cells; details come from the record of the same weights."""
    rows = []
    for label, digest, dtype in dict.fromkeys((c.model, c.model_digest, c.dtype) for c in study.cells):
        record = next((m for m in study.models if m.digest == digest), None)
        what = untranslated("")
        if record is not None:
            what = Phrase(
                "{model}, {architecture}, {n} blocks", model=record.id, architecture=record.architecture,
                n=record.n_blocks,
            )  # fmt: skip
        if record is not None and record.revision:
            what = Phrase("{model}, revision {revision}", model=what, revision=record.revision)
        sites = dict.fromkeys((c.block, c.component) for c in study.cells if c.model == label)
        said = with_commas([Phrase("block {block} {component}", block=b, component=c) for b, c in sites])
        rows.append(ModelRow(label, what, dtype, digest, said))
    return rows
