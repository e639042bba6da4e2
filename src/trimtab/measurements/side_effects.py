"""What steering does besides: divergence and perplexity of other texts, capability, refusals, other behaviors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from trimtab.behaviors import Behavior, Example, Probe, Rendered, builtin, builtin_names
from trimtab.behaviors.controls import CONTROLS
from trimtab.errors import InputError
from trimtab.experiment.instrument import Floats, Instrument, Treatment
from trimtab.experiment.stages import HEAD_SHARE, Split, Stages
from trimtab.experiment.summary import ContrastMaker, estimate
from trimtab.measurements.probe_margins import margins
from trimtab.models import Encoded, Model
from trimtab.models.divergence import divergence_behind, divergences
from trimtab.results.consequences import Capability, Divergence, OtherEffect, SideEffects
from trimtab.results.figures import Estimate
from trimtab.statistics import Interval, bootstrap_mean, paired_change, wilson
from trimtab.steering import Steering
from trimtab.storage.steps import Arrays

NEUTRAL_ROWS = 60  # documents at the checked strength
FEW_ROWS = 20  # documents at each of the other strengths, and others at those that dev chooses from
PROMPTS_EACH = 12  # prompts of every other built-in behavior
OWN_PROMPTS = 40  # prompts of the behavior's own evaluation examples
OTHER_ROWS = 60  # examples of another behavior that was given
LEAST_TOKENS = 8  # of a text that was cut to the model's context


@dataclass(frozen=True, eq=False)
class Drift:
    """What edits did to documents, one figure a document.

    Args:
        kl: `[n]` nats per token.
        surprise: `[n]` rise of the negative log-likelihood, nats per token.
    """

    kl: Floats
    surprise: Floats

    def none(self) -> "Drift":
        """What no edits would have done to the same documents."""
        return Drift(np.zeros_like(self.kl), np.zeros_like(self.surprise))

    def divergence(self, seed: int) -> Divergence:
        """Mean divergence, with its interval over documents."""
        i = bootstrap_mean(self.kl, seed=seed)
        return Divergence(value=i.value, low=max(0.0, i.low), high=i.high, n_documents=len(self.kl))

    def perplexity_ratio(self, seed: int) -> Estimate:
        """Perplexity, steered over unsteered: the geometric mean over documents."""
        i = bootstrap_mean(self.surprise, seed=seed)
        return estimate(Interval(*(float(np.exp(x)) for x in (i.value, i.low, i.high))), len(self.surprise))


def neutral_drift(
    stages: Stages, steering: Steering, factors: Sequence[float], label: str, n: int, part: Split = "eval"
) -> Mapping[float, Drift]:
    """Drift of n neutral texts under strengths (in units of the checked one); every part sees others."""
    texts = _neutral_texts(n, part)
    return _drift(stages, texts, steering, factors, f"neutral {part} {len(texts)} {label}", "neutral text")


def _neutral_texts(n: int, part: Split) -> Sequence[str]:
    texts = Probe.builtin("neutral").texts
    return {"eval": texts[::2], "dev": texts[1::2], "replication": texts[1 + 2 * FEW_ROWS :: 2]}[part][:n]


def neutral_cost(stages: Stages, n_factors: int, n: int, part: Split = "eval") -> float:
    """Tokens that `neutral_drift` runs, for the forecast."""
    return drift_cost(sum(len(row.ids) for row in whole_texts(stages.model, _neutral_texts(n, part))), n_factors)


def prompts_drift(
    stages: Stages,
    steering: Steering,
    factors: Sequence[float],
    label: str,
    others: Sequence[Behavior] = (),
    part: Split = "eval",
) -> Mapping[float, Drift]:
    """The same on the prompts of the other built-in behaviors, and of those given."""
    fit, _ = _other_prompts(stages, others, part)
    name = f"prompts {part} {len(fit)} {label}"
    chat = stages.instrument.chat_template
    return _drift(stages, fit, steering, factors, name, "other prompts", chat_template=chat)


def prompts_cost(stages: Stages, n_factors: int, others: Sequence[Behavior] = (), part: Split = "eval") -> float:
    """Tokens that `prompts_drift` runs, for the forecast."""
    return drift_cost(sum(len(row.ids) for row in _other_prompts(stages, others, part)[1]), n_factors)


def _other_prompts(stages: Stages, others: Sequence[Behavior], part: Split) -> tuple[list[Rendered], list[Encoded]]:
    """Prompts that have tokens to predict, none of the behavior's own among them, and their token rows."""
    few = 2 * PROMPTS_EACH
    chosen = {"eval": slice(0, few, 2), "dev": slice(1, few, 2), "replication": slice(few, few + PROMPTS_EACH)}[part]
    known = [builtin(name) for name in builtin_names() if name not in CONTROLS]
    given = (b for b in (*known, *others) if b.name != stages.behavior.name and not b.bare)
    texts = [Rendered("", e.prompt, "", e.messages) for b in given for e in b.examples[chosen]]
    own = {e.prompt for e in stages.behavior.examples}
    unique = [text for text in dict.fromkeys(texts) if text.prompt not in own]
    rows = whole_texts(stages.model, unique, chat_template=stages.instrument.chat_template)
    fit = [(text, row) for text, row in zip(unique, rows, strict=True) if len(row.ids) > row.prompt_len]
    return [text for text, _ in fit], [row for _, row in fit]


def own_drift(stages: Stages, steering: Steering, label: str) -> Divergence:
    """Divergence on the prompts of the behavior's own evaluation examples."""
    if stages.behavior.bare:
        return Divergence(reason="bare statements have no prompts")
    chat, (fit, _) = stages.instrument.chat_template, _own_prompts(stages)
    if len(fit) < 2:
        return Divergence(reason="fewer than two of the behavior's prompts have tokens to predict")
    name = f"own prompts {len(fit)} {label}"
    return _drift(stages, fit, steering, [1.0], name, "own prompts", chat_template=chat)[1.0].divergence(stages.seed)


def own_cost(stages: Stages) -> float:
    """Tokens that `own_drift` runs, for the forecast."""
    rows = [] if stages.behavior.bare else _own_prompts(stages)[1]
    return drift_cost(sum(len(row.ids) for row in rows), 1)


def _own_prompts(stages: Stages) -> tuple[list[Rendered], list[Encoded]]:
    """The first prompts of the evaluation examples that have tokens to predict, and their token rows."""
    texts = list(dict.fromkeys(Rendered("", e.prompt, "", e.messages) for e in stages.splits.eval.examples))
    rows = whole_texts(stages.model, texts[:OWN_PROMPTS], chat_template=stages.instrument.chat_template)
    fit = [(text, row) for text, row in zip(texts, rows, strict=False) if len(row.ids) > row.prompt_len]
    return [text for text, _ in fit], [row for _, row in fit]


def _drift(
    stages: Stages,
    texts: Sequence[str] | Sequence[Rendered],
    steering: Steering,
    factors: Sequence[float],
    name: str,
    title: str,
    chat_template: bool = False,
) -> Mapping[float, Drift]:
    model = stages.model
    rows = whole_texts(model, texts, chat_template=chat_template)
    treatments = [stages.treatment((steering, f)) for f in factors]
    behind = {t.front: whole_texts(model, texts, t.front, chat_template) for t in treatments if t.front}
    rows, *cut = cut_to(model.context_length, [rows, *behind.values()], title)
    behind = dict(zip(behind, cut, strict=True))

    def compute() -> Arrays:
        if behind:
            found = [divergence_behind(model, rows, behind.get(t.front, rows), t.steers) for t in treatments]
        else:
            found = divergences(model, rows, [t.steers for t in treatments])
        kl = np.stack([d.kl.double().cpu().numpy() for d in found])
        surprise = np.stack([((d.base_log_prob - d.log_prob) / d.n_tokens).double().cpu().numpy() for d in found])
        return {"kl": kl, "surprise": surprise}

    cost = drift_cost(sum(len(row.ids) for row in rows), len(factors))
    kept = stages.step(title, f"drift {name} {list(factors)}", compute, cost)
    return {f: Drift(kept["kl"][i], kept["surprise"][i]) for i, f in enumerate(factors)}


def cut_to(length: int, versions: Sequence[Sequence[Encoded]], what: str) -> list[list[Encoded]]:
    """Versions of the same texts, behind more or not, that all end where the longest fits into the context.

    Raises:
        InputError: no more than one token of a text is left.
    """
    out: list[list[Encoded]] = [[] for _ in versions]
    for same in zip(*versions, strict=True):
        over = max(0, max(len(row.ids) for row in same) - length)
        if over and min(len(row.ids) for row in same) - over < LEAST_TOKENS:
            raise InputError(
                f"the model's context holds {length} tokens, too few for trimtab's own {what} and what a steering puts "
                "in front of it; take a model with a longer context"
            )
        for kept, row in zip(out, same, strict=True):
            kept.append(Encoded(row.ids[: len(row.ids) - over], 1))
    return out


def drift_cost(tokens: float, n_variants: int) -> float:
    """Passes through the blocks that whole distributions of so many tokens amount to, times the tokens."""
    return tokens * (0.5 + n_variants * (0.5 + 2 * HEAD_SHARE))


def whole_texts(
    model: Model, texts: Sequence[str] | Sequence[Rendered], front: str = "", chat_template: bool = False
) -> list[Encoded]:
    """Texts of any length of which all but the first token counts as answer, as token rows, behind more if given."""
    given = [t if isinstance(t, Rendered) else Rendered("", "", t) for t in texts]
    rows = model.encoder(chat_template).encode([replace(t, context=front) for t in given], any_length=True)
    return [Encoded(row.ids, 1) for row in rows]


def about_context(stages: Stages) -> list[str]:
    """What becomes of trimtab's own texts where the model's context is short.

    Raises:
        InputError: it is too short for all of them.
    """
    length, notes = stages.model.context_length, []
    texts = Probe.builtin("neutral").texts
    cut = sum(len(row.ids) > length for row in whole_texts(stages.model, texts))
    if cut:
        notes.append(f"{cut} of {len(texts)} neutral texts cut to the model's context of {length} tokens")
    for name, chat in (("capability", False), ("over-refusal", stages.instrument.chat_template)):
        probe = Probe.builtin(name)
        fits = _fitting(stages, probe.examples, chat)
        if not any(fits) and name == "capability":
            raise _too_short(length)
        if not all(fits):
            notes.append(
                f"{len(fits) - sum(fits)} of {len(fits)} pairs of the {name} probe left out: longer than the model's "
                f"context of {length} tokens"
            )
    return notes


def _too_short(length: int) -> InputError:
    return InputError(
        f"the model's context holds {length} tokens, too few for any pair of the capability probe, on which a check "
        "measures what steering costs; take a model with a longer context"
    )


def _fitting(stages: Stages, examples: Sequence[Example], chat_template: bool, front: str = "") -> list[bool]:
    behavior = Behavior("probe", list(examples))
    return Instrument(stages.model, behavior, chat_template, "mean").fitting(examples, front)


def capability(stages: Stages, steering: Steering, label: str) -> tuple[Capability, ...]:
    """Right answers on the capability probe before and under steering, by kind and altogether."""
    whole, front = Probe.builtin("capability"), stages.treatment((steering, 1.0)).front
    fits = _fitting(stages, whole.examples, False, front)
    if not any(fits):
        raise _too_short(stages.model.context_length)
    probe = whole.only(fits)

    def compute() -> Arrays:
        return {"margins": margins(stages.model, probe, [Treatment(), stages.treatment((steering, 1.0))])}

    before, after = stages.step("capability", f"capability {label}", compute, probe_cost(probe))["margins"] > 0
    kinds = np.array(probe.kinds)
    chosen = {kind: kinds == kind for kind in dict.fromkeys(probe.kinds)} | {"all": np.ones(len(kinds), dtype=bool)}
    return tuple(_capability(kind, before[rows], after[rows]) for kind, rows in chosen.items())


def probe_cost(probe: Probe) -> float:
    """About as many tokens as both answers to a probe run, without and with edits; by its words, for the forecast."""
    return sum(len(f"{e.prompt} {e.positive} {e.negative}".split()) for e in probe.examples) * 2.6


def _capability(kind: str, before: NDArray[np.bool_], after: NDArray[np.bool_]) -> Capability:
    n, gained, lost = len(before), int((~before & after).sum()), int((before & ~after).sum())
    base = wilson(float(before.sum()), n)
    change = estimate(paired_change(before, after), n)
    if base.low <= 0.5:
        change = Estimate(reason=f"no headroom: the unsteered model has {base.value:.0%} right, no more than by chance")
    return Capability(
        kind=kind, n=n, base=base.value, base_low=base.low, base_high=base.high, steered=float(after.mean()),
        change=change, gained=gained, lost=lost,
        p_value=float(binomtest(lost, gained + lost).pvalue) if gained + lost else 1.0,
    )  # fmt: skip


def over_refusal(stages: Stages, steering: Steering, label: str) -> Estimate:
    """Change of log P(answer) − log P(refusal), nats per token, on harmless requests that look sensitive."""
    probe = Probe.builtin("over-refusal")
    behavior = Behavior(probe.name, list(probe.examples))
    return _effect(stages, behavior, len(probe.examples), steering, f"over-refusal {label}", "over-refusal")


def others(stages: Stages, steering: Steering, label: str, given: Sequence[Behavior]) -> tuple[OtherEffect, ...]:
    """Effect on every other behavior's propensity."""
    out = []
    for behavior in given:
        if behavior.digest == stages.behavior.digest:
            continue
        name = f"other {behavior.digest} {label}"
        unit = Instrument(stages.model, behavior, stages.instrument.chat_template, "mean").unit
        effect = _effect(stages, behavior, OTHER_ROWS, steering, name, behavior.name)
        out.append(OtherEffect(behavior=behavior.name, unit=unit, effect=effect))
    return tuple(out)


def _effect(stages: Stages, behavior: Behavior, rows: int, steering: Steering, name: str, title: str) -> Estimate:
    instrument = Instrument(stages.model, behavior, stages.instrument.chat_template, "mean")
    front = stages.treatment((steering, 1.0)).front
    try:
        short = [e for e, ok in zip(behavior.examples, instrument.fitting(behavior.examples, front), strict=True) if ok]
        fits = instrument.scorable(short)
    except InputError as error:
        return Estimate(reason=str(error))
    step = max(1, len(behavior.examples) // rows)
    examples = [e for e, ok in zip(short, fits, strict=True) if ok][::step][:rows]
    if len(examples) < 2:
        return Estimate(reason="fewer than 2 rows can be scored")

    def compute() -> Arrays:
        base, steered = instrument.propensities(examples, [Treatment(), stages.treatment((steering, 1.0))])
        sides = ("positive", "negative")
        return {f"{side}{i}": getattr(p, side) for i, p in enumerate((base, steered)) for side in sides}

    kept = stages.step(title, name, compute, _effect_cost(instrument, examples))
    maker = ContrastMaker(tuple(map(str, range(len(examples)))), behavior.pairing == "random", stages.seed)
    change = maker(*(kept[f"{side}1"] - kept[f"{side}0"] for side in ("positive", "negative")))
    return estimate(change.mean(), change.n_units)


def over_refusal_cost(stages: Stages) -> float:
    """Tokens that `over_refusal` runs, for the forecast."""
    examples = list(Probe.builtin("over-refusal").examples)
    return _effect_cost(Instrument(stages.model, Behavior("probe", examples), False, "mean"), examples)


def others_cost(stages: Stages, given: Sequence[Behavior]) -> float:
    """Tokens that `others` runs, for the forecast."""
    total = 0.0
    for behavior in given:
        examples = behavior.examples[:: max(1, len(behavior.examples) // OTHER_ROWS)][:OTHER_ROWS]
        total += _effect_cost(Instrument(stages.model, behavior, stages.instrument.chat_template, "mean"), examples)
    return total


def _effect_cost(instrument: Instrument, examples: Sequence[Example]) -> float:
    return 2.0 * sum(len(row.ids) for side in instrument.bare(examples) for row in side)


def side_effects(
    stages: Stages, steering: Steering, label: str, neutral: Drift, prompts: Drift, given: Sequence[Behavior]
) -> SideEffects:
    """All side effects at the checked strength.

    Args:
        stages: the check's.
        steering: the chosen one.
        label: its name in the ledger.
        neutral, prompts: drift of neutral text and of other prompts, measured already.
        given: other behaviors.
    """
    return SideEffects(
        kl=neutral.divergence(stages.seed),
        perplexity_ratio=neutral.perplexity_ratio(stages.seed),
        kl_prompts=prompts.divergence(stages.seed),
        kl_own=own_drift(stages, steering, label),
        capability=capability(stages, steering, label),
        over_refusal=over_refusal(stages, steering, label),
        others=others(stages, steering, label, given),
    )
