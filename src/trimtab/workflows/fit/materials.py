"""What methods learn from, of behaviors on a model: activations, tokens, and texts to ask by."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Literal, TypeVar

import numpy as np
import torch

from trimtab.errors import InputError
from trimtab.experiment.experiment import Experiment
from trimtab.experiment.progress import Progress
from trimtab.interventions import ModelFacts, Place, Site
from trimtab.measurements.activations import training
from trimtab.measurements.geometry import Geometry
from trimtab.measurements.prompts import has_prompts, prompt_activations
from trimtab.models.tokens import TokenSelection, capture_tokens
from trimtab.phrases import Phrase
from trimtab.results.numbers import NO_REASON
from trimtab.steering.mat_steer import TokenRows, TokenSides
from trimtab.steering.methods import (
    Data,
    Learned,
    Method,
    PromptedSides,
    PromptMaterial,
    Sides,
    TokenGroup,
    TriedText,
)  # fmt: skip
from trimtab.workflows.choice import map_blocks
from trimtab.workflows.fit.directions import Toward
from trimtab.workflows.fit.instructions import searched

T = TypeVar("T")


@dataclass(frozen=True)
class FitMaterials:
    """What a fit hands to its methods (`trimtab.steering.methods.Materials`).

    Args:
        experiments: of the behaviors, by attribute, each with the one prompt type that its examples are put by.
        places: where to steer; None takes all blocks for methods that look at all, else the best on dev.
        notes: is told what was chosen.
        owner: whose tokens these are; kept tokens are read and written by one process at a time, so that methods that
            are made in several processes at once have their own.
        toward: directions known beforehand, for methods that shrink toward such.
        shrunk: by attribute and site, the sides that were shrunk toward these, so that what it came to can be told.
    """

    experiments: Mapping[str, Experiment]
    places: Sequence[Place] | None
    notes: list[Phrase] = field(default_factory=list)
    owner: str = ""
    toward: Toward = field(default_factory=Toward)
    shrunk: dict[str, dict[Site, Sides]] = field(default_factory=dict, repr=False)

    @property
    def _first(self) -> Experiment:
        return next(iter(self.experiments.values()))

    @property
    def seed(self) -> int:
        """Of all random choices."""
        return self._first.seed

    @property
    def made_for(self) -> ModelFacts:
        """The model."""
        return self._first.model.facts

    @property
    def digests(self) -> dict[str, str]:
        """Of the training data, by attribute."""
        return {name: on.behavior.digest for name, on in self.experiments.items()}

    @property
    def device(self) -> torch.device:
        """The model's."""
        return self._first.model.device

    @property
    def progress(self) -> "_Epochs":
        """Is told of every epoch."""
        return _Epochs(self._first.progress)

    def sides(self, method: Method) -> Data:
        """Activations of the training examples at the sites and of the tokens that the method reads.

        Raises:
            InputError: sites that the model or the method does not have.
        """
        where = self._read_at(method)
        for site in where:
            self._first.model.anatomy.module(site)
        read = {name: _sides(on, where, method.last_tokens, self.toward) for name, on in self.experiments.items()}
        if self.toward:
            self.shrunk.update(read)
        return read

    def tokens(self, method: Method, which: TokenSelection, blocks: int) -> list[TokenGroup]:
        """Of training and dev examples: at all sites given together, or at each of the best blocks."""
        each = [] if self.places is not None else best_blocks(self.experiments, self.notes, blocks)
        groups = [[site] for site in each] if self.places is None else [Site.several(self.places)]
        every = list(dict.fromkeys(site for group in groups for site in group))
        home = self._first.ledger.home
        kind = sha256(repr((which, every, self.owner)).encode()).hexdigest()[:8]

        def read(part: Literal["train", "dev"]) -> dict[str, dict[Site, TokenSides]]:
            places = {
                k: on.ledger.home and on.ledger.home / f"tokens-{part}-{kind}" for k, on in self.experiments.items()
            }
            return {k: token_sides(on, part, every, which, places[k]) for k, on in self.experiments.items()}

        data, dev = read("train"), read("dev")
        result = []
        for group in groups:
            some, held = ({k: {s: own[s] for s in group} for k, own in whole.items()} for whole in (data, dev))
            name = sha256(repr((method, group, self.digests)).encode()).hexdigest()[:16]
            result.append(TokenGroup(f"site {group[0]}", some, held, home and home / method.name / name))
        return result

    def prompted(self, method: Method, blocks: int) -> list[PromptedSides]:
        """Activations of the one behavior's training examples with those of their prompts, at each of several sites.

        Raises:
            InputError: examples without prompts of their own.
        """
        ((name, on),) = self.experiments.items()
        if not has_prompts(on):
            raise InputError(
                f"behavior {name!r}: its examples have no prompts that could tell groups apart",
                code="unusable-examples",
                field="behaviors",
            )
        sites = self._several_blocks(blocks) if self.places is None else Site.several(self.places)
        read = prompt_activations(on, "train", [Site(b) for b in sorted({site.block for site in sites})])["positive"]
        found = []
        for site, g in training(on, on.prompt_types[0], sites).items():
            rows = list(g.examples)
            found.append(
                PromptedSides(
                    name,
                    site,
                    _as_sides(on, site, g),
                    torch.from_numpy(read[Site(site.block)][rows]),
                    Site(site.block),
                    tuple(on.splits.train.examples[i].prompt for i in rows),
                    g.clusters,
                )
            )
        return found

    def _several_blocks(self, n: int) -> list[Site]:
        """The block whose mean difference does best on dev, and others spread evenly over those that may be chosen."""
        on = self._first
        first, last = on.blocks or (0, on.model.n_blocks - 1)
        spread = np.linspace(first, last, n + 1)[1:-1].round().astype(int).tolist()
        return list(dict.fromkeys([*best_blocks(self.experiments, self.notes), *map(Site, spread)]))

    def texts(self) -> dict[str, PromptMaterial]:
        """The instructions, and the shots."""
        materials = {}
        for name, on in self.experiments.items():
            shots = [(e.prompt, e.positive, e.negative) for e in on.splits.shots.examples]
            asked = on.behavior.instruction("positive"), on.behavior.instruction("negative")
            materials[name] = PromptMaterial(asked, shots, on.behavior.description)
        return materials

    def tried(self, candidates: Mapping[str, Sequence[tuple[str, str]]]) -> dict[str, list[TriedText]]:
        """Texts in front of the dev examples; how many were tried, and which was taken, is noted."""
        found: dict[str, list[TriedText]] = {}
        for name, texts in candidates.items():
            found[name], notes = searched(self.experiments[name], texts)
            self.notes.extend(Phrase("{name}: {note}", name=name, note=note) for note in notes)
        return found

    def those_that_work(self, attempts: Sequence[tuple[str, Callable[[], Learned]]]) -> list[Learned]:
        """What attempts give; those that cannot be made are noted, unless none can."""
        return those_that_work(attempts, self.notes)

    def _read_at(self, method: Method) -> list[Site]:
        """The sites that were given, all blocks, or the best one, as the method reads them."""
        if self.places is not None:
            sites = Site.several(self.places)
        elif method.all_blocks:
            sites = [Site(block) for block in range(self._first.model.n_blocks)]
        else:
            sites = best_blocks(self.experiments, self.notes)
        if method.reads is None:
            return sites
        unreadable = [site for site in sites if site.component == "mlp"]
        if unreadable:
            raise InputError(
                f"method {method.name} reads {method.reads}, not {unreadable[0]}; give blocks, such as "
                f"{unreadable[0].block}",
                code="no-such-site",
                field="site",
            )
        return [Site(site.block, method.reads) for site in sites]


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


def those_that_work(attempts: Sequence[tuple[str, Callable[[], T]]], notes: list[Phrase]) -> list[T]:
    """What attempts give, under their names; those that cannot be made are noted, unless none can.

    Raises:
        InputError: of the last attempt, if none works.
    """
    results, refused = [], []
    for name, attempt in attempts:
        try:
            results.append(attempt())
        except InputError as error:
            refused.append((name, error))
    if not results:
        raise refused[-1][1]
    notes += [Phrase("left out, {name}: {why}", name=name, why=error.message) for name, error in refused]
    return results


def token_sides(
    on: Experiment,
    part: Literal["train", "dev"],
    sites: Sequence[Site],
    tokens: TokenSelection,
    folder: Path | None = None,
) -> dict[Site, TokenSides]:
    """Activations of every token of a part's examples, both sides.

    Args:
        on: the behavior's experiment, with the one prompt type that its examples are put by.
        part: whose examples.
        sites: where to read.
        tokens: which; of `all` those that are the same on both sides are left out.
        folder: keeps them on disk, so that no more than a window is in memory.
    """
    examples = getattr(on.splits, part).examples
    plus, minus = on.instrument.contexts(examples, on.splits.shots.examples, on.prompt_types[0])
    n = len(plus)
    twins = [n + i for i in range(n)] + list(range(n))
    new = folder is None or not folder.exists()
    result = capture_tokens(on.model, plus + minus, sites, tokens, folder, twins=twins, drop_identical=tokens == "all")
    if new:
        on.progress.advance(f"tokens, {part}", round(on.reading_cost(plus + minus, sites)))
    sides = {}
    for site in sites:
        text, h = result.text[site].numpy(), result.activations[site]
        split = int((text < n).sum())
        sides[site] = TokenSides(TokenRows(h[:split], text[:split]), TokenRows(h[split:], text[split:] - n))
    return sides


def best_blocks(experiments: Mapping[str, Experiment], notes: list[Phrase], n: int = 1) -> list[Site]:
    """The blocks whose mean differences do best on dev for all behaviors together, the best first."""
    shares = []
    for s in experiments.values():
        rows = map_blocks(s)
        notes += [
            Phrase("block {block} left out: {why}", block=row.block, why=row.effect.reason or NO_REASON)
            for row in rows
            if row.effect.value is None
        ]
        lows = np.array([max(row.effect.low or 0.0, 0.0) for row in rows])
        shares.append(lows / lows.max() if lows.max() > 0 else lows)
    blocks = [row.block for row in rows]
    together = np.mean(shares, axis=0)
    order = np.argsort(-together, kind="stable")[:n].tolist()
    notes += [
        Phrase(
            "block {block} chosen on dev: it has {share} of the best blocks' lower bounds on average",
            block=blocks[i], share=f"{together[i]:.0%}",
        )
        for i in order
    ]  # fmt: skip
    return [Site(blocks[i]) for i in order]


def _sides(on: Experiment, sites: Sequence[Site], last_tokens: int | None, toward: Toward) -> dict[Site, Sides]:
    result = training(on, on.prompt_types[0], sites, last_tokens)
    known = toward.at(on, tuple(sites)) if toward else {}
    return {site: _as_sides(on, site, g, known.get(site)) for site, g in result.items()}


def _as_sides(on: Experiment, site: Site, g: Geometry, known: Mapping[str, torch.Tensor] | None = None) -> Sides:
    heads = on.model.anatomy.heads_of(site.block) if site.component == "heads" else None
    positive, negative = torch.from_numpy(g.positive), torch.from_numpy(g.negative)
    return Sides(positive, negative, not g.arbitrary, heads, g.clusters, known or {})
