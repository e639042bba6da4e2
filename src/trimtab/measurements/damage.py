"""What a steering costs: the worst of what it does to neutral text, to prompts, and to desired answers.

All three are nats per token, so that the worst can be taken: the divergence KL(unsteered ‖ steered) on neutral text and
on prompts of every attribute, and the logarithm of the perplexity ratio of desired answers. Neutral text alone would
favour gates that stay shut there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from trimtab.behaviors import Example, Probe, render_bare
from trimtab.errors import InputError
from trimtab.evaluation.tasks import Treatment
from trimtab.interventions import prompt_prefixes
from trimtab.measurements.divergence import cut_to, whole_texts
from trimtab.models import Encoded, Model, Unsteered, steer
from trimtab.models.divergence import AnswerDivergence, divergence_behind, divergences
from trimtab.models.scoring import Variant
from trimtab.models.text import with_prefixes
from trimtab.texts import Rendered

NEUTRAL = "neutral text"


@dataclass(frozen=True)
class DamageTexts:
    """What damage is measured on.

    Args:
        whole: texts by group, whose every token but the first is compared.
        desired: by attribute, prompts with desired answers.
    """

    whole: Mapping[str, Sequence[Rendered]]
    desired: Mapping[str, Sequence[Rendered]]

    @classmethod
    def of(cls, examples: Mapping[str, Sequence[Example]], n: int, *, dev: bool) -> "DamageTexts":
        """Neutral texts that come with trimtab, and n prompts and answers of each attribute.

        Args:
            examples: by attribute.
            n: texts of each group at most.
            dev: whether choices are made by it: the neutral texts are others then.
        """
        neutral = Probe.builtin("neutral").texts[1 if dev else 0 :: 2][:n]
        whole = {NEUTRAL: [Rendered("", "", text) for text in neutral]}
        for name, some in examples.items():
            prompts = [Rendered("", e.prompt or e.positive, "", e.messages) for e in some]
            whole[f"prompts of {name}"] = list(dict.fromkeys(prompts))[:n]
        return cls(whole, {name: [render_bare(e, "positive") for e in some[:n]] for name, some in examples.items()})

    @property
    def groups(self) -> dict[str, Sequence[Rendered]]:
        """All of them by name."""
        return {**self.whole, **{f"desired answers of {name}": texts for name, texts in self.desired.items()}}


@dataclass(frozen=True)
class Damage:
    """Nats per token by group of texts.

    Args:
        by_group: divergence of texts, and rise of the negative log-probability of desired answers, which may be
            negative: they became likelier.
    """

    by_group: Mapping[str, float]

    @property
    def worst(self) -> float:
        """The largest; 0 at least."""
        return max(0.0, *self.by_group.values())

    @property
    def where(self) -> str:
        """The group that has it."""
        return max(self.by_group, key=lambda name: self.by_group[name])


def damages(
    model: Model, texts: DamageTexts, treatments: Sequence[Treatment], unsteered: Unsteered | None = None
) -> list[Damage]:
    """Damage of several treatments; what lies below their edits runs once.

    Args:
        model: unsteered and steered.
        texts: what it is measured on.
        treatments: steerings at strengths, temperatures, or text in front of prompts; one chat template for all.
        unsteered: what earlier calls with these texts and this chat template left behind; this one adds to it.

    Raises:
        InputError: no treatments, treatments of which some use the chat template, or a text that cannot be put to the
            model.
    """
    chat = {t.chat_template for t in treatments}
    if len(chat) != 1:
        raise InputError("give at least one treatment; all with the chat template, or all without it")
    every = _rows(model, texts, "", next(iter(chat)))
    kept = {name: [len(row.ids) > row.prompt_len for row in some] for name, some in every.items()}
    rows = _joined(every, kept)
    prefixes = [_prefix(t) for t in treatments]
    plain = [i for i, prefix in enumerate(prefixes) if not prefix]
    found: dict[int, AnswerDivergence] = {}
    if plain:
        variants = [_steers(treatments[i]) for i in plain]
        heat = [treatments[i].flatten for i in plain]
        found = dict(zip(plain, divergences(model, rows, variants, heat, unsteered=unsteered), strict=True))
    for i, (treatment, prefix) in enumerate(zip(treatments, prefixes, strict=True)):
        if prefix:
            behind = _joined(_rows(model, texts, prefix, treatment.chat_template), kept)
            short, long = cut_to(model.context_length, [rows, behind], "texts")
            answers = [replace(a, prompt_len=b.prompt_len) for a, b in zip(short, rows, strict=True)]
            found[i] = divergence_behind(model, answers, long, _steers(treatment))
    sizes = {name: sum(some) for name, some in kept.items()}
    return [_damage(texts, sizes, found[i]) for i in range(len(treatments))]


def _rows(model: Model, texts: DamageTexts, prefix: str, chat_template: bool) -> dict[str, list[Encoded]]:
    rows = {}
    for name, some in texts.groups.items():
        if name in texts.whole:
            rows[name] = whole_texts(model, some, prefix, chat_template and name != NEUTRAL)
        else:
            rows[name] = model.encoder(chat_template).encode(with_prefixes(some, [prefix]))
    return rows


def _joined(rows: Mapping[str, Sequence[Encoded]], kept: Mapping[str, Sequence[bool]]) -> list[Encoded]:
    """All rows but those that leave no token to predict."""
    return [row for name, some in rows.items() for row, ok in zip(some, kept[name], strict=True) if ok]


def _prefix(treatment: Treatment) -> str:
    if treatment.steering is None:
        return ""
    (prefix,) = prompt_prefixes(treatment.steering, treatment.strength)
    return prefix


def _steers(treatment: Treatment) -> Variant:
    if treatment.steering is None:
        return ()
    return (steer(treatment.steering, treatment.strength, treatment.scope),)


def _damage(texts: DamageTexts, sizes: Mapping[str, int], found: AnswerDivergence) -> Damage:
    rise: Tensor = (found.base_log_prob - found.log_prob) / found.n_tokens
    by_group, at = {}, 0
    for name, n in sizes.items():
        values = found.kl if name in texts.whole else rise
        if n:
            by_group[name] = float(values[at : at + n].double().mean())
        at += n
    return Damage(by_group)
