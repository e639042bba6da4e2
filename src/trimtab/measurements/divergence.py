"""How far steering moves what the model predicts next: divergence and perplexity of neutral text and of prompts."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace

import numpy as np

from trimtab.behaviors import Behavior, Probe, builtin, builtin_names
from trimtab.behaviors.controls import CONTROLS
from trimtab.errors import InputError
from trimtab.experiment.experiment import HEAD_SHARE, Experiment, Split
from trimtab.experiment.finite import those_finite
from trimtab.experiment.instrument import Floats
from trimtab.experiment.steps import Step
from trimtab.models import Encoded, Model
from trimtab.models.divergence import divergence_behind, divergences
from trimtab.phrases import Phrase
from trimtab.results.consequences import Divergence
from trimtab.results.figures import Estimate, estimate
from trimtab.statistics import Interval, bootstrap_mean
from trimtab.steering import Steering
from trimtab.storage.steps import Arrays
from trimtab.texts import Rendered

NEUTRAL_ROWS = 60  # documents at the checked strength
SCREENING_ROWS = 20  # documents at each of the other strengths, and others at those that dev chooses from
PROMPTS_EACH = 12  # prompts of every other built-in behavior
OWN_PROMPTS = 40  # prompts of the behavior's own evaluation examples
MIN_TOKENS = 8  # of a text that was cut to the model's context


@dataclass(frozen=True, eq=False)
class Drift:
    """What edits did to documents, one figure a document.

    Args:
        kl: `[n]` nats per token.
        surprise: `[n]` rise of the negative log-likelihood, nats per token.
        level: of the intervals over documents.
    """

    kl: Floats
    surprise: Floats
    level: float = 0.95

    @staticmethod
    def together(some: Sequence["Drift"]) -> "Drift":
        """Of the documents of all."""
        return Drift(np.concatenate([d.kl for d in some]), np.concatenate([d.surprise for d in some]))

    def none(self) -> "Drift":
        """What no edits would have done to the same documents."""
        return replace(self, kl=np.zeros_like(self.kl), surprise=np.zeros_like(self.surprise))

    def divergence(self, seed: int) -> Divergence:
        """Mean divergence, with its interval over documents."""
        i = bootstrap_mean(self.kl, seed=seed, level=self.level)
        return Divergence(value=i.value, low=max(0.0, i.low), high=i.high, n_documents=len(self.kl), level=self.level)

    def perplexity_ratio(self, seed: int) -> Estimate:
        """Perplexity, steered over unsteered: the geometric mean over documents."""
        i = bootstrap_mean(self.surprise, seed=seed, level=self.level)
        return estimate(Interval(*(float(np.exp(x)) for x in (i.value, i.low, i.high))), len(self.surprise))


@dataclass(frozen=True)
class DriftStep(Step):
    """What edits do to documents, at several strengths.

    Args:
        steering: the edits.
        strengths: of it.
        share: of each document's tokens that are compared (`trimtab.models.divergence`): fewer are cheaper, and give
            the same figures on average.
    """

    steering: Steering
    strengths: tuple[float, ...]
    _: KW_ONLY
    share: float = 1.0

    @abstractmethod
    def texts(self, on: Experiment) -> Sequence[Rendered]:
        """The documents."""

    def chat_template(self, on: Experiment) -> bool:
        """Whether they go through the chat template."""
        return on.instrument.chat_template

    def rows(self, on: Experiment) -> list[Encoded]:
        """Their tokens."""
        return whole_texts(on.model, self.texts(on), chat_template=self.chat_template(on))

    def cost(self, on: Experiment) -> float:
        return drift_cost(sum(len(row.ids) for row in self.rows(on)), len(self.strengths), self.share)

    def compute(self, on: Experiment) -> Arrays:
        model, texts, chat = on.model, self.texts(on), self.chat_template(on)
        rows = self.rows(on)
        treatments = [on.treatment((self.steering, s)) for s in self.strengths]
        prefixed = {
            t.prompt_prefix: whole_texts(model, texts, t.prompt_prefix, chat) for t in treatments if t.prompt_prefix
        }
        rows, *cut = cut_to(model.context_length, [rows, *prefixed.values()], self.title)
        prefixed = dict(zip(prefixed, cut, strict=True))
        if prefixed:
            behind = [(prefixed.get(t.prompt_prefix, rows), t.steers) for t in treatments]
            measured = [divergence_behind(model, rows, *b, share=self.share, seed=on.seed) for b in behind]
        else:
            measured = divergences(model, rows, [t.steers for t in treatments], share=self.share, seed=on.seed)
        kl = np.stack([d.kl.double().cpu().numpy() for d in measured])
        surprise = np.stack([((d.base_log_prob - d.log_prob) / d.n_tokens).double().cpu().numpy() for d in measured])
        return {"kl": kl, "surprise": surprise}

    def drifts(self, on: Experiment) -> list[Drift]:
        """One for each strength."""
        kept = on.run(self)
        return [Drift(kept["kl"][i], kept["surprise"][i]) for i in range(len(self.strengths))]


@dataclass(frozen=True)
class NeutralDrift(DriftStep):
    """Of n neutral texts; every part has texts of its own.

    Args:
        n: texts.
        part: whose.
        every: `(k, m)`: of these the k-th, and every m-th after it.
    """

    n: int
    part: Split = "eval"
    every: tuple[int, int] = (0, 1)
    title = "neutral text"

    def texts(self, on: Experiment) -> Sequence[Rendered]:
        every = Probe.builtin("neutral").texts
        of_part = {"eval": every[::2], "dev": every[1::2], "replication": every[1 + 2 * SCREENING_ROWS :: 2]}
        first, stride = self.every
        return [Rendered("", "", text) for text in of_part[self.part][: self.n][first::stride]]

    def chat_template(self, on: Experiment) -> bool:
        return False


def neutral_drifts(
    on: Experiment, steering: Steering, strengths: Sequence[float], n: int, part: Split = "eval"
) -> tuple[dict[float, Drift], dict[float, Phrase]]:
    """Drift of n neutral texts by strength, and the reason for strengths whose figures are not finite.

    Raises:
        NotFiniteError: none of the strengths gives finite figures.
    """

    def drifts(some: Sequence[float]) -> Mapping[float, Drift]:
        return dict(zip(some, NeutralDrift(steering, tuple(some), n, part).drifts(on), strict=True))

    return those_finite(strengths, drifts)


def within(drifts: Mapping[float, Drift], max_kl: float, seed: int) -> list[float]:
    """The strengths whose divergence stays below a bound with its whole interval."""
    return [s for s, drift in drifts.items() if (drift.divergence(seed).high or 0.0) < max_kl]


@dataclass(frozen=True)
class PromptsDrift(DriftStep):
    """Of the prompts of the other built-in behaviors, and of those given; every part has prompts of its own.

    Args:
        others: behaviors that were given.
        part: whose prompts.
        every: as `NeutralDrift` takes it.
    """

    others: tuple[Behavior, ...] = ()
    part: Split = "eval"
    every: tuple[int, int] = (0, 1)
    title = "other prompts"

    def texts(self, on: Experiment) -> Sequence[Rendered]:
        chosen = 2 * PROMPTS_EACH
        parts = {
            "eval": slice(0, chosen, 2),
            "dev": slice(1, chosen, 2),
            "replication": slice(chosen, chosen + PROMPTS_EACH),
        }
        known = [builtin(name) for name in builtin_names() if name not in CONTROLS]
        others = (b for b in (*known, *self.others) if b.name != on.behavior.name and not b.bare)
        texts = [Rendered("", e.prompt, "", e.messages) for b in others for e in b.examples[parts[self.part]]]
        own = {e.prompt for e in on.behavior.examples}
        first, stride = self.every
        return _with_tokens(on, [text for text in dict.fromkeys(texts) if text.prompt not in own])[first::stride]


@dataclass(frozen=True)
class OwnDrift(DriftStep):
    """Of the prompts of the behavior's own evaluation examples."""

    title = "own prompts"

    def texts(self, on: Experiment) -> Sequence[Rendered]:
        texts = list(dict.fromkeys(Rendered("", e.prompt, "", e.messages) for e in on.splits.eval.examples))
        return _with_tokens(on, texts[:OWN_PROMPTS])


def _with_tokens(on: Experiment, texts: Sequence[Rendered]) -> list[Rendered]:
    """Those that leave tokens to predict."""
    rows = whole_texts(on.model, texts, chat_template=on.instrument.chat_template)
    return [text for text, row in zip(texts, rows, strict=True) if len(row.ids) > row.prompt_len]


def own_divergence(on: Experiment, steering: Steering) -> Divergence:
    """Divergence on the behavior's own prompts at the experiment's strength."""
    if on.behavior.bare:
        return Divergence(reason=Phrase("bare statements have no prompts"))
    step = OwnDrift(steering, (on.strength,))
    if len(step.texts(on)) < 2:
        return Divergence(reason=Phrase("fewer than two of the behavior's prompts have tokens to predict"))
    (drift,) = step.drifts(on)
    return drift.divergence(on.seed)


def cut_to(length: int, versions: Sequence[Sequence[Encoded]], what: str) -> list[list[Encoded]]:
    """Versions of the same texts, with and without a prefix, all cut to end where the longest fits into the context.

    Raises:
        InputError: fewer than 8 tokens of a text are left.
    """
    out: list[list[Encoded]] = [[] for _ in versions]
    for same in zip(*versions, strict=True):
        over = max(0, max(len(row.ids) for row in same) - length)
        if over and min(len(row.ids) for row in same) - over < MIN_TOKENS:
            raise InputError(
                f"the model's context holds {length} tokens, too few for trimtab's own {what} and what a steering puts "
                "in front of it; take a model with a longer context"
            )
        for kept, row in zip(out, same, strict=True):
            kept.append(Encoded(row.ids[: len(row.ids) - over], 1))
    return out


def drift_cost(tokens: float, n_variants: int, share: float = 1.0) -> float:
    """Passes through the blocks that whole distributions of a share of so many tokens amount to, times the tokens."""
    return tokens * (0.5 + n_variants * 0.5 + (n_variants + 1) * HEAD_SHARE * share)


def whole_texts(
    model: Model, texts: Sequence[str] | Sequence[Rendered], prompt_prefix: str = "", chat_template: bool = False
) -> list[Encoded]:
    """Token rows of texts of any length, behind a prefix; all but their first token counts as answer."""
    rendered = [t if isinstance(t, Rendered) else Rendered("", "", t) for t in texts]
    rows = model.encoder(chat_template).encode([replace(t, context=prompt_prefix) for t in rendered], any_length=True)
    return [Encoded(row.ids, 1) for row in rows]
