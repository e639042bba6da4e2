"""A method's steering of behaviors: from the activations of their training examples, or from their instructions."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from trimtab.errors import InputError
from trimtab.models import Place, Site
from trimtab.steering import Steering
from trimtab.steering.methods import Method, PromptMethod, Sides, Told
from trimtab.workflows.choice import map_blocks
from trimtab.workflows.stages import Stages


def made(maker: Method, stages: Mapping[str, Stages], sites: Sequence[Place] | None, notes: list[str]) -> Steering:
    """An attribute for every behavior, at strength 1.

    Args:
        maker: the method with its hyperparameters.
        stages: of the behaviors, by attribute, each with the one prompt type that its examples are put by.
        sites: where to steer; None takes all blocks if the method looks at all, else the one that does best on dev.
        notes: is told what was chosen.

    Raises:
        InputError: sites that the model or the method does not have.
    """
    if isinstance(maker, PromptMethod):
        return _asked(maker, stages, sites)
    return _trained(maker, stages, sites, notes)


def _trained(maker: Method, stages: Mapping[str, Stages], sites: Sequence[Place] | None, notes: list[str]) -> Steering:
    """Of the training examples' activations."""
    first = next(iter(stages.values()))
    where = _places(maker, stages, sites, notes)
    for site in where:
        first.model.anatomy.module(site)
    data = {name: _sides(s, where) for name, s in stages.items()}
    digests = {name: s.behavior.digest for name, s in stages.items()}
    return maker.fit(data, seed=first.seed, made_for=first.model.facts, digests=digests)


def _asked(maker: PromptMethod, stages: Mapping[str, Stages], sites: Sequence[Place] | None) -> Steering:
    """Of the instructions, or of the shots."""
    if sites is not None:
        raise InputError(f"method {maker.name} puts text in front of prompts; leave out the sites")
    told, model = {}, next(iter(stages.values())).model
    for name, s in stages.items():
        shots = [(e.prompt, e.positive, e.negative) for e in s.splits.shots.examples]
        told[name] = Told((s.behavior.instruction("positive"), s.behavior.instruction("negative")), shots)
    digests = {name: s.behavior.digest for name, s in stages.items()}
    return maker.fit_texts(told, made_for=model.facts, digests=digests)


def _places(maker: Method, stages: Mapping[str, Stages], given: Sequence[Place] | None, notes: list[str]) -> list[Site]:
    """Where activations are read: at the sites that were given, at all blocks, or at the best one."""
    if given is not None:
        sites = Site.several(given)
    elif maker.all_blocks:
        n_blocks = next(iter(stages.values())).model.n_blocks
        sites = [Site(block) for block in range(n_blocks)]
    else:
        sites = [best_block(stages, notes)]
    if maker.reads is None:
        return sites
    odd = [site for site in sites if site.component == "mlp"]
    if odd:
        raise InputError(f"method {maker.name} reads {maker.reads}, not {odd[0]}; give blocks, such as {odd[0].block}")
    return [Site(site.block, maker.reads) for site in sites]


def best_block(stages: Mapping[str, Stages], notes: list[str]) -> Site:
    """The block that does best on dev for all behaviors together."""
    shares = []
    for s in stages.values():
        rows = map_blocks(s)
        lows = np.array([max(row.effect.low or 0.0, 0.0) for row in rows])
        shares.append(lows / lows.max() if lows.max() > 0 else lows)
    blocks = [row.block for row in rows]
    together = np.mean(shares, axis=0)
    best = blocks[int(np.argmax(together))]
    notes.append(f"block {best} chosen on dev: it has {together.max():.0%} of the best blocks' lower bounds on average")
    return Site(best)


def _sides(stages: Stages, sites: Sequence[Site]) -> Mapping[Site, Sides]:
    found = stages.training(stages.prompt_types[0], sites)
    return {
        site: Sides(
            torch.from_numpy(g.positive), torch.from_numpy(g.negative), not g.arbitrary,
            stages.model.anatomy.heads_of(site.block) if site.component == "heads" else None,
        )
        for site, g in found.items()
    }  # fmt: skip
