"""The measurements of a check, each a step that is kept in the ledger and told to the progress."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from trimtab.behaviors import Behavior, Example, Part, PromptType, Splits, not_measured
from trimtab.experiment.instrument import Floats, Instrument, Propensity, Treatment
from trimtab.experiment.progress import Progress
from trimtab.experiment.summary import ContrastMaker, Geometry, Steered
from trimtab.models import Encoded, Model, Site, fronts, steer
from trimtab.models.capture import MASSIVE, capture
from trimtab.models.plan import Scope
from trimtab.models.sharing import tokens_to_run
from trimtab.results.report import Noise
from trimtab.statistics.contrast import Contrast
from trimtab.steering import Steering, mean_difference
from trimtab.storage.steps import Arrays, Ledger

CURVE = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5)  # in units of the checked strength (Tan et al. 2407.12404)
CURVE_ROWS = 100
EXPLORATORY_ROWS = 80  # evaluation examples behind the prompt types that were not chosen
MAP_ROWS = 40  # dev examples behind the map over blocks
MAP_BLOCKS = 16  # blocks on the map, evenly spread
NOISE_ROWS = 32
NOISE_FEW = 3  # examples of the other batch shape
CHUNK = 64  # examples whose scores are kept as one step
HEAD_SHARE = 0.4  # cost of the head at the answer's tokens, in passes through the blocks; for the estimate only


Split = Literal["dev", "eval", "replication"]
Variation = tuple[Steering | None, float]  # a steering, and the factor on the strength
_SCORES = ("positive", "negative", "total_positive", "total_negative")


def curve_factors(steering: Steering) -> tuple[float, ...]:
    """Strengths of the curve: below 0 only where that does the opposite (methods with gates saturate there)."""
    return CURVE if steering.odd else tuple(factor for factor in CURVE if factor >= 0)


@dataclass(frozen=True)
class Stages:
    """Everything that a check measures on the model.

    Args:
        instrument: the model and how the behavior is put to it.
        splits: the behavior's parts.
        prompt_types: those asked for.
        strength: λ.
        scope: which tokens are steered.
        seed: of resampling.
        ledger: keeps finished steps.
        progress: is told of them.
        blocks: first and last block that a site may be chosen from; None for all.
    """

    instrument: Instrument
    splits: Splits
    prompt_types: tuple[PromptType, ...]
    strength: float
    scope: Scope
    seed: int
    ledger: Ledger
    progress: Progress
    blocks: tuple[int, int] | None = None

    @property
    def model(self) -> Model:
        """The model."""
        return self.instrument.model

    @property
    def behavior(self) -> Behavior:
        """The behavior."""
        return self.instrument.behavior

    @property
    def measured_types(self) -> tuple[PromptType, ...]:
        """The types asked for that have a meaning for this behavior."""
        return tuple(t for t in self.prompt_types if not_measured(self.behavior, t) is None)

    @property
    def map_blocks(self) -> list[int]:
        """Blocks on the map, evenly spread over those that may be chosen."""
        first, last = self.blocks or (0, self.model.n_blocks - 1)
        return sorted({round(k) for k in np.linspace(first, last, min(last - first + 1, MAP_BLOCKS))})

    def contrast_of(self, part: Part) -> ContrastMaker:
        """Contrasts over the examples of a part."""
        return ContrastMaker(part.units, self.behavior.pairing == "random", self.seed)

    def training(self, prompt_type: PromptType, sites: Sequence[Site]) -> Mapping[Site, Geometry]:
        """Activations of the training examples at the sites, under a prompt type."""
        part, shots = self.splits.train, self.splits.shots.examples

        def compute() -> Arrays:
            captured = self.instrument.activations(part.examples, shots, prompt_type, sites)
            out: dict[str, NDArray[np.generic]] = {}
            for site in sites:
                out[f"{site}+"], out[f"{site}-"] = np.split(captured.activations[site].cpu().numpy(), 2)
                in_means = captured.n_massive[site]
                if in_means is not None:
                    out[f"{site}massive"] = np.array(in_means)
                else:  # one token a text was read, and its norm stands against the median of its text
                    large = captured.activations[site].norm(dim=1) > MASSIVE * captured.norms[site]
                    out[f"{site}large"] = large.cpu().numpy().reshape(2, -1).any(axis=0)
            return out

        kept = self.step(
            f"vector, {prompt_type}",
            f"train {prompt_type} {[str(s) for s in sites]}",
            compute,
            self.capture_cost(prompt_type, sites),
        )
        arbitrary = self.behavior.pairing == "random" and prompt_type.prefilled
        return {
            site: Geometry(
                kept[f"{site}+"].astype(np.float64),
                kept[f"{site}-"].astype(np.float64),
                part.units,
                arbitrary,
                int(kept.get(f"{site}massive", 0)),
            ).without_massive(kept.get(f"{site}large"))
            for site in sites
        }

    def sweep(
        self,
        part: Split,
        variants: Mapping[str, Variation],
        rows: int | None = None,
        context: str = "",
    ) -> Mapping[str, Propensity]:
        """Propensities of a part's examples under every variant, in chunks that are kept one by one.

        Args:
            part: whose examples; replication is for studies of the verdict, no check looks at it.
            variants: by a name that tells them from all others of the check.
            rows: only the first so many examples; None for all.
            context: what stands in front of every example, such as an instruction.
        """
        examples = getattr(self.splits, part).examples[:rows]
        treatments = [self.treatment(v) for v in variants.values()]
        chunks: list[Arrays] = []
        for start in range(0, len(examples), CHUNK):
            some = examples[start : start + CHUNK]

            def compute(some: Sequence[Example] = some) -> Arrays:
                found = self.instrument.propensities(some, treatments, context)
                return {k: np.stack([getattr(p, k) for p in found]) for k in _SCORES}

            name = f"{part} {start} of {len(examples)}: {context}{' | '.join(variants)}"
            cost = self.score_cost(some) * self._depth(variants.values())
            chunks.append(self.step(f"{'evaluation' if part == 'eval' else part} examples", name, compute, cost))
        whole = {k: np.concatenate([c[k] for c in chunks], axis=1).astype(np.float64) for k in _SCORES}
        return {name: Propensity(**{k: whole[k][i] for k in _SCORES}) for i, name in enumerate(variants)}

    def effects_on_dev(self, variations: Mapping[str, Variation], rows: int | None = None) -> Mapping[str, Contrast]:
        """Δ of the dev examples under each variation; for choices only, never for the verdict."""
        found = self.sweep("dev", {"base": (None, 0.0), **variations}, rows)
        base = found["base"]
        contrast_of = self.contrast_of(self.splits.dev).first(len(base.m))
        return {
            k: contrast_of(found[k].positive - base.positive, found[k].negative - base.negative) for k in variations
        }

    def steered(
        self, steerings: Mapping[str, Steering], part: Split = "eval", rows: int | None = None
    ) -> Mapping[str, Steered]:
        """Propensities of a part's examples (of the first so many) at strength 0, +λ and -λ of each steering."""
        if not steerings:
            return {}
        signs = {f"{k} {sign}": (s, float(f"{sign}1")) for k, s in steerings.items() for sign in "+-"}
        found = self.sweep(part, {"base": (None, 0.0), **signs}, rows)
        contrast_of = self.contrast_of(getattr(self.splits, part)).first(len(found["base"].m))
        return {k: Steered(found["base"], found[f"{k} +"], found[f"{k} -"], contrast_of) for k in steerings}

    def steering(self, geometry: Geometry, site: Site) -> Steering:
        """The mean-difference steering of training activations."""
        return mean_difference(
            torch.from_numpy(geometry.positive).float(),
            torch.from_numpy(geometry.negative).float(),
            site,
            self.behavior.name,
        )

    def curve(
        self, steering: Steering, known: Steered, label: str, factors: Sequence[float] | None = None
    ) -> Mapping[float, Propensity]:
        """Propensities of the first evaluation examples over strengths; what is known is not measured again.

        Args:
            steering: what steers.
            known: what it does at strength 0, λ and −λ.
            label: its name in the ledger.
            factors: on λ; all of the curve by default.
        """
        n, factors = min(CURVE_ROWS, len(self.splits.eval)), curve_factors(steering) if factors is None else factors
        found = {-1.0: known.minus, 0.0: known.base, 1.0: known.plus}
        at = {factor: p[slice(n)] for factor, p in found.items() if factor in factors}
        missing = {f"{label} at {f}": (steering, f) for f in factors if f not in at}
        swept = self.sweep("eval", missing, n).values() if missing else ()
        for (_, factor), p in zip(missing.values(), swept, strict=True):
            at[factor] = p
        return {f * self.strength: at[f] for f in sorted(at)}

    def projected(self, prompt_type: PromptType, site: Site) -> tuple[Floats, Floats]:
        """Activations of the evaluation examples' two contexts at the site."""
        examples, shots = self.splits.eval.examples, self.splits.shots.examples

        def compute() -> Arrays:
            captured = self.instrument.activations(examples, shots, prompt_type, [site])
            plus, minus = np.split(captured.activations[site].cpu().numpy(), 2)
            return {"+": plus, "-": minus}

        kept = self.step("projections", f"projections {prompt_type} {site}", compute, 0)
        return kept["+"].astype(np.float64), kept["-"].astype(np.float64)

    def median_norm(self, site: Site) -> float:
        """Median norm of a token's activation at the site, over the dev examples' bare texts."""

        def compute() -> Arrays:
            rows = [row for side in self.instrument.bare(self.splits.dev.examples) for row in side]
            return {"norm": capture(self.model, rows, [site], "last").norms[site].quantile(0.5).cpu().numpy()}

        return float(self.step("dose", f"median norm {site}", compute, 0)["norm"])

    def noise(self, steering: Steering, label: str) -> Noise:
        """Numerical noise of Δ: how much it moves when the same rows come in another batch shape."""
        examples = self.splits.eval.examples[:NOISE_ROWS]
        treatment = self.treatment((steering, 1.0))

        def change(some: Sequence[Example]) -> Floats:
            base, steered = self.instrument.propensities(some, [Treatment(), treatment])
            return steered.m - base.m

        def compute() -> Arrays:
            few = [examples[i : i + NOISE_FEW] for i in range(0, len(examples), NOISE_FEW)]
            together, apart = change(examples), np.concatenate([change(some) for some in few])
            return {"change": np.abs(together - apart)}

        cost = 2 * self._depth([(None, 0.0), (steering, 1.0)]) * self.score_cost(examples)
        moved = self.step("numerical noise", f"noise {label}", compute, cost)["change"]
        return Noise(value=float(np.quantile(moved, 0.95)), maximum=float(moved.max()), n=len(moved))

    def treatment(self, variation: Variation) -> Treatment:
        """A variation at the checked strength and scope."""
        steering, factor = variation
        if steering is None:
            return Treatment()
        strengths = steering.scaled(factor * self.strength)
        (front,) = fronts(steering, strengths)
        return Treatment((steer(steering, strengths, self.scope),), front)

    def _depth(self, variations: Iterable[Variation]) -> float:
        """Passes through all blocks that a sweep amounts to: what lies below an edit runs once."""
        n = self.model.n_blocks
        lowest = [min((site.block for site in s.edits), default=n - 1) for s, _ in variations if s is not None]
        shares = [(block + 1) / n for block in lowest]
        return max(shares, default=1.0) + sum(1 - share for share in shares) + HEAD_SHARE * (len(shares) + 1)

    def step(self, title: str, name: str, compute: Callable[[], Arrays], tokens: float) -> Arrays:
        """Compute something unless it is in the ledger; `tokens` of progress are told under the title."""
        kept = self.ledger.step(name, compute)
        self.progress.advance(title, round(tokens))
        return kept

    def score_cost(self, examples: Sequence[Example]) -> float:
        """Tokens that one pass over the examples' evaluation texts runs."""
        plus, minus = self.instrument.bare(examples)
        return tokens_to_run(plus if self.behavior.answer_kind == "choice" else plus + minus)

    def capture_cost(
        self, prompt_type: PromptType, sites: Sequence[Site], part: Literal["train", "dev"] = "train"
    ) -> float:
        """Tokens that a part's activations under a prompt type run, as if all blocks ran for each."""
        examples = getattr(self.splits, part).examples
        plus, minus = self.instrument.contexts(examples, self.splits.shots.examples, prompt_type)
        return self.reading_cost(plus + minus, sites)

    def reading_cost(self, rows: Sequence[Encoded], sites: Sequence[Site]) -> float:
        """Tokens that activations of rows run, as if all blocks ran for each."""
        return tokens_to_run(rows) * (max(s.block for s in sites) + 1) / self.model.n_blocks
