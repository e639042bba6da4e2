"""Conditions on prompts for `fit`: found on some of the prompts given, measured on others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from trimtab.behaviors import Behavior, Example, Side
from trimtab.decimals import bracketed
from trimtab.errors import InputError
from trimtab.experiment.instrument import SIDES
from trimtab.interventions import Condition, Site
from trimtab.models import Encoded, Model
from trimtab.models.capture import capture
from trimtab.models.conditions import met
from trimtab.nearest import meant
from trimtab.phrases import Phrase
from trimtab.statistics import Interval, wilson
from trimtab.steering import Steering
from trimtab.steering.conditions import fit_condition
from trimtab.steering.methods import Sides
from trimtab.texts import Rendered

MIN_PROMPTS = 12  # prompts of each kind
SIDE_WORDS = {"positive": Phrase("positive"), "negative": Phrase("negative")}


@dataclass(frozen=True)
class Conditioned:
    """A condition and how often it decided rightly on prompts that it was not fitted to.

    Args:
        condition: what was found.
        acts: share of the prompts to be acted on where it acts.
        spares: share of the others where it does not.
        n: prompts of each kind behind these figures.
    """

    condition: Condition
    acts: Interval
    spares: Interval
    n: tuple[int, int]

    @property
    def note(self) -> Phrase:
        """The figures in a sentence."""
        shares = [bracketed(i, ".0%") for i in (self.acts, self.spares)]
        return Phrase(
            "condition at site {site}: acts on {acts} of {n} held-out prompts that it should, leaves {spares} of "
            "{others} others alone",
            site=str(self.condition.site), acts=shares[0], n=self.n[0], spares=shares[1], others=self.n[1],
        )  # fmt: skip


def conditioned(
    model: Model, steering: Steering, wanted: Mapping[str, Behavior], seed: int, chat_template: bool = False
) -> tuple[Steering, list[Phrase]]:
    """The steering with a condition for each attribute that has prompts, and what is known of each.

    Args:
        model: whose activations decide.
        steering: without these conditions.
        wanted: by attribute, prompts that it shall act on (positive) and leave alone (negative).
        seed: of the split.
        chat_template: read prompts as the template puts them.

    Raises:
        InputError: an unknown attribute, too few prompts.
    """
    unknown = sorted(set(wanted) - set(steering.attributes))
    if unknown:
        raise InputError(
            f"a condition is for attribute {unknown[0]!r}; {meant(unknown[0], steering.attributes)}"
            f"there are {', '.join(steering.attributes)}",
            code="unknown-attribute",
            field="condition",
        )
    by_digest: dict[str, Conditioned] = {}
    for behavior in wanted.values():
        if behavior.digest not in by_digest:
            by_digest[behavior.digest] = condition_of(model, behavior, seed, chat_template)
    conditions = {name: by_digest[behavior.digest].condition for name, behavior in wanted.items()}
    notes = [
        Phrase("{name}: {note}", name=name, note=by_digest[behavior.digest].note) for name, behavior in wanted.items()
    ]
    return steering.changed(conditions={**steering.conditions, **conditions}), notes


def condition_of(model: Model, behavior: Behavior, seed: int, chat_template: bool = False) -> Conditioned:
    """Fit a condition to half of the prompts, choose its site on a quarter, measure it on the rest.

    Args:
        model: whose activations decide.
        behavior: prompts to act on as positive, others as negative; a prompt that comes before both is put in front.
        seed: of the split, by prompt.
        chat_template: read prompts as the template puts them.

    Raises:
        InputError: fewer than 12 different prompts of a kind.
    """
    sites = [Site(block) for block in range(model.n_blocks)]
    sides = {side: _prompts(behavior, side) for side in SIDES}
    both = set(sides["positive"]) & set(sides["negative"])
    if both:
        raise InputError(
            f"behavior {behavior.name!r}: a prompt stands on both sides: {min(both)[:60]!r}",
            code="unusable-examples",
            field="condition",
        )
    parts: list[dict[str, Mapping[Site, Tensor]]] = [{}, {}, {}]
    for side, texts in sides.items():
        if len(texts) < MIN_PROMPTS:
            raise InputError(
                Phrase(
                    "behavior {name}: a condition needs {least} different prompts of either kind; there are {n} {side} "
                    "ones",
                    name=repr(behavior.name),
                    least=MIN_PROMPTS,
                    n=len(texts),
                    side=SIDE_WORDS[side],
                ),
                code="too-few-examples",
                field="condition",
            )
        order = np.random.default_rng(seed).permutation(len(texts)).tolist()
        prompts = model.encoder(chat_template).encode([Rendered("", texts[i], "") for i in order])
        # as they are read before each steered pass
        result = capture(model, [Encoded(row.prompt.ids, 1) for row in prompts], sites, "mean").activations
        cuts = (0, len(texts) // 2, len(texts) * 3 // 4, len(texts))
        for part, (start, stop) in zip(parts, pairwise(cuts), strict=True):
            part[side] = {site: h[start:stop] for site, h in result.items()}
    train, dev, held = ({s: Sides(p["positive"][s], p["negative"][s], False) for s in sites} for p in parts)
    condition = fit_condition(train, dev)
    at = held[condition.site]
    return Conditioned(
        condition,
        _share(met(condition, at.positive)),
        _share(~met(condition, at.negative)),
        (len(at.positive), len(at.negative)),
    )


def _prompts(behavior: Behavior, side: Side) -> list[str]:
    """Different prompts of a kind, in their order."""

    def text(e: Example) -> str:
        answer: str = getattr(e, side)
        return e.prompt + answer

    return list(dict.fromkeys(text(e) for e in behavior.examples))


def _share(right: Tensor) -> Interval:
    return wilson(float(right.to(torch.float64).sum()), len(right))


def by_attribute(names: Sequence[str], conditions: Behavior | Mapping[str, Behavior] | None) -> dict[str, Behavior]:
    """One set of prompts for all attributes, or one for each that is named."""
    if conditions is None:
        return {}
    return dict.fromkeys(names, conditions) if isinstance(conditions, Behavior) else dict(conditions)
