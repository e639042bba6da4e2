"""From studies to calibrations: what the geometry of a behavior says about steering it, by model and site."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from trimtab.errors import InputError
from trimtab.experiment.numbers import between_0_and_1, not_below_0
from trimtab.phrases import Phrase
from trimtab.results.prediction import Calibration, Calibrations
from trimtab.results.report import ModelRecord
from trimtab.results.study import Cell, Study, data_kind
from trimtab.statistics.calibration import Cells, fit, left_out_scores, single_scores
from trimtab.verdict.decision import Thresholds
from trimtab.version import __version__
from trimtab.workflows.check.check import MIN_EFFECT

# Named before any result was seen: how alike the examples are, how well they part, how long the vector is.
FEATURES: Final = ("agreement_loo", "separability_held_out", "edit_size_ratio")
INDICES: Final = (*FEATURES, "agreement", "separability", "auroc_held_out", "norm", "expected_cosine", "halves_cosine")
OUTCOMES: Final = ("equal_effect", "equal_effect_low", "equal_anti_steerable", "equal_anti_steerable_high")
MAX_ANTI_STEERABLE: Final = Thresholds.max_anti_steerable

_Key = tuple[str, str, int, str, str, str]  # digest, dtype, block, component, kind of answers, pairing


def calibrate(
    studies: Sequence[Study],
    *,
    min_effect: float | None = None,
    max_anti_steerable: float = MAX_ANTI_STEERABLE,
    seed: int = 0,
    command: str = "",
) -> Calibrations:
    """Fit a calibration for every model, site and kind of data that studies have enough cells of.

    Success is what a verdict asks of the effect: at equal dose, its interval above `min_effect` and that of the
    anti-steerable share below `max_anti_steerable`. Controls are fitted to and scored apart.

    Args:
        studies: at equal doses that are the same; a cell that stands in two of them counts once.
        min_effect: by default that of a check, in the unit of the answers.
        max_anti_steerable: a share.
        seed: of resampling.
        command: recorded.

    Raises:
        InputError: no study, other doses, bounds that make no sense, or nothing that can be fitted.
    """
    if not studies:
        raise InputError("a fit needs a study; trimtab study writes one", code="missing-value", field="studies")
    doses = sorted({study.equal_dose for study in studies})
    if len(doses) > 1:
        raise InputError(
            f"studies at equal doses {doses[0]:g} and {doses[1]:g} do not mix; fit one dose",
            code="conflicting-arguments",
            field="studies",
        )
    if len({study.chat_template for study in studies}) > 1:
        raise InputError(
            "studies with and without a chat template do not mix; fit them apart",
            code="conflicting-arguments",
            field="studies",
        )
    between_0_and_1("max_anti_steerable", max_anti_steerable)
    if min_effect is not None:
        not_below_0("min_effect", min_effect)
    models = {model.digest: model for study in studies for model in study.models}
    result, notes = [], list[Phrase]()
    for key, cells in comparable(studies).items():
        least = MIN_EFFECT[key[4]] if min_effect is None else min_effect
        try:
            fitted = _calibration(models[key[0]], key, cells, (doses[0], least, max_anti_steerable), seed)
            result.append(fitted.model_copy(update={"chat_template": studies[0].chat_template}))
        except InputError as error:
            notes.append(
                Phrase(
                    "{model} in {dtype}, block {block} {component}, {kind}: no calibration: {why}",
                    model=models[key[0]].id, dtype=key[1], block=key[2], component=key[3], kind=data_kind(*key[4:]),
                    why=error.message,
                )
            )  # fmt: skip
    if not result:
        raise InputError(
            f"nothing to fit: {'; '.join(notes) or 'the studies hold no measured cell'}",
            code="unusable-examples",
            field="studies",
        )
    return Calibrations(
        trimtab=__version__,
        command=command,
        studies=tuple(dict.fromkeys(study.command for study in studies)),
        calibrations=tuple(result),
        notes=tuple(notes),
    )


def comparable(studies: Sequence[Study]) -> Mapping[_Key, list[Cell]]:
    """Cells with all figures that a fit needs, each once, by digest, dtype, block, component, answers and pairing.

    Families that one behavior is of in different studies have one name.
    """
    result: dict[_Key, dict[tuple[str, str, str], Cell]] = {}
    family = _joined((cell.behavior, cell.family) for study in studies for cell in study.cells)
    for cell in (cell for study in studies for cell in study.cells):
        if all(getattr(cell, name) is not None for name in (*FEATURES, *OUTCOMES)):
            key = cell.model_digest, cell.dtype, cell.block, cell.component, cell.answer_kind, cell.pairing
            own = cell.model_copy(update={"family": family[cell.family]})
            result.setdefault(key, {})[cell.behavior, cell.data_digest, cell.prompt_type] = own
    return {key: list(cells.values()) for key, cells in result.items()}


def _joined(pairs: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """One name for families that a behavior is of in different studies: `has` in one, `has-disability` in another."""
    parent: dict[str, str] = {}
    first: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    for behavior, family in pairs:
        one, other = sorted((root(family), root(first.setdefault(behavior, family))))
        parent[other] = one
    return {name: root(name) for name in parent}


def _calibration(
    model: ModelRecord, key: _Key, cells: Sequence[Cell], asked: tuple[float, float, float], seed: int
) -> Calibration:
    _, dtype, block, component, _, _ = key
    equal_dose, least, most = asked
    names = [n for n in (*INDICES, *OUTCOMES) if all(getattr(c, n) is not None for c in cells)]
    column = {name: np.array([getattr(c, name) for c in cells], dtype=np.float64) for name in names}
    held = (column["equal_effect_low"] > least) & (column["equal_anti_steerable_high"] < most)
    families = np.array([c.family for c in cells])
    outcomes = held.astype(float), column["equal_effect"], column["equal_anti_steerable"], families
    every = Cells({n: column[n] for n in names if n in INDICES}, *outcomes)
    chosen = every.with_features(FEATURES)
    real = np.array([not c.control for c in cells])
    return Calibration(
        model=model, dtype=dtype, block=block, component=component,
        answer_kind=cells[0].answer_kind, pairing=cells[0].pairing,
        unit=cells[0].unit, prompt_types=tuple(dict.fromkeys(c.prompt_type for c in cells)),
        equal_dose=equal_dose, min_effect=least, max_anti_steerable=most,
        n_train=(min(c.n_train for c in cells), max(c.n_train for c in cells)),
        behaviors=len({c.behavior for c in cells if not c.control}),
        controls=len({c.behavior for c in cells if c.control}),
        predictor=fit(chosen),
        scores=left_out_scores(chosen, real, seed=seed),
        scores_with_controls=None if real.all() else left_out_scores(chosen, seed=seed),
        singles=single_scores(every, real, seed=seed),
    )  # fmt: skip
