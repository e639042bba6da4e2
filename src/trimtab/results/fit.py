"""What a fit records: curves and gates of its training, the candidates it chose from, and texts token by token."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, JsonValue, model_validator

from trimtab.phrases import Phrase
from trimtab.results.figures import Document, Estimate, Record
from trimtab.results.report import Decision, ModelRecord

Side = Literal["positive", "negative"]


class TokenRecord(Record):
    """What one attribute, alone and at strength 1, does to a group of tokens.

    Args:
        n: tokens.
        gate: mean gate, 0…1.
        edit_size_ratio: mean of ‖f(a) − a‖ / ‖a‖.
        touched: share of tokens whose relative edit exceeds the bound.
        touched_per_text: such tokens in a text, on average.
    """

    n: int
    gate: float
    edit_size_ratio: float
    touched: float
    touched_per_text: float


class GateRecord(Record):
    """An attribute's gate on held-out tokens.

    Args:
        positive: on its own desired side, which it should leave alone.
        negative: on its own other side, which it should move.
        others: on both sides of the other attributes; None where there are none.
        auroc: of the gate telling negative tokens from positive ones; 0.5 is chance.
        mmd2_before: squared MMD between the two sides.
        mmd2_after: the same with the negatives steered by all attributes.
    """

    positive: TokenRecord
    negative: TokenRecord
    others: TokenRecord | None
    auroc: float
    mmd2_before: float
    mmd2_after: float


class TrainedSite(Record):
    """A training at one site.

    Args:
        train: `loss` and each of its terms, its mean over the steps of every epoch; empty where there are none.
        dev: the same on dev after every epoch, before the first in front; None without dev data.
        best_epoch: whose parameters were taken, from 1; 0 is the start.
        gates: by attribute, on dev where there is one.
    """

    train: Mapping[str, tuple[float, ...]]
    dev: Mapping[str, tuple[float, ...]] | None
    best_epoch: int
    gates: Mapping[str, GateRecord]


class Candidate(Record):
    """Hyperparameters and sites that were tried.

    Args:
        settings: hyperparameters, and `sites`.
        factor: on all strengths, the largest within the bound on divergence.
        effect: by attribute, the mean effect on dev over its standard deviation.
        score: mean of the effects.
        chosen: whether it was taken.
    """

    settings: Mapping[str, JsonValue]
    factor: float
    effect: Mapping[str, float]
    score: float
    chosen: bool


class TriedInstruction(Record):
    """A wording of an instruction that a search has tried.

    Args:
        text: that stands in front of prompts.
        n: dev examples that it was tried on.
        effect: mean effect on them.
        wrong: share of them pushed the wrong way.
        taken: whether it is the one.
    """

    text: str
    n: int
    effect: Estimate
    wrong: Estimate
    taken: bool


class ShadedText(Record):
    """A dev example's text, piece by piece: a piece is a token, or the few that a character is made of.

    Args:
        attribute: whose example.
        side: which answer follows the prompt.
        pieces: the text; tokens in front and behind may be left out.
        answer_from: the answer's first piece, 0…len(pieces).
        seen: what each attribute sees in each piece, see `Training.shade`; of several tokens the largest.
        edits: by attribute, alone and at its default strength, the relative edit of each piece.
        left_out: tokens in front and behind that are not shown.
    """

    attribute: str
    side: Side
    pieces: tuple[str, ...]
    answer_from: int = Field(ge=0)
    seen: Mapping[str, tuple[float, ...]]
    edits: Mapping[str, tuple[float, ...]]
    left_out: tuple[int, int] = (0, 0)

    @model_validator(mode="after")
    def _as_many(self) -> Self:
        columns = [*self.seen.values(), *self.edits.values()]
        if any(len(column) != len(self.pieces) for column in columns) or self.answer_from > len(self.pieces):
            raise ValueError("every piece of a text takes one value of each attribute")
        if self.seen.keys() != self.edits.keys() or self.attribute not in self.seen:
            raise ValueError("gates and edits are of the same attributes, the text's own among them")
        return self


class Training(Record):
    """What was measured while a steering was trained; empty where nothing is trained, chosen or looked at.

    Args:
        schema_version: of this record.
        sites: by site.
        candidates: those that were tried, in their order; empty if there was one alone.
        instructions: by attribute, wordings that a search has tried, those tried on the most examples first.
        texts: dev examples of every attribute and side.
        texts_site: where their tokens were read; None without texts.
        shade: what `seen` holds: a `gate`, or the `probability` that a classifier gives.
        touched: a token is touched if its relative edit exceeds this.
    """

    schema_version: Literal[2] = Field(default=2, alias="schema")
    sites: Mapping[str, TrainedSite] = {}
    candidates: tuple[Candidate, ...] = ()
    instructions: Mapping[str, tuple[TriedInstruction, ...]] = {}
    texts: tuple[ShadedText, ...] = ()
    texts_site: str | None = None
    shade: Literal["gate", "probability"] = "gate"
    touched: float = 0.01

    def __bool__(self) -> bool:
        return bool(self.sites or self.candidates or self.instructions or self.texts)


class AbstentionPoint(Record):
    """What leaving more or fewer prompts alone does.

    Args:
        acts: share of the examples acted on.
        wrong: share of these that is pushed the wrong way.
    """

    acts: float
    wrong: Estimate


class Abstention(Record):
    """Prompts at risk that an attribute leaves alone, and what was promised of the others.

    Figures are of training examples, each with a steering and a risk that were learned without it.

    Args:
        site: where prompts are read; None where none needs to be left alone.
        most: what was asked for: the share of the examples acted on that may be pushed the wrong way.
        level: one-sided confidence that it is no more.
        n: independent examples.
        acts: share of them acted on.
        wrong: share of these pushed the wrong way; examples left alone at random would change nothing of it.
        wrong_everywhere: the same without leaving any alone.
        effect, effect_everywhere: mean effect on those acted on, and on all without leaving any alone.
        auroc: how well the risk tells which examples go wrong; 0.5 is chance.
        curve: of other thresholds, from few examples to all.
    """

    site: str | None
    most: float
    level: float
    n: int
    acts: Estimate
    wrong: Estimate
    wrong_everywhere: Estimate
    effect: Estimate
    effect_everywhere: Estimate
    auroc: Estimate
    curve: tuple[AbstentionPoint, ...]


class Shrinkage(Record):
    """How far an attribute's mean difference was drawn to directions known beforehand, at one site.

    Args:
        site: where.
        drawn: weight of the directions beside the mean difference's own, 0 to 0.5.
        examples: share of the vector that comes from the examples; with those of the directions they add to 1.
        directions: by name the share that comes from each, the largest first.
        cosine: of the vector with the plain mean difference.
    """

    site: str
    drawn: float
    examples: float
    directions: Mapping[str, float]
    cosine: float


class Checked(Record):
    """The verdict on an attribute by itself.

    Args:
        decision, sentence: of its check.
        report: the check's page, relative to the fit's; None if it was not written.
    """

    decision: Decision
    sentence: Phrase
    report: str | None = None


class Attribute(Record):
    """An attribute of the steering.

    Args:
        strength: its default.
        description: of the behavior.
        data: digest of the behavior.
        n_train, n_dev: examples.
        verdict: None if no check was asked for.
        prompt_prefix: what stands in front of prompts, for methods that ask.
        abstention: which prompts are left alone for their risk; None if that was not asked for.
        shrinkage: by site, toward directions known beforehand; empty if that was not asked for.
    """

    strength: float
    description: str
    data: str
    n_train: int
    n_dev: int
    verdict: Checked | None = None
    prompt_prefix: str | None = None
    abstention: Abstention | None = None
    shrinkage: tuple[Shrinkage, ...] = ()


class Fit(Document):
    """A fit: what was made, how, and what is known of it.

    Args:
        method, source: its name, and where it comes from.
        hyperparameters: of the method.
        prompt_type: how training examples were put to the model.
        max_kl: bound on the divergence that strengths were chosen within, nats per token.
        id: of the steering.
        model, dtype: of the activations.
        sites: kinds of the edits by site.
        attributes: by name.
        training: curves, gates, candidates, texts.
        notes: what was chosen, and what to mind.
    """

    method: str
    source: str
    hyperparameters: Mapping[str, JsonValue]
    prompt_type: str
    max_kl: float
    id: str
    model: ModelRecord
    dtype: str
    sites: Mapping[str, tuple[str, ...]]
    attributes: Mapping[str, Attribute]
    training: Training
    notes: tuple[Phrase, ...] = ()
