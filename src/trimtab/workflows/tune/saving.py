"""The best trade-offs as presets: of the steering that has the recommended one, and of others that share the front."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from trimtab.results.tuning import Trial, Tuning
from trimtab.steering import Steering
from trimtab.storage.atomic import remove
from trimtab.workflows.tune.record import Findings

RECOMMENDED: Final = "recommended"  # preset
STEERING: Final = "steering"  # folder of the one that has it
OTHERS: Final = "others"  # folder of the folders of others


def with_presets(found: Findings, record: Tuning, home: Path | None) -> tuple[Steering | None, Tuning]:
    """Steerings of the front with a preset for every trial, saved, and the record that says where.

    Args:
        found: the search.
        record: of it.
        home: folder; None to save nothing.

    Returns:
        the recommended steering, if any, and the record.
    """
    by_tensors: dict[tuple[int, tuple[float, ...]], list[Trial]] = {}
    front = sorted(record.front, key=lambda trial: trial.number != record.recommended)
    for trial in (t for t in front if t.number):
        point = found.tried[trial.number - 1].point
        by_tensors.setdefault((point.candidate, point.gates), []).append(trial)
    places: dict[int, str] = {}
    best = None
    if home is not None:
        remove(home / OTHERS)
    for k, trials in enumerate(by_tensors.values()):
        first = k == 0 and record.recommended is not None
        steering = _named(found.search.steering_at(found.tried[trials[0].number - 1].point), trials, first)
        place = STEERING if first else f"{OTHERS}/{k}"
        places |= {trial.number: place for trial in trials}
        best = steering if first else best
        if home is not None:
            steering.save(home / place)
    told = [_told(trial, places, home) for trial in record.trials]
    return best, record.model_copy(update={"trials": tuple(told)})


def preset(number: int) -> str:
    """Name of a trial's preset."""
    return f"trial-{number}"


def _named(steering: Steering, trials: Sequence[Trial], recommended: bool) -> Steering:
    """The same tensors with the trials' strengths as presets, beside those that it had."""
    presets: dict[str, Mapping[str, float]] = {preset(trial.number): trial.strengths for trial in trials}
    if recommended:
        presets = {RECOMMENDED: trials[0].strengths, **presets}
    return steering.changed(presets={**steering.presets, **presets})


def _told(trial: Trial, places: Mapping[int, str], home: Path | None) -> Trial:
    if trial.number not in places:
        return trial
    place = places[trial.number] if home is not None else None
    return trial.model_copy(update={"preset": preset(trial.number), "steering": place})
