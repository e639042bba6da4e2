"""Right answers on the capability probe before and under steering."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from trimtab.behaviors import Behavior, Example, Probe
from trimtab.errors import InputError
from trimtab.experiment.experiment import Experiment
from trimtab.experiment.instrument import Instrument, Treatment
from trimtab.experiment.steps import Step
from trimtab.measurements.divergence import whole_texts
from trimtab.measurements.probe_margins import margins
from trimtab.phrases import Phrase, untranslated
from trimtab.results.consequences import Capability
from trimtab.results.figures import Estimate, estimate
from trimtab.statistics import paired_change, wilson
from trimtab.steering import Steering
from trimtab.storage.steps import Arrays

TOKENS_PER_WORD = 1.3  # about
_KINDS: Mapping[str, Phrase] = {
    kind: kind for kind in (Phrase("grammar"), Phrase("facts"), Phrase("cloze"), Phrase("all"))
}


@dataclass(frozen=True)
class CapabilityMargins(Step):
    """Margins of the capability probe, without and with a steering.

    Args:
        steering: at a strength.
        strength: of it.
        every: `(k, m)`: of the pairs the k-th, and every m-th after it.
    """

    steering: Steering
    strength: float
    every: tuple[int, int] = (0, 1)
    title = "capability"

    def probe(self, on: Experiment) -> Probe:
        """The pairs that fit into the model's context.

        Raises:
            InputError: none does.
        """
        whole, prompt_prefix = Probe.builtin("capability"), on.treatment((self.steering, self.strength)).prompt_prefix
        fits = fitting(on, whole.examples, False, prompt_prefix)
        first, stride = self.every
        if not any(fits):
            raise _too_short(on.model.context_length)
        fitting_pairs = whole.only(fits)
        return fitting_pairs.only([i % stride == first for i in range(len(fitting_pairs.examples))])

    def cost(self, on: Experiment) -> float:
        words = sum(len(f"{e.prompt} {e.positive} {e.negative}".split()) for e in Probe.builtin("capability").examples)
        return words * 2 * TOKENS_PER_WORD / self.every[1]

    def compute(self, on: Experiment) -> Arrays:
        treatments = [Treatment(), on.treatment((self.steering, self.strength))]
        return {"margins": margins(on.model, self.probe(on), treatments)}


def capability(
    on: Experiment, steering: Steering, every: tuple[tuple[int, ...], int] = ((0,), 1), level: float = 0.95
) -> tuple[Capability, ...]:
    """By kind and altogether, at the experiment's strength.

    Args:
        on: the behavior's experiment.
        steering: what is measured.
        every: `(ks, m)`: of the pairs those whose number leaves one of the remainders `ks` when divided by m.
        level: of the interval of the change.
    """
    remainders, stride = every
    steps = [CapabilityMargins(steering, on.strength, (k, stride)) for k in remainders]
    kinds = np.array([kind for step in steps for kind in step.probe(on).kinds])
    before, after = np.concatenate([on.run(step)["margins"] for step in steps], axis=1) > 0
    chosen = {kind: kinds == kind for kind in dict.fromkeys(kinds.tolist())} | {"all": np.ones(len(kinds), dtype=bool)}
    return tuple(_capability(kind, before[rows], after[rows], level) for kind, rows in chosen.items())


def _capability(kind: str, before: NDArray[np.bool_], after: NDArray[np.bool_], level: float) -> Capability:
    n, gained, lost = len(before), int((~before & after).sum()), int((before & ~after).sum())
    base = wilson(float(before.sum()), n)
    change = estimate(paired_change(before, after, level), n)
    if base.low <= 0.5:
        change = Estimate(
            reason=Phrase(
                "no headroom: the unsteered model has {share} right, no more than by chance", share=f"{base.value:.0%}"
            )
        )
    return Capability(
        kind=_KINDS.get(kind, untranslated(kind)), n=n,
        base=base.value, base_low=base.low, base_high=base.high, steered=float(after.mean()),
        change=change, gained=gained, lost=lost,
        p_value=float(binomtest(lost, gained + lost).pvalue) if gained + lost else 1.0,
    )  # fmt: skip


def about_context(on: Experiment) -> list[Phrase]:
    """Notes on how trimtab's own texts are cut or left out where the model's context is short.

    Raises:
        InputError: it is too short for all of them.
    """
    length, notes = on.model.context_length, list[Phrase]()
    texts = Probe.builtin("neutral").texts
    cut = sum(len(row.ids) > length for row in whole_texts(on.model, texts))
    if cut:
        notes.append(
            Phrase(
                "{cut} of {n} neutral texts cut to the model's context of {length} tokens",
                cut=cut,
                n=len(texts),
                length=length,
            )
        )
    for name, chat in (("capability", False), ("over-refusal", on.instrument.chat_template)):
        probe = Probe.builtin(name)
        fits = fitting(on, probe.examples, chat)
        if not any(fits) and name == "capability":
            raise _too_short(length)
        if not all(fits):
            notes.append(
                Phrase(
                    "{lost} of {n} pairs of the {name} probe left out: longer than the model's context of {length} "
                    "tokens",
                    lost=len(fits) - sum(fits),
                    n=len(fits),
                    name=name,
                    length=length,
                )
            )
    return notes


def _too_short(length: int) -> InputError:
    return InputError(
        f"the model's context holds {length} tokens, too few for any pair of the capability probe, on which a check "
        "measures what steering costs; take a model with a longer context"
    )


def fitting(on: Experiment, examples: Sequence[Example], chat_template: bool, prompt_prefix: str = "") -> list[bool]:
    """Whether both endings of each pair fit into the model's context."""
    behavior = Behavior("probe", list(examples))
    return Instrument(on.model, behavior, chat_template, "mean").fitting(examples, prompt_prefix)
