"""A new check against an old one: a regression test for a change of model, precision, site or version."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, Literal

from trimtab.errors import InputError
from trimtab.results.changes import Figure, figures
from trimtab.results.figures import Record
from trimtab.results.numbers import centre, given, interval
from trimtab.results.report import DECISIONS, Decision, Report
from trimtab.results.shared_examples import Both, identity, shared

Outcome = Literal["worse", "same", "better"]

_SETTINGS: Final[Mapping[str, Callable[[Report], object]]] = {
    "model": lambda r: r.model.id,
    "model revision": lambda r: r.model.revision or "none",
    "model digest": lambda r: r.model.digest,
    "dtype": lambda r: r.dtype,
    "device": lambda r: r.device,
    "site": lambda r: r.place,
    "prompt type": lambda r: r.verdict.prompt_type,
    "strength": lambda r: given(r.verdict.strength),
    "scope": lambda r: r.scope,
    "read": lambda r: r.read,
    "chat template": lambda r: "yes" if r.chat_template else "no",
    "first token": lambda r: repr(r.first_token),
    "seed": lambda r: r.seed,
    "training examples": lambda r: r.n_train,
    "evaluation examples": lambda r: r.n_eval,
    "effort": lambda r: "thorough" if r.stopping is None else r.stopping.effort,
    "trimtab": lambda r: r.trimtab,
    "torch": lambda r: r.torch,
    "transformers": lambda r: r.transformers,
}


class SettingChange(Record):
    """A setting, version or threshold that is not the same in both reports, as people read it."""

    name: str
    old: str
    new: str


class Comparison(Record):
    """An earlier check of a behavior against a later one.

    Args:
        behavior: its name.
        sentence: the outcome in one sentence.
        old_decision, new_decision: the two verdicts.
        outcome: the new decision against the old one, in the order of `DECISIONS`.
        reservations: why the two decisions are not comparable: other thresholds, other evaluation examples.
        differs: settings, versions and thresholds that are not the same.
        n_common: evaluation examples that stand in both reports.
        figures: old value, new value and difference by key; see `trimtab.results.changes.figures`.
    """

    behavior: str
    sentence: str
    old_decision: Decision
    new_decision: Decision
    outcome: Outcome
    reservations: tuple[str, ...]
    differs: tuple[SettingChange, ...]
    n_common: int
    figures: Mapping[str, Figure]

    @property
    def worse(self) -> bool:
        """True if the new decision is below the old one."""
        return self.outcome == "worse"

    @property
    def comparable(self) -> bool:
        """True if examples of the same part, all or as many as were needed, were held against the same thresholds."""
        return not self.reservations


def compare(old: Report, new: Report) -> Comparison:
    """Compare a check with an earlier one of the same behavior on the same data.

    Args:
        old: the earlier report.
        new: the later one; another model, dtype, site or version is what the comparison is for.

    Returns:
        What became of the decision and of each figure. The other way round it is the same with the signs turned.

    Raises:
        InputError: another behavior, other data or another unit; or an `examples.parquet` of another check.

    Example:
        >>> import trimtab as tt
        >>> old, new = tt.Report.load("out/before"), tt.Report.load("out/after")  # doctest: +SKIP
        >>> comparison = tt.compare(old, new)  # doctest: +SKIP
        >>> comparison.outcome, comparison.figures["effect"].changed  # doctest: +SKIP
        ('worse', True)
        >>> from trimtab.results import DECISIONS
        >>> DECISIONS  # from worst to best
        ('no-go', 'inconclusive', 'caution', 'go')
    """
    _check_arguments(old, new)
    before, after = old.verdict.decision, new.verdict.decision
    step = DECISIONS.index(after) - DECISIONS.index(before)
    outcome: Outcome = "worse" if step < 0 else "better" if step > 0 else "same"
    n_common = (Counter(map(identity, old.examples)) & Counter(map(identity, new.examples))).total()
    reservations = tuple(_reservations(old, new, n_common))
    both = shared(old, new)
    changes = figures(old, new, both)
    decision = f"the decision got {outcome}: {before} -> {after}" if step else f"the decision is still {after}"
    unlike = f"; the decisions are not comparable: {'; '.join(reservations)}" if reservations else ""
    return Comparison(
        behavior=new.behavior,
        sentence=f"{decision}; {_about_effect(changes['effect'], both)}{unlike}",
        old_decision=before,
        new_decision=after,
        outcome=outcome,
        reservations=reservations,
        differs=tuple(_differs(old, new)),
        n_common=n_common,
        figures=changes,
    )


def load_any(path: str | Path) -> Report:
    """Read a report from its folder or its `report.json`, with or without `examples.parquet` beside it.

    Raises:
        InputError: no report there, several of them, or none of this schema; says what to give instead.
    """
    where = Path(path)
    file = where / "report.json" if where.is_dir() else where
    if not file.exists():
        inside = sorted(report.parent.name for report in where.glob("*/report.json"))
        fix = f"give one of the folders in it: {', '.join(inside)}" if inside else "give the folder of an earlier check"
        raise InputError(f"there is no report at {file}; {fix}")
    try:
        return Report.load(file)
    except InputError as error:
        raise InputError(f"{error}; {_fix(file)}") from error


def _fix(file: Path) -> str:
    """What to do about a file that cannot be read as a report."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        record = None
    if not isinstance(record, dict) or "schema" not in record:
        return "give a report.json that trimtab check wrote, or its folder"
    return (
        f"it was written by trimtab {record.get('trimtab')}, schema {record['schema']}: repeat that check with this one"
    )


def _check_arguments(old: Report, new: Report) -> None:
    """Raise where the two reports are of other behaviors, data or units."""
    facts = (
        ("behavior", old.behavior, new.behavior),
        ("data digest", old.data_digest, new.data_digest),
        ("unit", old.unit, new.unit),
    )
    unlike = [
        f"{name} {before!r} in the old one, {after!r} in the new one"
        for name, before, after in facts
        if before != after
    ]
    if unlike:
        raise InputError(
            f"the reports cannot be compared: {'; '.join(unlike)}. Give an old report on the same examples and "
            "instructions, or check the old model on the new ones"
        )


def _reservations(old: Report, new: Report, n_common: int) -> Iterator[str]:
    sizes = len(old.examples), len(new.examples)
    if not n_common == sizes[0] == sizes[1] > 0 and not (n_common == min(sizes) > 0 and _of_one_part(old, new)):
        yield (
            f"the evaluation examples are not the same ({sizes[0]} before, {sizes[1]} now, {n_common} in both): "
            "use the same seed, and as many training and evaluation examples"
        )
    for name in _thresholds(old, new):
        yield f"the threshold {name} was {_threshold(old, name)} and is {_threshold(new, name)}"


def _of_one_part(old: Report, new: Report) -> bool:
    """Whether one check ended early on the examples that the other measured in full, or both did."""
    available = [len(r.examples) if r.stopping is None else r.stopping.available for r in (old, new)]
    return available[0] == available[1]


def _differs(old: Report, new: Report) -> Iterator[SettingChange]:
    for name, setting in _SETTINGS.items():
        if setting(old) != setting(new):
            yield SettingChange(name=name, old=str(setting(old)), new=str(setting(new)))
    for name in _thresholds(old, new):
        yield SettingChange(name=f"threshold {name}", old=_threshold(old, name), new=_threshold(new, name))


def _thresholds(old: Report, new: Report) -> list[str]:
    names = sorted({*old.thresholds, *new.thresholds})
    return [name for name in names if old.thresholds.get(name) != new.thresholds.get(name)]


def _threshold(report: Report, name: str) -> str:
    return given(report.thresholds[name]) if name in report.thresholds else "not set"


def _about_effect(figure: Figure, both: Both | None) -> str:
    """`the mean effect fell by 0.12 [0.05, 0.19] nats/token on the same 72 examples`."""
    d, low, high = figure.difference, figure.low, figure.high
    if d is None or low is None or high is None:
        return f"how the mean effect changed is not known: {figure.reason}"
    where = f"on the same {len(both.clusters)} examples" if both else "if the two samples are independent"
    if d == low == high == 0:
        return f"the mean effect did not move {where}"
    word = "did not change for sure:"
    if figure.changed:
        word, (d, low, high) = ("fell by", (-d, -high, -low)) if d < 0 else ("rose by", (d, low, high))
    return f"the mean effect {word} {centre(d, low, high)} {interval(low, high)} {figure.unit} {where}"
