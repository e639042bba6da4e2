"""The record of a check: all that its report says. `report.json` is this record as JSON.

Schema: docs/report.md. An unmeasured value is null, with the reason beside it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from trimtab.languages import Code, spoken
from trimtab.phrases import Phrase
from trimtab.results.consequences import (
    AnswerBias,
    Curve,
    CurvePoint,
    Direction,
    Generated,
    PromptingBaseline,
    RandomDirectionBaseline,
    SideEffects,
    TrainingVariability,
)
from trimtab.results.figures import EARLIER, Document, Estimate, Record

Decision = Literal["go", "caution", "no-go", "inconclusive"]
# From worst to best, for `--require`.
DECISIONS: tuple[Decision, ...] = ("no-go", "inconclusive", "caution", "go")
IN_WORDS: Mapping[Decision, Phrase] = {
    "no-go": Phrase("no-go"),
    "inconclusive": Phrase("inconclusive"),
    "caution": Phrase("caution"),
    "go": Phrase("go"),
}


class Slope(Record):
    """Steerability: mean slope of propensity over strength, in the report's unit per unit of strength."""

    mean: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    reason: Phrase | None = None

    @property
    def value(self) -> float | None:
        """The mean, as other figures call it."""
        return self.mean


class Noise(Record):
    """How much an effect moves when the same rows are computed in another batch shape, in the report's unit.

    Args:
        value: 95th percentile of the absolute change over n examples; effects within it are undecided.
        maximum: the largest change.
        n: examples.
    """

    value: float
    maximum: float
    n: int


class Lint(Record):
    """Something that `trimtab lint` says of the examples."""

    severity: Literal["error", "warning", "info"]
    code: str
    message: Phrase


class Effect(Record):
    """Steering effect Δ(x) over the evaluation examples, in the report's unit.

    Args:
        mean, low, high, sd, n: of Δ = Δ+ − Δ−.
        positive: Δ+, the change of the desired answers' log-probability; nats per token, or nats for choices.
        negative: Δ−, that of the undesired ones.
        positive_fell: share of the desired answers that become less likely.
        odd, even: parts of the effect, with their intervals.
    """

    mean: float
    low: float
    high: float
    sd: float
    odd: float
    even: float
    odd_low: float
    odd_high: float
    even_low: float
    even_high: float
    n: int
    positive: Estimate = Estimate(reason=EARLIER)
    negative: Estimate = Estimate(reason=EARLIER)
    positive_fell: Estimate = Estimate(reason=EARLIER)


class AntiSteerable(Record):
    """Share of examples pushed the wrong way (Δ < 0); `undecided` are those within the numerical noise.

    Of a steering that leaves some prompts alone, among the examples that it acts on.
    """

    share: float
    low: float
    high: float
    undecided: float
    n: int


class Acting(Record):
    """Of a steering that leaves some prompts alone: the share of examples that it acts on, and the effect on these.

    Args:
        share: of the evaluation examples (of their texts, where pairs are random).
        effect: mean over those that it acts on.
        rows: how many it acts on; None in reports of earlier versions.
        wrong_of_all: share of all examples that is pushed the wrong way; none of those that it leaves alone is.
    """

    share: Estimate
    effect: Estimate
    rows: int | None = None
    wrong_of_all: Estimate = Estimate(reason=EARLIER)


class PromptTypeResult(Record):
    """One prompt type's vector at the site, at the checked strength.

    Args:
        not_measured: the reason, where the type has no meaning; then everything else is None.
        level: confidence level of the intervals; higher for the types that were not chosen, so that each
            figure holds for all of them together.
        exploratory: True for every type but the chosen one.
        n_massive: massive activations left out of training: tokens of means, or examples of which one token was read.
        effects: Δ(x) of each evaluation example, in the order of the examples.
        untried: why the vector was not tried on evaluation examples, though its geometry was measured.
        acting: where a condition leaves some prompts alone; None where it acts on all.
    """

    not_measured: Phrase | None = None
    untried: Phrase | None = None
    n: int | None = None
    level: float | None = None
    exploratory: bool = True
    directional_agreement: float | None = None
    directional_agreement_loo: Estimate = Estimate()
    separability: float | None = None
    separability_held_out: Estimate = Estimate()
    auroc_held_out: Estimate = Estimate()
    effect: Effect | None = None
    edit_size_ratio: float | None = None
    anti_steerable: AntiSteerable | None = None
    acting: Acting | None = None
    steerability: Slope = Slope()
    n_massive: int | None = None
    effects: tuple[float, ...] = ()

    @staticmethod
    def without(reason: Phrase) -> "PromptTypeResult":
        """A type that has no meaning for the behavior."""
        missing = Estimate(reason=reason)
        return PromptTypeResult(
            not_measured=reason,
            directional_agreement_loo=missing,
            separability_held_out=missing,
            auroc_held_out=missing,
            steerability=Slope(reason=reason),
        )


class Bound(Record):
    """One requirement of the verdict and how it came out.

    Args:
        name: what is required, for people.
        value, low, high: the estimate and its interval.
        threshold: what it is held against.
        holds: True if the whole interval lies on the right side, False if on the wrong one, None if across.
        n: clusters behind the estimate.
        unit: such as `nats/token`; `share` is shown in per cent.
    """

    name: Phrase
    value: float
    low: float
    high: float
    threshold: float
    direction: Literal["above", "below"]
    holds: bool | None
    n: int
    unit: Phrase


class ErrorRate(Record):
    """How often verdicts like this one turned out wrong, where half of the examples were kept back for a second look.

    Args:
        value: share of wrong ones.
        low, high: its interval.
        n: verdicts of this kind.
        kind: which those are.
        data: the behaviors they were about.
        model: the model they were about.
        wrong: what was wrong with them.
        reservations: what is different here.
    """

    value: float
    low: float
    high: float
    n: int
    kind: Phrase
    data: Phrase
    model: Phrase
    wrong: Phrase
    reservations: tuple[Phrase, ...] = ()


class Outlook(Record):
    """What further examples would likely settle, if they are like those seen; by simulated futures.

    Args:
        open: names of the requirements that are open.
        n: independent evaluation examples that were seen.
        rows: rows of all parts together.
        fewest, half, most: further independent evaluation examples with which it is settled in 10, 50 and 90 % of the
            futures; None where even `horizon` are not enough.
        horizon: the most that were looked ahead.
        rows_fewest, rows_half, rows_most, rows_horizon: the same in rows of the file, since rows go to all parts.
        passes: chance that it is then (with `most`, or with `horizon`) a go or a caution.
        fails: chance that it is a no-go; with neither it stays open.
    """

    open: tuple[Phrase, ...]
    n: int
    rows: int
    fewest: int | None
    half: int | None
    most: int | None
    horizon: int
    rows_fewest: int | None
    rows_half: int | None
    rows_most: int | None
    rows_horizon: int
    passes: float
    fails: float


class Verdict(Record):
    """The decision, in one word, in one sentence, and why; `outlook` where further examples would settle it."""

    decision: Decision
    sentence: Phrase
    reasons: tuple[Phrase, ...]
    prompt_type: str
    strength: float
    bounds: tuple[Bound, ...] = ()
    reservations: tuple[Phrase, ...] = ()
    basis: Literal["likelihood", "likelihood and generated text"] = "likelihood"
    error_rate: ErrorRate | None = None
    error_rate_reason: Phrase | None = None
    outlook: Outlook | None = None


class NextStep(Record):
    """What to do next.

    Args:
        code: a short name of the step, the same whatever its figures.
        what: for people.
        command: that does it; words in capitals stand for what only the reader knows. None where there is none.
        values: the figures in `what` by name, for those who say it in other words.
    """

    code: str
    what: Phrase
    command: str | None = None
    values: Mapping[str, str] = {}


class ModelRecord(Record):
    """Which model."""

    id: str
    revision: str | None
    digest: str
    architecture: str
    n_blocks: int
    d_model: int


class SiteRecord(Record):
    """Where it was steered."""

    block: int
    component: str


class SteeringRecord(Record):
    """A finished steering, as it was checked.

    Args:
        id: its identity, see docs/format.md; None where it has no stored form.
        method: how it was made.
        attributes: default strength by name.
        edits: kinds of its edits by site.
        trained_on_this: whether its training data are those of the behavior; None where it does not say.
    """

    id: str | None
    method: str
    attributes: Mapping[str, float]
    edits: Mapping[str, tuple[str, ...]]
    trained_on_this: bool | None


class Base(Record):
    """The unsteered model on the evaluation examples."""

    propensity: Mapping[Literal["mean", "sd"], float]
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    n: int


class BlockRow(Record):
    """Agreement (train) and effect (dev) of one block's prefilled vector; intervals hold for all blocks together."""

    block: int
    agreement: Estimate
    effect: Estimate
    standardised: float | None


class Projections(Record):
    """κ of the evaluation examples on the training vector; training class means lie at ±1.

    `overlap` is the shared area of the two histograms (50 bins): 0 apart, 1 the same.
    """

    prompt_type: str
    positive: tuple[float, ...]
    negative: tuple[float, ...]
    overlap: float | None = None


class Cosines(Record):
    """Cosines among the prompt types' vectors."""

    types: tuple[str, ...]
    matrix: tuple[tuple[float, ...], ...]


class Text(Record):
    """One evaluation example as people read it, with what steering did to it."""

    prompt: str
    positive: str
    negative: str
    base: float
    steered: float
    effect: float
    source: str


class Continuation(Record):
    """A prompt continued by the plain and by the steered model."""

    prompt: str
    base: str
    steered: str


class Convergence(Record):
    """How well the training examples determine the vector; `reason` says why that was not measured."""

    expected_cosine: float | None = None
    pairs_for_95: int | None = None
    n: int = 0
    reason: Phrase | None = None


class ExampleRow(Record):
    """One row of `examples.parquet`: an evaluated example under one prompt type's vector at one strength.

    Propensities and effects are in the report's unit; `total` ones are sums over the answer in nats.
    For unpaired data `effect_positive` and `effect_negative` are the two texts' own effects, and
    `effect`, their difference, belongs to an arbitrary pair. `messages` are the turns of a prompt that is a chat, as
    JSON: a list of objects with `role` and `content`; empty for plain text. `acts_positive` and `acts_negative` are
    false where a condition leaves the prompt of that answer's text alone.
    """

    example: int
    source: str
    cluster: str
    prompt: str
    positive: str
    negative: str
    prompt_type: str
    strength: float
    base: float
    steered: float
    effect: float
    effect_positive: float
    effect_negative: float
    total_base: float
    total_steered: float
    messages: str = ""
    acts_positive: bool = True
    acts_negative: bool = True


class LabelNoise(Record):
    """Examples whose two answers look exchanged, by where they lie on the direction of the others.

    Args:
        share: of the training examples (for unpaired texts of the texts), with its interval.
        p_value: of "no label is exchanged".
        examples: where the clearest of them stand.
        reason: why it was not estimated.
    """

    share: Estimate = Estimate()
    p_value: float | None = None
    examples: tuple[str, ...] = ()
    reason: Phrase | None = None


class Wording(Record):
    """What of the effect the wording alone explains.

    Args:
        words: words and marks that by themselves tell most training answers of the two sides apart, with the share of
            positive minus the share of negative answers that hold them.
        without: the effect on the evaluation answers that are left when these words are taken out.
        shuffled: the effect of a vector of the same length that was trained on the same answers with their words in
            random order; where it does as much, the vector holds words, not sentences.
        reason: why neither was measured.
    """

    words: Mapping[str, float] = {}
    without: Estimate = Estimate()
    shuffled: Estimate = Estimate()
    reason: Phrase | None = None


class Stopping(Record):
    """How much was measured before the decision was certain.

    Args:
        effort: what was asked for.
        available: examples of the evaluation part; `n_eval` of the report says how many were measured.
        looks: after how many examples it was asked whether the decision is certain; the last is where it ended.
        settled: whether the effects were certain at that look, before all examples were measured.
        level: of the intervals over evaluation examples: wider after an early end, which would flatter them otherwise.
        not_measured: what was left out, since it could not change the decision or was not asked for.
        tokens: run through all blocks, about.
        tokens_thorough: those of a thorough check, about.
    """

    effort: Literal["quick", "default", "thorough"]
    available: int
    looks: tuple[int, ...]
    settled: Literal["success", "failure"] | None
    level: float
    not_measured: tuple[Phrase, ...]
    tokens: int
    tokens_thorough: int


class Report(Document):
    """The result of a check. See docs/report.md for every field.

    `rows` are kept in `examples.parquet`, not in `report.json`.

    Example:
        >>> import trimtab as tt
        >>> report = tt.Report.load("out/sentiment")  # doctest: +SKIP
        >>> report.verdict.decision, report.site.block  # doctest: +SKIP
        ('caution', 14)
        >>> [name for name in tt.Report.model_fields if name.startswith("n_")]
        ['n_train', 'n_dev', 'n_eval', 'n_eval_clusters', 'n_replication', 'n_dropped']
    """

    dtype: str
    device: str
    threads: int
    chat_template: bool
    first_token: str
    read: Literal["last", "mean"]
    scope: str
    behavior: str
    description: str
    instructions: tuple[str, str]
    answer_kind: Literal["choice", "text"]
    unit: Phrase
    data_digest: str
    pairing: Literal["natural", "random"]
    model: ModelRecord
    site: SiteRecord | None  # None where a finished steering is text in front of prompts
    site_chosen: Literal["given", "dev"]
    prompt_type_chosen: Literal["given", "dev"]
    strength_chosen: Literal["given", "dev"]
    n_train: int
    n_dev: int
    n_eval: int
    n_eval_clusters: int
    n_replication: int
    n_dropped: int
    strengths: tuple[float, ...]
    thresholds: Mapping[str, float]
    verdict: Verdict
    base: Base
    noise: Noise
    prompt_types: Mapping[str, PromptTypeResult]
    prompt_type_cosine: Cosines
    curve: Curve
    blocks: tuple[BlockRow, ...]
    dev_strengths: tuple[CurvePoint, ...]
    projections: Projections
    convergence: Convergence
    length_auroc: Estimate
    length_matched_effect: Estimate
    wording: Wording = Wording(reason=EARLIER)
    label_noise: LabelNoise = LabelNoise(reason=EARLIER)
    lint: tuple[Lint, ...]
    direction: Direction
    random_directions: RandomDirectionBaseline
    training_variability: TrainingVariability
    answer_bias: AnswerBias
    prompting_baseline: PromptingBaseline
    side_effects: SideEffects
    generated: Generated
    examples: tuple[Text, ...]
    continuations: tuple[Continuation, ...]
    notes: tuple[Phrase, ...]
    steering: SteeringRecord | None = None
    stopping: Stopping | None = None  # None in reports of earlier versions
    next_steps: tuple[NextStep, ...] = ()  # none in reports of earlier versions
    rows: tuple[ExampleRow, ...] = Field(default=(), exclude=True, repr=False)

    @property
    def place(self) -> Phrase:
        """Where it steers, in words."""
        if self.site is None:
            return Phrase("text in front of prompts")
        return Phrase("block {block} {component}", block=self.site.block, component=self.site.component)

    def save(self, folder: str | Path, language: Code = "en") -> Path:
        """Write `report.html`, `report.json` and `examples.parquet` into a folder; returns the folder.

        Args:
            folder: is made if it is not there.
            language: of `report.html`; the JSON is in English, whatever the language.
        """
        from trimtab.reports.check.files import save

        return save(self, folder, spoken(language))

    def _repr_html_(self) -> str:
        from trimtab.reports.check.notebook import shown

        return shown(self)

    @staticmethod
    def load(folder: str | Path) -> "Report":
        """Read what `save` wrote.

        Raises:
            InputError: no report there, or one that does not fit the schema.
        """
        from trimtab.results.report_files import load

        return load(Path(folder))
