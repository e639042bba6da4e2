"""How often verdicts turned out wrong: shipped figures, measured on behaviors of which half was held out.

Checks that end when the decision is certain and thorough ones were measured apart.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from trimtab.phrases import Phrase
from trimtab.verdict.decision import Decision

RULES: Final = {True: "stopping", False: "thorough"}


@dataclass(frozen=True)
class Rate:
    """The error rate of one decision.

    Args:
        n: verdicts of this kind.
        wrong: how many of them were wrong.
        low, high: 95 % interval of the share that is.
    """

    n: int
    wrong: int
    low: float
    high: float


@dataclass(frozen=True)
class ErrorRates:
    """The error rates of each decision, from a study of the verdict.

    A go or a caution is wrong if the same vector misses a bound on the held-out examples; they claim the same
    and are counted together. A no-go is wrong if it keeps all bounds. Inconclusive verdicts claim nothing.

    Args:
        model: id of the model.
        digest: of its weights.
        dtype: of its blocks.
        data: the behaviors, in a few words.
        command: what measured it.
        thresholds: the bounds asked for.
        decisions: by decision.
    """

    model: str
    digest: str
    dtype: str
    data: Phrase
    command: str
    thresholds: Mapping[str, float]
    decisions: Mapping[Decision, Rate]

    @staticmethod
    def shipped(stops: bool) -> "ErrorRates":
        """Those that come with the package.

        Args:
            stops: of checks that end when the decision is certain (benchmarks/stopped.py writes them); of thorough ones
                otherwise (benchmarks/verdict_table.py).
        """
        table = json.loads(files(__package__).joinpath("error_rates.json").read_text())[RULES[stops]]
        decisions = {name: Rate(**rate) for name, rate in table["decisions"].items()}
        data = Phrase("{n} public sets of statements", n=table["data"].split()[0])
        assert data == table["data"], "the data have other words now, which need a phrase of their own"
        return ErrorRates(**{**table, "data": data, "decisions": decisions})
