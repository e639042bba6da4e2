"""Predictions from geometry alone, and the fitted models that they come from."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from trimtab.phrases import Phrase
from trimtab.results.figures import Document, Record
from trimtab.results.report import ModelRecord
from trimtab.results.study import GeometryRow, data_kind
from trimtab.statistics.prediction import Expected, PredictionScores, Predictor


class Calibration(Record):
    """A predictor for one model at one site and one kind of data, and what it was fitted to.

    Args:
        model, dtype, block, component, answer_kind, pairing: of the cells; only these are predicted.
        unit: of the effects.
        prompt_types: those fitted.
        chat_template: whether prompts went through the tokenizer's chat template.
        equal_dose: of the edits whose effects are predicted, in norms of a typical activation.
        min_effect, max_anti_steerable: success is a whole interval of the effect above the first and of the
            anti-steerable share below the second.
        n_train: fewest and most training examples.
        behaviors, controls: how many of either.
        predictor: the models.
        scores: how well families left out of the fit were predicted, without controls.
        scores_with_controls: with them; None where there were none.
        singles: `scores` of models with one index alone, the best first.
    """

    model: ModelRecord
    dtype: str
    block: int
    component: str
    answer_kind: Literal["choice", "text"]
    pairing: Literal["natural", "random"]
    unit: Phrase
    prompt_types: tuple[str, ...]
    chat_template: bool = False
    equal_dose: float
    min_effect: float
    max_anti_steerable: float
    n_train: tuple[int, int]
    behaviors: int
    controls: int
    predictor: Predictor
    scores: PredictionScores
    scores_with_controls: PredictionScores | None
    singles: Mapping[str, PredictionScores]

    @property
    def kind(self) -> str:
        """See `data_kind`."""
        return data_kind(self.answer_kind, self.pairing)


class Calibrations(Record):
    """The results of a fit.

    Args:
        schema_version: of this record.
        trimtab: version that fitted.
        command: that fitted.
        studies: the commands that measured.
        calibrations: by model, site and kind of data.
        notes: what could not be fitted, and why.
    """

    schema_version: Literal[2] = Field(default=2, alias="schema")
    trimtab: str
    command: str
    studies: tuple[str, ...]
    calibrations: tuple[Calibration, ...]
    notes: tuple[Phrase, ...] = ()


class PredictedRow(Record):
    """A behavior under one prompt type.

    Args:
        geometry: what was measured.
        ranks: place among the rows by an index, 1 for the largest.
        expected: at the calibration's dose, with 95 % prediction intervals and how the row is unlike what was fitted.
        not_expected: why there is nothing to expect.
    """

    geometry: GeometryRow
    ranks: Mapping[str, int] = {}
    expected: Expected | None = None
    not_expected: Phrase | None = None


class Prediction(Document):
    """What the geometry of behaviors says before any steering.

    Args:
        model: the model.
        dtype: of its blocks.
        chat_template: whether prompts went through the tokenizer's chat template.
        calibrations: those that apply, at most one for each kind of data and site.
        uncalibrated: why there is none, for each kind of data that lacks one.
        rows: the most promising first, site by site.
        notes: what to know of the data.
    """

    model: ModelRecord
    dtype: str
    chat_template: bool = False
    calibrations: tuple[Calibration, ...]
    uncalibrated: Mapping[str, Phrase]
    rows: tuple[PredictedRow, ...]
    notes: tuple[Phrase, ...] = ()
