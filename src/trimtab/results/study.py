"""The result of a study: one row per behavior, prompt type, site and model, and what the rows show together."""

from typing import Literal

from trimtab.phrases import Phrase
from trimtab.results.figures import Document, Estimate, Record
from trimtab.results.report import ModelRecord

Measure = Literal["effect", "anti_steerable"]
At = Literal["strength 1", "equal dose"]


def data_kind(answer_kind: str, pairing: str) -> str:
    """What figures can be held against each other, in words: effects of other answers have another unit, and agreement
    and anti-steerable shares of unpaired texts are over arbitrary pairs."""
    answers = "labelled answers" if answer_kind == "choice" else "free text"
    return f"{answers}, {'pairs' if pairing == 'natural' else 'unpaired'}"


class GeometryRow(Record):
    """What the activations of one behavior show under one prompt type at one site of one model, without steering.

    Every `…_low` and `…_high` is an end of a 95 % interval.

    Args:
        model, model_digest, dtype: which model, as it was loaded.
        behavior: its name.
        data_digest: of the behavior.
        answer_kind, pairing: as in a report.
        prompt_type: one of the seven.
        block, component: the site.
        n_train: examples.
        not_measured: why the type has no figures here; then all below are None.
        norm: of the vector.
        edit_size_ratio: norm over the median norm of an activation at the site.
        agreement: mean cosine of the differences with the vector, as in the paper.
        agreement_loo: the same, leave-one-out.
        separability: d′ in sample.
        separability_held_out, auroc_held_out: cross-fitted.
        expected_cosine: of two vectors trained on other examples of as many.
        permutation_p: of "the two sides do not differ in any direction".
        halves_cosine: between vectors of two halves of the examples, parted by what they are about.
    """

    model: str
    model_digest: str
    dtype: str
    behavior: str
    data_digest: str
    answer_kind: Literal["choice", "text"]
    pairing: Literal["natural", "random"]
    prompt_type: str
    block: int
    component: str
    n_train: int
    not_measured: Phrase | None = None
    norm: float | None = None
    edit_size_ratio: float | None = None
    agreement: float | None = None
    agreement_loo: float | None = None
    agreement_loo_low: float | None = None
    agreement_loo_high: float | None = None
    separability: float | None = None
    separability_held_out: float | None = None
    separability_held_out_low: float | None = None
    separability_held_out_high: float | None = None
    auroc_held_out: float | None = None
    auroc_held_out_low: float | None = None
    auroc_held_out_high: float | None = None
    expected_cosine: float | None = None
    permutation_p: float | None = None
    halves_cosine: float | None = None

    @property
    def kind(self) -> str:
        """See `data_kind`."""
        return data_kind(self.answer_kind, self.pairing)


class Cell(GeometryRow):
    """A row with effects of steering, measured on the evaluation split, in `unit`.

    Args:
        family: behaviors of one family are near copies; intervals over behaviors resample families.
        control: True where there is nothing to steer toward.
        unit: of propensities and effects.
        n_eval, n_eval_clusters: examples, and independent questions among those of the evaluation.
        length_auroc: AUROC of the answers' length alone; None for labels.
        base_accuracy: share of examples that the unsteered model has right.
        effect, effect_sd: mean and spread of Δ at strength 1.
        positive, negative: Δ+, the mean change of desired answers, and Δ−, that of undesired ones.
        odd, even: its parts.
        anti_steerable: share of examples pushed the wrong way at strength 1.
        equal_strength: the strength that gives every vector the same dose.
        equal_effect, equal_positive, equal_negative, equal_odd, equal_anti_steerable: the same there.
        steerability: mean slope over strengths; None unless asked for.
        spearman: mean rank correlation of strength and propensity, which says how linear it is.
    """

    family: str
    control: bool
    unit: Phrase
    n_eval: int
    n_eval_clusters: int
    length_auroc: float | None = None
    base_accuracy: float | None = None
    effect: float | None = None
    effect_low: float | None = None
    effect_high: float | None = None
    effect_sd: float | None = None
    positive: float | None = None
    positive_low: float | None = None
    positive_high: float | None = None
    negative: float | None = None
    negative_low: float | None = None
    negative_high: float | None = None
    odd: float | None = None
    even: float | None = None
    anti_steerable: float | None = None
    anti_steerable_low: float | None = None
    anti_steerable_high: float | None = None
    equal_strength: float | None = None
    equal_effect: float | None = None
    equal_effect_low: float | None = None
    equal_effect_high: float | None = None
    equal_positive: float | None = None
    equal_positive_low: float | None = None
    equal_positive_high: float | None = None
    equal_negative: float | None = None
    equal_negative_low: float | None = None
    equal_negative_high: float | None = None
    equal_odd: float | None = None
    equal_anti_steerable: float | None = None
    equal_anti_steerable_low: float | None = None
    equal_anti_steerable_high: float | None = None
    steerability: float | None = None
    steerability_low: float | None = None
    steerability_high: float | None = None
    spearman: float | None = None


class TypeCosines(Record):
    """Cosines among the vectors of one behavior's prompt types, at one site of one model."""

    model: str
    behavior: str
    block: int
    component: str
    types: tuple[str, ...]
    matrix: tuple[tuple[float, ...], ...]


class Association(Record):
    """How two columns go together over the cells of one model and site.

    Args:
        x, y: columns of `Cell`.
        given: a column that is held fixed (partial correlation), if any.
        prompt_type: of the cells; None takes all types together.
        at: where the effects were measured.
        answer_kind: of the behaviors; effects of the two kinds have different units.
        rho: Spearman's ρ, with its interval over families of behaviors; n cells.
        families: how many of them.
    """

    model: str
    block: int
    component: str
    answer_kind: Literal["choice", "text"]
    x: str
    y: str
    given: str | None = None
    prompt_type: str | None = None
    at: At = "strength 1"
    rho: Estimate
    families: int


class TypeSummary(Record):
    """One prompt type over all behaviors that are no controls, of one model and site.

    Args:
        effect, anti_steerable: means over behaviors, with intervals over families; n behaviors.
        positive: share of the behaviors whose mean effect is above 0.
        ranks: how many behaviors have this type at rank 1, 2, … by mean effect.
    """

    model: str
    block: int
    component: str
    answer_kind: Literal["choice", "text"]
    prompt_type: str
    at: At
    effect: Estimate
    anti_steerable: Estimate
    positive: Estimate
    ranks: tuple[int, ...]


class Study(Document):
    """The result of a study.

    Args:
        equal_dose: the dose that `equal_…` columns have.
        chat_template: whether prompts went through the tokenizer's chat template.
        models: those studied, in order.
        cells: the rows; kept in `cells.parquet`.
        cosines: kept in `cosines.parquet`.
        types, associations: what the rows show together.
        notes: what was left out, and why.
    """

    equal_dose: float
    chat_template: bool = False
    models: tuple[ModelRecord, ...]
    cells: tuple[Cell, ...] = ()
    cosines: tuple[TypeCosines, ...] = ()
    types: tuple[TypeSummary, ...] = ()
    associations: tuple[Association, ...] = ()
    notes: tuple[Phrase, ...] = ()

    def _repr_html_(self) -> str:
        from trimtab.reports.study.notebook import shown

        return shown(self)
