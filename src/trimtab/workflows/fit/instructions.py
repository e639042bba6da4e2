"""Of several wordings of an instruction, the one that does best on dev."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from trimtab.errors import InputError
from trimtab.experiment.experiment import Experiment, Variant
from trimtab.phrases import Phrase
from trimtab.statistics.contrast import Contrast
from trimtab.steering import Steering
from trimtab.steering.methods import TriedText
from trimtab.workflows.racing import BEHIND, by_race, race_steps


def searched(on: Experiment, texts: Sequence[tuple[str, str]]) -> tuple[list[TriedText], list[Phrase]]:
    """Texts in front of prompts as the dev examples show them, those measured on the most examples first.

    All are tried on a few examples, and on more those that may still be the best. Of those that are not plainly behind
    the largest effect, the one is taken that pushes the fewest examples the wrong way; of equals that of the larger
    effect.

    Args:
        on: the behavior's experiment.
        texts: candidates, each for the behavior and against it.

    Returns:
        what was tried, and notes on it.

    Raises:
        InputError: none of them leaves room for the examples in the model's context.
        NotFiniteError: none gives finite figures.
    """
    examples, rows = on.splits.dev.examples, len(on.splits.dev)
    fitting = [k for k, (text, _) in enumerate(texts) if all(on.instrument.fitting(examples, text))]
    if not fitting:
        raise InputError(
            f"none of {len(texts)} instructions leaves room for the longest example in the model's context; shorten "
            "that example",
            code="unusable-examples",
            field="behaviors",
        )
    candidates: dict[int, Variant] = {k: (_asking(on, texts[k]), 1.0) for k in fitting}
    total = on.cost(race_steps(on, list(candidates.values()), rows))
    on.progress.begin(round(total), total * on.pace())
    effects, lost = by_race(on, candidates, rows)
    taken = best(effects)
    tried = [
        TriedText(texts[k], len(e.rows), e.mean(), e.below_zero(), taken=k == taken) for k, e in effects.items()
    ]  # fmt: skip
    whole = sum(t.n == rows for t in tried)
    notes = [
        Phrase(
            "{n} instructions tried on dev, {whole} of them on all {rows} examples",
            n=len(tried),
            whole=whole,
            rows=rows,
        )
    ]
    if len(fitting) < len(texts):
        notes.append(Phrase("{n} instructions left out: too long for the model's context", n=len(texts) - len(fitting)))
    notes += [
        Phrase("instruction left out, {text}: {why}", text=repr(texts[k][0].strip()), why=why)
        for k, why in lost.items()
    ]
    return tried, notes


def best(effects: Mapping[int, Contrast]) -> int:
    """The candidate that is taken, of their effects on dev.

    Args:
        effects: by candidate; those on fewer examples than others are out.
    """
    most = max(len(e.rows) for e in effects.values())
    left = {k: e for k, e in effects.items() if len(e.rows) == most}
    first = max(left.values(), key=_mean)
    close = [k for k, e in left.items() if e is first or not _gap(first, e).mean(BEHIND).low > 0]
    return min(close, key=lambda k: (left[k].below_zero().value, -_mean(left[k])))


def _mean(effect: Contrast) -> float:
    return float(effect.rows.mean())


def _gap(first: Contrast, other: Contrast) -> Contrast:
    """By how much the one is ahead, example by example."""
    return replace(first, positive=first.positive - other.positive, negative=first.negative - other.negative)


def _asking(on: Experiment, text: tuple[str, str]) -> Steering:
    name = on.behavior.name
    return Steering({}, {name: 1.0}, made_for=on.model.facts, prompts={name: text})
