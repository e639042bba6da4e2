"""The evaluation examples that two reports share. Pairing goes by what an example says, never by its place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trimtab.errors import InputError
from trimtab.phrases import Phrase
from trimtab.results.report import ExampleRow, PromptTypeResult, Report, Text
from trimtab.statistics.intervals import Interval, bootstrap_mean

Floats = NDArray[np.float64]
Identity = tuple[str, str, str]

_SEED = 0  # fixed, so that old against new and new against old are the same but for the sign


@dataclass(frozen=True, eq=False)
class Both:
    """What two reports say of the same n examples, under each report's chosen prompt type.

    Args:
        clusters: `[n]` question or template of each example; resampled whole.
        effect: `[n]` Δ(x) in the old and in the new report, in their unit.
        odd: `[n]` its odd part in either; None where a report has no `examples.parquet`.
        base: `[n]` propensity of the unsteered model in either.
        natural: False where a row's two answers are an arbitrary pair, so that shares of rows mean nothing.
    """

    clusters: tuple[str, ...]
    effect: tuple[Floats, Floats]
    odd: tuple[Floats, Floats] | None
    base: tuple[Floats, Floats]
    natural: bool


def chosen(report: Report) -> PromptTypeResult:
    """The prompt type that the verdict is about."""
    name = report.verdict.prompt_type
    return report.prompt_types.get(
        name, PromptTypeResult.without(Phrase("the report has no prompt type {type}", type=name))
    )


def identity(example: Text | ExampleRow) -> Identity:
    """What makes an example the same in two reports: its texts. Its source is not, since a file may move."""
    return example.prompt, example.positive, example.negative


def shared(old: Report, new: Report) -> Both | None:
    """The evaluation examples of two reports, matched by identity.

    Returns:
        None where they are not all the same in both, an example occurs twice, effects are missing, or nothing tells
        which examples belong to one cluster (no `examples.parquet` on either side, and several examples a cluster).

    Raises:
        InputError: an `examples.parquet` does not belong to its report.
    """
    rows = _by_identity(old), _by_identity(new)
    keys = sorted(rows[1])
    if not keys or rows[0].keys() != rows[1].keys():
        return None
    clusters = _clusters(old, new, keys)
    if clusters is None or len(set(clusters)) < 2:
        return None

    def both(field: int) -> tuple[Floats, Floats]:
        before, after = (np.array([r[k][field] for k in keys], dtype=np.float64) for r in rows)
        return before, after

    odd = both(2)
    return Both(
        clusters=clusters,
        effect=both(0),
        odd=None if np.isnan(odd).any() else odd,
        base=both(1),
        natural=old.pairing == new.pairing == "natural",
    )


def _by_identity(report: Report) -> Mapping[Identity, tuple[float, float, float]]:
    """Effect, base propensity and odd part (NaN: not there) of each example; empty where they cannot be told apart."""
    effects, at = chosen(report).effects, _steered(report)
    strength = report.verdict.strength
    if len(effects) != len(report.examples):
        return {}
    out = {}
    for text, effect in zip(report.examples, effects, strict=True):
        key = identity(text)
        up, down = at.get((key, strength)), at.get((key, -strength))
        if at and (up is None or not np.isclose(up.effect, effect, rtol=1e-6, atol=1e-9)):
            raise InputError(
                f"examples.parquet is not of the same check as the report of {report.behavior!r} from {report.model.id}"
                f" (it differs at {text.source}); take both files from one folder, or leave examples.parquet out"
            )
        odd = (up.steered - down.steered) / 2 if up and down else float("nan")
        out[key] = effect, text.base, odd
    return out if len(out) == len(effects) else {}


def _steered(report: Report) -> Mapping[tuple[Identity, float], ExampleRow]:
    """Rows of the chosen prompt type, by example and strength."""
    rows = (r for r in report.rows if r.prompt_type == report.verdict.prompt_type)
    return {(identity(r), r.strength): r for r in rows}


def _clusters(old: Report, new: Report, keys: Sequence[Identity]) -> tuple[str, ...] | None:
    """Cluster of each example, by the newer report that has rows; each its own where there are as many clusters."""
    for report in (new, old):
        cluster = {identity(row): row.cluster for row in report.rows}
        if cluster.keys() >= set(keys):
            return tuple(cluster[k] for k in keys)
    if all(r.n_eval_clusters == r.n_eval for r in (old, new)):
        return tuple(map(str, range(len(keys))))
    return None


def mean_change(both: Both, values: tuple[Floats, Floats]) -> Interval:
    """Mean of new − old over the same examples, with its 95 % bootstrap interval over clusters.

    Args:
        both: gives the clusters.
        values: old and new `[n]`, such as `both.effect`.
    """
    return bootstrap_mean(values[1] - values[0], np.array(both.clusters), seed=_SEED)
