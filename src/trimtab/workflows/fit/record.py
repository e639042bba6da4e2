"""The record of a fit, put together from the steering and what was found out about it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import torch
import transformers

from trimtab.experiment.experiment import Experiment
from trimtab.measurements.records import model_record
from trimtab.phrases import Phrase
from trimtab.results.fit import Abstention, Attribute, Checked, Fit, Shrinkage, Training
from trimtab.results.report import Report
from trimtab.steering import Steering
from trimtab.steering.methods import method
from trimtab.version import __version__


def recorded(
    steering: Steering,
    experiments: Mapping[str, Experiment],
    reports: Mapping[str, Report],
    notes: Sequence[Phrase],
    training: Training,
    abstentions: Mapping[str, Abstention],
    shrinkages: Mapping[str, tuple[Shrinkage, ...]],
    **given: Any,
) -> Fit:
    """The record.

    Args:
        steering: as it is saved.
        experiments: of the behaviors, by attribute.
        reports: checks by attribute, in `checks/NAME` of the fit's folder.
        notes: what was chosen.
        training: what its making has seen.
        abstentions: by attribute, where prompts are left alone for their risk.
        shrinkages: by attribute, where vectors were shrunk.
        given: `command`, `seconds` and `max_kl`.
    """
    first, origin = next(iter(experiments.values())), steering.origin
    return Fit(
        trimtab=__version__,
        torch=torch.__version__,
        transformers=transformers.__version__,
        seed=first.seed,
        method=origin.method,
        source=method(origin.method).source,
        hyperparameters=json.loads(json.dumps(dict(origin.hyperparameters), default=str)),
        prompt_type=str(first.prompt_types[0]),
        id=steering.id,
        model=model_record(first.model),
        dtype=str(first.model.dtype).removeprefix("torch."),
        sites={str(site): kinds for site, kinds in steering.kinds.items()},
        attributes={
            name: _attribute(name, steering, s, reports.get(name), abstentions.get(name), shrinkages.get(name, ()))
            for name, s in experiments.items()
        },
        training=training,
        notes=tuple(notes),
        **given,
    )


def attributes_of(steering: Steering, behavior: str) -> tuple[str, ...]:
    """The attributes that a behavior was made into: the one of its name, else all, which a method made of it alone."""
    return (behavior,) if behavior in steering.attributes else tuple(steering.attributes)


def _attribute(
    name: str, steering: Steering, on: Experiment, report: Report | None, abstention: Abstention | None,
    shrinkage: tuple[Shrinkage, ...],
) -> Attribute:  # fmt: skip
    return Attribute(
        strength=steering.attributes[attributes_of(steering, name)[0]],
        description=on.behavior.description,
        data=on.behavior.digest,
        n_train=len(on.splits.train),
        n_dev=len(on.splits.dev),
        verdict=None if report is None else _checked(name, report),
        prompt_prefix=steering.prompts[name][0] if name in steering.prompts else None,
        abstention=abstention,
        shrinkage=shrinkage,
    )


def _checked(name: str, report: Report) -> Checked:
    """The verdict, with the address of its page: a name may hold what means something in addresses."""
    verdict = report.verdict
    page = f"checks/{quote(name, safe='')}/report.html"
    return Checked(decision=verdict.decision, sentence=verdict.sentence, report=page)
