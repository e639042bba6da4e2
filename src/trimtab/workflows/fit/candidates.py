"""A method's steering of behaviors: from the activations of their training examples, or from their instructions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Literal, TypeVar

import numpy as np
import torch

from trimtab.errors import InputError
from trimtab.experiment.progress import Progress
from trimtab.experiment.stages import Stages
from trimtab.models import Place, Site
from trimtab.models.tokens import Tokens, capture_tokens
from trimtab.steering import Steering
from trimtab.steering.mat_steer import Tokens as TokenRows
from trimtab.steering.mat_steer import TokenSides, Trained
from trimtab.steering.methods import Method, PromptMethod, Sides, TokenMethod, Told
from trimtab.workflows.choice import map_blocks

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Made:
    """A steering as a method makes it, at strength 1.

    Args:
        steering: an attribute for every behavior.
        trained: by site, what a method that trains on tokens has seen; empty for others.
    """

    steering: Steering
    trained: Mapping[Site, Trained] = field(default_factory=dict)


def made(
    maker: Method, stages: Mapping[str, Stages], sites: Sequence[Place] | None, notes: list[str]
) -> tuple[Made, ...]:
    """An attribute for every behavior; several steerings where the method leaves the choice to dev.

    Args:
        maker: the method with its hyperparameters.
        stages: of the behaviors, by attribute, each with the one prompt type that its examples are put by.
        sites: where to steer, None for methods that ask; of others None takes all blocks if the method looks at all,
            else the one that does best on dev.
        notes: is told what was chosen.

    Raises:
        InputError: sites that the model or the method does not have.
    """
    if isinstance(maker, PromptMethod):
        return (Made(_asked(maker, stages)),)
    if isinstance(maker, TokenMethod):
        return _learned(maker, stages, sites, notes)
    return (Made(_trained(maker, stages, sites, notes)),)


def _learned(
    maker: TokenMethod, stages: Mapping[str, Stages], sites: Sequence[Place] | None, notes: list[str]
) -> tuple[Made, ...]:
    """Of the tokens of training and dev examples: at all sites given together, or at each of the best blocks."""
    first = next(iter(stages.values()))
    groups = [Site.several(sites)] if sites is not None else [[s] for s in best_blocks(stages, notes, maker.blocks)]
    every = list(dict.fromkeys(site for group in groups for site in group))
    home, digests = first.ledger.home, _digests(stages)

    def read(part: Literal["train", "dev"]) -> dict[str, dict[Site, TokenSides]]:
        kind = sha256(repr((maker.tokens, every)).encode()).hexdigest()[:8]
        places = {name: s.ledger.home and s.ledger.home / f"tokens-{part}-{kind}" for name, s in stages.items()}
        return {name: token_sides(s, part, every, maker.tokens, places[name]) for name, s in stages.items()}

    data, dev = read("train"), read("dev")

    def trained(group: Sequence[Site]) -> Made:
        some, held = (
            {name: {site: by_site[site] for site in group} for name, by_site in whole.items()} for whole in (data, dev)
        )
        learned = maker.fit_tokens(
            some, held, seed=first.seed, made_for=first.model.facts, digests=digests,
            device=first.model.device,
            folder=home and home / maker.name / sha256(repr((maker, group, digests)).encode()).hexdigest()[:16],
            progress=_Epochs(first.progress),
        )  # fmt: skip
        return Made(learned.steering, learned.by_site)

    return tuple(those_that_work([(f"site {group[0]}", partial(trained, group)) for group in groups], notes))


class _Epochs:
    """Tells the progress of trainings one after another; each is announced when an epoch has been timed."""

    def __init__(self, progress: Progress) -> None:
        self.progress, self.done, self.began, self.announced = progress, 0, 0.0, False

    def __call__(self, done: int, most: int) -> None:
        now = perf_counter()
        if done != self.done + 1 or done == 1:  # another training, from its start or resumed
            self.announced = False
        elif self.announced:
            self.progress.advance("training", 1)
        elif done < most:
            left, self.announced = most - done, True
            self.progress.begin(left, (now - self.began) * left, "epochs of training at most")
        self.done, self.began = done, now


def those_that_work(attempts: Sequence[tuple[str, Callable[[], T]]], notes: list[str]) -> list[T]:
    """What attempts give, under their names; those that cannot be made are noted, unless none can.

    Raises:
        InputError: of the last attempt, if none works.
    """
    found, refused = [], []
    for name, attempt in attempts:
        try:
            found.append(attempt())
        except InputError as error:
            refused.append((name, error))
    if not found:
        raise refused[-1][1]
    notes += [f"left out, {name}: {error}" for name, error in refused]
    return found


def token_sides(
    stages: Stages, part: Literal["train", "dev"], sites: Sequence[Site], tokens: Tokens, folder: Path | None = None
) -> dict[Site, TokenSides]:
    """Activations of every token of a part's examples, both sides.

    Args:
        stages: of the behavior, with the one prompt type that its examples are put by.
        part: whose examples.
        sites: where to read.
        tokens: which; of `all` those that are the same on both sides are left out.
        folder: keeps them on disk, so that no more than a window is in memory.
    """
    examples = getattr(stages.splits, part).examples
    plus, minus = stages.instrument.contexts(examples, stages.splits.shots.examples, stages.prompt_types[0])
    n = len(plus)
    twins = [n + i for i in range(n)] + list(range(n))
    new = folder is None or not folder.exists()
    found = capture_tokens(
        stages.model, plus + minus, sites, tokens, folder, twins=twins, drop_identical=tokens == "all"
    )
    if new:
        stages.progress.advance(f"tokens, {part}", round(stages.reading_cost(plus + minus, sites)))
    sides = {}
    for site in sites:
        text, h = found.text[site].numpy(), found.activations[site]
        split = int((text < n).sum())
        sides[site] = TokenSides(TokenRows(h[:split], text[:split]), TokenRows(h[split:], text[split:] - n))
    return sides


def _digests(stages: Mapping[str, Stages]) -> dict[str, str]:
    return {name: s.behavior.digest for name, s in stages.items()}


def _trained(maker: Method, stages: Mapping[str, Stages], sites: Sequence[Place] | None, notes: list[str]) -> Steering:
    """Of the training examples' activations."""
    first = next(iter(stages.values()))
    where = _places(maker, stages, sites, notes)
    for site in where:
        first.model.anatomy.module(site)
    data = {name: _sides(s, where) for name, s in stages.items()}
    return maker.fit(data, seed=first.seed, made_for=first.model.facts, digests=_digests(stages))


def _asked(maker: PromptMethod, stages: Mapping[str, Stages]) -> Steering:
    """Of the instructions, or of the shots."""
    told, model = {}, next(iter(stages.values())).model
    for name, s in stages.items():
        shots = [(e.prompt, e.positive, e.negative) for e in s.splits.shots.examples]
        told[name] = Told((s.behavior.instruction("positive"), s.behavior.instruction("negative")), shots)
    return maker.fit_texts(told, made_for=model.facts, digests=_digests(stages))


def _places(maker: Method, stages: Mapping[str, Stages], given: Sequence[Place] | None, notes: list[str]) -> list[Site]:
    """Where activations are read: at the sites that were given, at all blocks, or at the best one."""
    if given is not None:
        sites = Site.several(given)
    elif maker.all_blocks:
        n_blocks = next(iter(stages.values())).model.n_blocks
        sites = [Site(block) for block in range(n_blocks)]
    else:
        sites = best_blocks(stages, notes)
    if maker.reads is None:
        return sites
    odd = [site for site in sites if site.component == "mlp"]
    if odd:
        raise InputError(
            f"method {maker.name} reads {maker.reads}, not {odd[0]}; give blocks, such as {odd[0].block}",
            code="no-such-site",
            field="sites",
        )
    return [Site(site.block, maker.reads) for site in sites]


def best_blocks(stages: Mapping[str, Stages], notes: list[str], n: int = 1) -> list[Site]:
    """The blocks whose mean differences do best on dev for all behaviors together, the best first."""
    shares = []
    for s in stages.values():
        rows = map_blocks(s)
        lows = np.array([max(row.effect.low or 0.0, 0.0) for row in rows])
        shares.append(lows / lows.max() if lows.max() > 0 else lows)
    blocks = [row.block for row in rows]
    together = np.mean(shares, axis=0)
    order = np.argsort(-together, kind="stable")[:n].tolist()
    notes += [
        f"block {blocks[i]} chosen on dev: it has {together[i]:.0%} of the best blocks' lower bounds on average"
        for i in order
    ]
    return [Site(blocks[i]) for i in order]


def _sides(stages: Stages, sites: Sequence[Site]) -> Mapping[Site, Sides]:
    found = stages.training(stages.prompt_types[0], sites)
    return {
        site: Sides(
            torch.from_numpy(g.positive), torch.from_numpy(g.negative), not g.arbitrary,
            stages.model.anatomy.heads_of(site.block) if site.component == "heads" else None,
        )
        for site, g in found.items()
    }  # fmt: skip
