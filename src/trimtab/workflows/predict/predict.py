"""Before any steering: what the geometry of behaviors says about steering them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Final

import torch
import transformers

from trimtab.behaviors import Behavior, PromptType
from trimtab.errors import InputError
from trimtab.experiment.experiment import Experiment
from trimtab.experiment.preparation import each_site, ready
from trimtab.experiment.progress import Progress, Silent
from trimtab.interventions import Site
from trimtab.measurements.activations import TrainingActivations, median_norm, training
from trimtab.measurements.indices import geometry_figures, placed
from trimtab.measurements.records import model_record
from trimtab.models import Model
from trimtab.phrases import Phrase, with_commas
from trimtab.results.calibration_files import shipped
from trimtab.results.prediction import Calibration, Calibrations, PredictedRow, Prediction
from trimtab.results.study import GeometryRow, data_kind
from trimtab.storage.steps import Ledger
from trimtab.version import __version__

_Where = tuple[str, int, str]  # kind of data, block, component
RANKED: Final = ("separability_held_out", "agreement_loo")  # indices by which rows are ranked, the better one first


def predict(
    model: Model,
    behaviors: Sequence[Behavior],
    *,
    site: Site | int | str | None = None,
    prompt_types: Sequence[str] | str = "all",
    train: int | None = None,
    evaluation: int | None = None,
    seed: int = 0,
    chat_template: bool = False,
    calibrations: Calibrations | None = None,
    progress: Progress | None = None,
    command: str = "",
) -> Prediction:
    """Predict from activations alone, in seconds, how steering each behavior under each prompt type will fare.

    The vectors are those that a check with the same options trains. A calibration gives the probability that effect and
    anti-steerable share keep a check's bounds, the effect and the share; it holds for the weights that it was fitted
    on. Of any other model there is geometry and ranks only, and the row says why.

    Example:
        >>> import trimtab as tt
        >>> model, behavior = tt.load("smollm2"), tt.Behavior.builtin("sentiment")
        >>> result = tt.predict(model, [behavior], prompt_types="prefilled", train=40, evaluation=20)
        >>> [(row.geometry.behavior, row.geometry.prompt_type) for row in result.rows]
        [('sentiment', 'prefilled')]

    Args:
        model: see `trimtab.load`.
        behaviors: at least one; names differ.
        site: where to steer; `10-18` for each of these blocks, which are ranked apart, since geometry does not compare
            sites; None and `auto` take the residual in the middle of the model, where the shipped ones were fitted.
        prompt_types: name or names of the types, or `all`.
        train: training examples; by default as many as the set affords.
        evaluation: examples left to the evaluation of a check or a study; they decide which are trained on.
        seed: of splits, folds and resampling.
        chat_template: put prompts through the tokenizer's chat template.
        calibrations: what predicts; None takes those that come with the package.
        progress: is told how far the work is.
        command: recorded.

    Raises:
        InputError: no behaviors, names that repeat, too few examples, a site out of range.
    """
    start, shown = perf_counter(), progress or Silent()
    names = [b.name for b in behaviors]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated or not names:
        raise InputError(
            f"two behaviors are called {repeated[0]!r}" if repeated else "a prediction needs behaviors",
            code="repeated-name" if repeated else "missing-value",
            field="behaviors",
        )
    types = PromptType.named(prompt_types)
    sites = each_site(model, site)
    known = shipped() if calibrations is None else calibrations
    prepared = [
        ready(
            model, behavior, [t.value for t in types],
            train=train, evaluation=evaluation, seed=seed, ledger=Ledger(None, ""), progress=shown,
            chat_template=chat_template,
        )
        for behavior in behaviors
    ]  # fmt: skip
    experiments = [on for on, _ in prepared]
    _announce(experiments, sites, shown)
    rows = [row for on in experiments for row in _measured(on, sites)]
    kinds = {data_kind(b.answer_kind, b.pairing) for b in behaviors}
    applied, reasons = _applying(known, model, sites, kinds, chat_template)
    return Prediction(
        trimtab=__version__, torch=torch.__version__, transformers=transformers.__version__,
        command=command, seconds=perf_counter() - start, seed=seed,
        model=model_record(model), dtype=str(model.dtype).removeprefix("torch."), chat_template=chat_template,
        calibrations=tuple(applied.values()), uncalibrated=reasons,
        rows=tuple(row for site in sites for row in _predicted(_at(rows, site), applied)),
        notes=tuple(
            Phrase("{name}: {note}", name=on.behavior.name, note=note) for on, notes in prepared for note in notes
        ),
    )  # fmt: skip


def _announce(experiments: Sequence[Experiment], sites: Sequence[Site], progress: Progress) -> None:
    total = sum(on.cost(TrainingActivations(t, tuple(sites)) for t in on.measured_types) for on in experiments)
    progress.begin(round(total), total * experiments[0].pace())


def _measured(on: Experiment, sites: Sequence[Site]) -> list[GeometryRow]:
    """A row for each prompt type at each site."""
    rows, n = [], len(on.splits.train)
    for t in on.prompt_types:
        reason = on.not_measured(t)
        known = training(on, t, sites) if reason is None else {}
        for site in sites:
            place = {**placed(on.model, on.behavior, site, t, on.model.id), "n_train": n}
            figures: dict[str, object] = {"not_measured": reason}
            if site in known:
                figures = geometry_figures(on, known[site], median_norm(on, site))
            rows.append(GeometryRow.model_validate({**place, **figures}))
    return rows


def _at(rows: Sequence[GeometryRow], site: Site) -> list[GeometryRow]:
    return [row for row in rows if (row.block, row.component) == (site.block, site.component)]


def _applying(
    known: Calibrations, model: Model, sites: Sequence[Site], kinds: set[str], chat_template: bool
) -> tuple[dict[_Where, Calibration], dict[str, Phrase]]:
    """The calibration of each kind of data at each site, and for kinds that lack one the reason."""
    result: dict[_Where, Calibration] = {}
    reasons: dict[str, Phrase] = {}
    for kind in sorted(kinds):
        of_model = [c for c in known.calibrations if c.model.digest == model.digest and c.kind == kind]
        otherwise = [c for c in of_model if c.chat_template is not chat_template]
        of_model = [c for c in of_model if c.chat_template is chat_template]
        # The digest is of the weights; among calibrations in several dtypes that of the model's own comes first.
        of_model.sort(key=lambda c: c.dtype != str(model.dtype).removeprefix("torch."))
        lacking = []
        for site in sites:
            here = [c for c in of_model if (c.block, c.component) == (site.block, site.component)]
            if here:
                result[kind, site.block, site.component] = here[0]
            else:
                lacking.append(Phrase("block {block} {component}", block=site.block, component=site.component))
        if lacking and of_model:
            places = {Phrase("block {block} {component}", block=c.block, component=c.component) for c in of_model}
            reasons[kind] = Phrase(
                "calibrated at {fitted}, not at {lacking}",
                fitted=with_commas(sorted(places)), lacking=with_commas(lacking),
            )  # fmt: skip
        elif lacking and not otherwise:
            reasons[kind] = Phrase("no calibration for these weights and this kind of data; fit one to a study of them")
        elif lacking and chat_template:
            reasons[kind] = Phrase("calibrated without a chat template only; fit one to a study with it")
        elif lacking:
            reasons[kind] = Phrase("calibrated with a chat template only; fit one to a study without it")
    return result, reasons


def _predicted(rows: Sequence[GeometryRow], applied: Mapping[_Where, Calibration]) -> list[PredictedRow]:
    """Rows with ranks and predictions, the most promising first and those that were not measured last."""
    ranks: dict[int, dict[str, int]] = {i: {} for i in range(len(rows))}
    for name in RANKED:
        order = sorted(_having(rows, name), key=lambda i: -float(getattr(rows[i], name)))
        for place, i in enumerate(order, start=1):
            ranks[i][name] = place
    predicted = [_row(row, ranks[i], applied.get((row.kind, row.block, row.component))) for i, row in enumerate(rows)]
    return sorted(predicted, key=lambda row: _promise(row, len(rows) + 1))


def _promise(row: PredictedRow, last: int) -> tuple[float, ...]:
    """Sorts rows: likely successes first, then large indices; what was not measured comes last."""
    probability = row.expected.probability if row.expected else 0.0
    return -probability, *(row.ranks.get(name, last) for name in RANKED)


def _having(rows: Sequence[GeometryRow], name: str) -> list[int]:
    return [i for i, row in enumerate(rows) if getattr(row, name) is not None]


def _row(row: GeometryRow, ranks: Mapping[str, int], calibration: Calibration | None) -> PredictedRow:
    if row.not_measured is not None:
        return PredictedRow(geometry=row, not_expected=row.not_measured)
    if calibration is None:
        return PredictedRow(geometry=row, ranks=ranks, not_expected=Phrase("uncalibrated"))
    values = {name: getattr(row, name) for name in calibration.predictor.features}
    missing = [name for name, value in values.items() if value is None]
    if missing:
        reason = Phrase("{feature} cannot be measured with so few examples", feature=missing[0])
        return PredictedRow(geometry=row, ranks=ranks, not_expected=reason)
    line = calibration.predictor.expect(values)
    expected = replace(line, outside=(*line.outside, *_unlike(row, calibration)))
    return PredictedRow(geometry=row, ranks=ranks, expected=expected)


def _unlike(row: GeometryRow, calibration: Calibration) -> list[Phrase]:
    """How a row differs from what was fitted, besides its features."""
    reasons = []
    smallest, largest = calibration.n_train
    if not smallest <= row.n_train <= largest:
        reasons.append(
            Phrase("{n} training examples; fitted were {least} to {most}", n=row.n_train, least=smallest, most=largest)
        )
    if row.prompt_type not in calibration.prompt_types:
        reasons.append(Phrase("prompt type {type} was not among those fitted", type=row.prompt_type))
    return reasons
