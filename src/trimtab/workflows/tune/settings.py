"""How a search is made: its sampler and budget, what it may choose from, and what every trial must keep."""

from dataclasses import dataclass
from importlib.util import find_spec
from math import isfinite

from trimtab.errors import InputError
from trimtab.experiment.numbers import above_0, between_0_and_1, is_whole, not_below_0
from trimtab.experiment.task_parts import Sizes
from trimtab.interventions import Scope
from trimtab.workflows.tune.samplers import check_sampler
from trimtab.workflows.tune.yardstick import Limits


@dataclass(frozen=True)
class Settings:
    """Of a search; see `trimtab.workflows.tune.tune`.

    Raises:
        InputError: a value out of range, or optuna or moocore is not installed.
    """

    sampler: str
    trials: int
    max_factor: float
    gates: tuple[float, ...]
    limits: Limits
    sizes: Sizes
    damage_texts: int
    seed: int
    scope: Scope
    chat_template: bool

    def __post_init__(self) -> None:
        if find_spec("optuna") is None or find_spec("moocore") is None:
            raise InputError(
                "a search needs optuna and moocore; install them with: pip install 'trimtab[tune]'",
                code="not-installed",
                field="sampler",
            )
        check_sampler(self.sampler)
        for name, value, least in (
            ("trials", self.trials, 1),
            ("damage_texts", self.damage_texts, 1),
            ("seed", self.seed, 0),
        ):
            if not is_whole(value) or value < least:
                raise InputError(
                    f"{name} {value!r}: give a whole number, at least {least}", code="out-of-range", field=name
                )
        above_0("max_factor", self.max_factor)
        above_0("max_damage", self.limits.damage)
        between_0_and_1("max_capability_loss", self.limits.capability_loss)
        not_below_0("max_loss", self.limits.loss)
        shifts = list(self.gates)
        if not shifts or len(set(shifts)) < len(shifts) or not all(isfinite(shift) for shift in shifts):
            raise InputError(
                f"gates {shifts}: give at least one finite number, each once", code="out-of-range", field="gates"
            )
