"""Records of what a check measures beside the effect: damage, side effects and baselines.

An unmeasured value is null, with the reason beside it.
"""

from typing import Final, Literal

from trimtab.phrases import Phrase
from trimtab.results.figures import EARLIER, Estimate, Record

NO_JUDGE: Final = Phrase("no judge was asked")


class Divergence(Record):
    """Kullback–Leibler divergence of the steered from the unsteered model's next-token distributions.

    Mean over documents of the mean over a document's tokens of KL(unsteered ‖ steered); `level` is its interval's.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n_documents: int = 0
    level: float = 0.95
    unit: Literal["nats/token"] = "nats/token"
    reason: Phrase | None = None

    @property
    def estimate(self) -> Estimate:
        """The same over documents as clusters."""
        return Estimate(value=self.value, low=self.low, high=self.high, n=self.n_documents, reason=self.reason)


class CurvePoint(Record):
    """Gain and damage at one strength of the chosen prompt type's vector.

    Args:
        strength: λ.
        edit_size_ratio: median norm of what the edit changes over the median norm of an activation.
        sigmas: norm of the edit in standard deviations of the activations' projection on the vector; None for a
            finished steering.
        effect: mean change of propensity on evaluation examples, in the report's unit.
        positive: mean change of the desired answers (Δ+).
        negative: mean change of the undesired ones (Δ−).
        kl: divergence on neutral text.
        perplexity_ratio: perplexity of neutral text, steered over unsteered.
        overdosed: whether the whole interval of the divergence lies above the bound.
    """

    strength: float
    edit_size_ratio: float
    sigmas: float | None
    effect: Estimate
    kl: Divergence = Divergence()
    perplexity_ratio: Estimate = Estimate()
    overdosed: bool = False
    positive: Estimate = Estimate()
    negative: Estimate = Estimate()


class Curve(Record):
    """The strength curve of the chosen prompt type; intervals hold for each point by itself.

    Spearman's ρ and R² are means over examples (for unpaired data over texts); None where nothing moved.
    """

    points: tuple[CurvePoint, ...]
    spearman: float | None
    r_squared: float | None
    n: int


class Capability(Record):
    """Right answers on one kind of minimal pairs, before and under steering.

    Args:
        kind: of the pairs, or `all`.
        n: pairs.
        base, base_low, base_high: share that the unsteered model has right.
        steered: share under steering.
        change: steered minus unsteered, paired (Newcombe 1998); its reason says where there is no headroom.
        gained, lost: pairs that turned right, and wrong.
        p_value: McNemar's exact test, two-sided.
    """

    kind: Phrase
    n: int
    base: float
    base_low: float
    base_high: float
    steered: float
    change: Estimate
    gained: int
    lost: int
    p_value: float


class OtherEffect(Record):
    """What the vector does to another behavior's propensity, in that one's unit."""

    behavior: str
    unit: Phrase
    effect: Estimate


class SideEffects(Record):
    """What steering at the checked strength does besides.

    Args:
        kl: divergence on neutral text.
        perplexity_ratio: perplexity of neutral text, steered over unsteered: the geometric mean over documents.
        kl_prompts: divergence on the prompts of other behaviors.
        kl_own: divergence on the behavior's own evaluation prompts, which it may well change.
        capability: minimal pairs by kind, and all together.
        over_refusal: change of log P(answer) − log P(refusal) on harmless requests, nats per token; below 0 the
            steered model refuses more.
        others: effect on the other behaviors that were given.
    """

    kl: Divergence = Divergence()
    perplexity_ratio: Estimate = Estimate()
    kl_prompts: Divergence = Divergence()
    kl_own: Divergence = Divergence(reason=EARLIER)
    capability: tuple[Capability, ...] = ()
    over_refusal: Estimate = Estimate()
    others: tuple[OtherEffect, ...] = ()


class PromptingBaseline(Record):
    """The positive instruction in front of the same evaluation examples, instead of steering and together with it.

    Args:
        instruction: the text.
        effect: change of propensity by the instruction alone.
        beats: steering's effect minus the instruction's, paired.
        adds: effect of steering where the instruction stands already.
    """

    instruction: str = ""
    effect: Estimate = Estimate()
    beats: Estimate = Estimate()
    adds: Estimate = Estimate()


class AnswerBias(Record):
    """How much of the effect is a shift toward one label, whichever is the matching one.

    Args:
        label: the label, such as `Yes`.
        shift: mean change of logit(label) − logit(the other).
        adjusted: the effect with equally many examples of either matching label.
    """

    label: str = ""
    shift: Estimate = Estimate()
    adjusted: Estimate = Estimate()


class RandomDirectionBaseline(Record):
    """What random directions of the vector's norm do.

    Args:
        figure: the odd part of the effect, or for steerings that do not do the opposite below 0 the effect itself.
        odd: its mean under each direction.
        percentile_95: of their absolute values; the steering's own must lie above.
        n: examples.
        reason: why there are none.
    """

    figure: Literal["odd part", "effect"] = "odd part"
    odd: tuple[float, ...] = ()
    percentile_95: float | None = None
    n: int | None = None
    reason: Phrase | None = None


class ExampleGroup(Record):
    """Training examples whose prompts are alike, and what the one vector does to evaluation examples like them.

    Args:
        share: of the training examples.
        n_train: of them.
        cosine: between the vector of this group alone and the one of all.
        effect: mean effect of the one vector on evaluation examples whose prompts lie nearest to this group's centre.
        anti_steerable: share of these that it pushes the wrong way.
        prompts: of training examples nearest to the centre, the nearest first.
    """

    share: float
    n_train: int
    cosine: float
    effect: Estimate
    anti_steerable: Estimate
    prompts: tuple[str, ...]


class Grouping(Record):
    """The examples in groups by what their prompts are about: does one vector serve all of them?

    Groups are found on training examples; evaluation examples belong to the nearest centre.

    Args:
        groups: the largest first; empty where there are none.
        p_value: of "the groups' directions are one", corrected for the numbers of groups tried.
        reason: why there are none.
    """

    groups: tuple[ExampleGroup, ...] = ()
    p_value: float | None = None
    reason: Phrase | None = None


class Direction(Record):
    """Is there a direction at all, and is it one?

    Args:
        p_value: permutation test of "the two sides do not differ in any direction".
        halves_cosine: cosine between the directions of two halves of the examples, parted by what they are about.
        halves_expected: the same for random halves.
        halves_p_value: of "one direction serves both halves".
        halves: examples from the far ends of the two halves.
        grouping: the examples in groups by what their prompts are about.
        reason: why there is no figure.
    """

    p_value: float | None = None
    halves_cosine: float | None = None
    halves_expected: float | None = None
    halves_p_value: float | None = None
    halves: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    grouping: Grouping = Grouping(reason=EARLIER)
    reason: Phrase | None = None


class TrainingVariability(Record):
    """The interval for a vector trained anew on other examples (`this-behavior`), beside that for this vector.

    Args:
        effect: mean effect, with the spread over evaluation and over training examples.
        n_refits: vectors trained with a part of the training clusters left out.
    """

    effect: Estimate = Estimate()
    n_refits: int = 0


class Generated(Record):
    """What steering does to the text that the model writes, on continuations of evaluation prompts.

    Args:
        n: prompts continued by the unsteered and by the steered model.
        level: of the intervals of `shift` and `fell`; higher where an early look could have ended it.
        auroc: how well the classifier, trained on training answers, tells evaluation answers apart.
        shift: change of its log-odds of the positive side, steered minus unsteered.
        fell: share of prompts whose log-odds fell.
        repeated: change of the share of repeated 3-grams.
        perplexity_ratio: of the continuations under the unsteered model, steered over unsteered.
        judge: chat model that compared the two continuations; empty for none.
        win_rate: share of comparisons that the steered one won, ties half.
        inconsistent: share of pairs that it decided otherwise when shown in the other order.
        reason: why nothing was measured.
    """

    n: int = 0
    level: float = 0.95
    auroc: Estimate = Estimate()
    shift: Estimate = Estimate()
    fell: Estimate = Estimate()
    repeated: Estimate = Estimate()
    perplexity_ratio: Estimate = Estimate()
    judge: str = ""
    win_rate: Estimate = Estimate(reason=NO_JUDGE)
    inconsistent: Estimate = Estimate(reason=NO_JUDGE)
    reason: Phrase | None = None

    @staticmethod
    def without(reason: Phrase) -> "Generated":
        """Nothing was measured."""
        none = Estimate(reason=reason)
        return Generated(
            auroc=none, shift=none, fell=none, repeated=none, perplexity_ratio=none, win_rate=none, inconsistent=none,
            reason=reason,
        )  # fmt: skip
