"""What the tables of a fit hold: gates against what is good, candidates, and texts with their shades."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from trimtab.phrases import Phrase, with_commas, with_semicolons
from trimtab.results.fit import Candidate, GateRecord, ShadedText, TokenRecord, TrainedSite, Training
from trimtab.results.numbers import given, level, number, share

BOUND: Final = 0.1
"""A mean gate above it is open, one below it is shut."""
GROUPS: Final = (Phrase("own negatives"), Phrase("own positives"), Phrase("others’ text"))
SIDES: Final = (
    ("negative", Phrase("Own negatives"), Phrase("the gate should open")),
    ("positive", Phrase("Own positives"), Phrase("the gate should stay shut")),
)
SHADES: Final = {"gate": Phrase("gate"), "probability": Phrase("probability")}
WORDS: Final = (
    (
        Phrase("Gate"),
        Phrase(
            "How far an attribute is let through at a token: 0 is shut, 1 is open. A small gate before a long vector "
            "moves a token as far as a wide one before a short vector, so read the relative edit beside it."
        ),
    ),
    (
        Phrase("Own negatives"),
        Phrase("Tokens of the answers that the attribute shall move away from. Its gate should open here."),
    ),
    (Phrase("Own positives"), Phrase("Tokens of the answers that are as desired already, which should be left alone.")),
    (
        Phrase("Others’ text"),
        Phrase("Tokens of the other attributes’ examples, both sides; opening here makes attributes interfere."),
    ),
    (
        Phrase("Relative edit"),
        Phrase("How far a token’s activation is moved, over its length, by the attribute alone."),
    ),
    (
        Phrase("Touched"),
        Phrase("A token is touched if its relative edit exceeds the bound named above; a gate alone never counts."),
    ),
    (
        Phrase("AUROC"),
        Phrase("How often the gate is wider open at a negative token than at a positive one: 0.5 is chance."),
    ),
    (
        Phrase("MMD²"),
        Phrase(
            "Distance between the two sides’ activations before and after the negatives are steered. The training "
            "brings it down; at 0 the two sides look the same."
        ),
    ),
    (
        Phrase("Factor"),
        Phrase(
            "The largest multiple of a candidate’s strengths whose divergence on neutral text stays within the bound."
        ),
    ),
    (
        Phrase("Standardised effect"),
        Phrase(
            "Mean change of the preference for the desired answer on dev examples, over its standard deviation, with "
            "all attributes on and at the factor."
        ),
    ),
)


@dataclass(frozen=True)
class GateLine:
    """A group of tokens.

    Args:
        group: which.
        tokens: the figures; None where there are no such tokens.
        wanted: what is good.
        holds: whether it is so; None where nothing was measured.
    """

    group: Phrase
    tokens: TokenRecord | None
    wanted: Phrase
    holds: bool | None


@dataclass(frozen=True)
class GateRow:
    """An attribute with its groups of tokens, and what they come to in words."""

    attribute: str
    gate: GateRecord
    lines: tuple[GateLine, ...]

    @property
    def good(self) -> bool:
        """Whether everything that was measured is as it should be."""
        return self.nearer and all(line.holds is not False for line in self.lines)

    @property
    def nearer(self) -> bool:
        """Whether steering brings the two sides together."""
        return self.gate.mmd2_after < self.gate.mmd2_before

    @property
    def meaning(self) -> Phrase:
        """One sentence."""
        own, kept, others = self.lines
        clauses = [
            Phrase("opens on what it should change") if own.holds else Phrase("hardly opens on what it should change"),
            Phrase("less on what is as desired already")
            if kept.holds
            else Phrase("opens no less on what is as desired already"),
        ]
        if others.tokens:
            clauses.append(
                Phrase("stays shut on the other attributes’ text")
                if others.holds
                else Phrase("opens on the other attributes’ text")
            )
        if not self.nearer:
            clauses.append(Phrase("steering brings its two sides no nearer to each other"))
        *some, last = clauses
        if len(some) > 1:
            return Phrase("{clauses}, and {last}", clauses=with_commas(some), last=last)
        return Phrase("{clause} and {last}", clause=some[0], last=last)


def gate_rows(gates: Mapping[str, GateRecord]) -> list[GateRow]:
    """Every attribute's gate against what is good."""
    return [GateRow(name, gate, tuple(_lines(gate))) for name, gate in gates.items()]


def _lines(gate: GateRecord) -> Iterator[GateLine]:
    own, kept, others = gate.negative, gate.positive, gate.others
    yield GateLine(GROUPS[0], own, Phrase("above {bound}", bound=f"{BOUND:g}"), own.gate > BOUND)
    yield GateLine(GROUPS[1], kept, Phrase("below its negatives"), kept.gate < own.gate)
    yield GateLine(
        GROUPS[2], others, Phrase("below {bound}", bound=f"{BOUND:g}"), None if others is None else others.gate < BOUND
    )


def varied(candidates: Sequence[Candidate]) -> list[str]:
    """What the candidates do not have in common."""
    names = dict.fromkeys(name for c in candidates for name in c.settings)
    return [name for name in names if len({_key(c.settings.get(name)) for c in candidates}) > 1]


def _key(value: JsonValue) -> str:
    return f"{type(value).__name__} {value}"


def setting(value: JsonValue) -> str:
    """A hyperparameter's value in words."""
    if value is None:
        return Phrase("none")
    if isinstance(value, bool):
        return Phrase("yes") if value else Phrase("no")
    if isinstance(value, int | float):
        return given(value)
    return with_commas([setting(each) for each in value]) if isinstance(value, list) else str(value)


@dataclass(frozen=True)
class Piece:
    """A piece of a text as it is shown.

    Args:
        text: what it says.
        value: gate or probability as text.
        edit: relative edit as text.
        depth: of the colour, 0…1 as text.
        touched: whether it is underlined.
        answer: whether it is of the answer.
        first: whether the answer begins with it.
    """

    text: str
    value: str
    edit: str
    depth: str
    touched: bool
    answer: bool
    first: bool


@dataclass(frozen=True)
class Shading:
    """A text as one attribute sees it.

    Args:
        attribute: which.
        pieces: token by token.
        gist: the figures in short.
    """

    attribute: str
    pieces: list[Piece]
    gist: Phrase


@dataclass(frozen=True)
class Shown:
    """A text with its own attribute's shading, and the others'."""

    own: Shading
    others: list[Shading]
    left_out: tuple[int, int]


def shown(training: Training, attribute: str, side: str) -> list[Shown]:
    """The texts of an attribute's side."""
    texts = [t for t in training.texts if (t.attribute, t.side) == (attribute, side)]
    return [
        Shown(
            _shading(text, attribute, training),
            [_shading(text, name, training) for name in text.seen if name != attribute],
            text.left_out,
        )
        for text in texts
    ]


def _shading(text: ShadedText, name: str, training: Training) -> Shading:
    values, edits = text.seen[name], text.edits[name]
    pieces = [
        Piece(
            piece, number(value, 2), share(edit), f"{min(max(value, 0.0), 1.0):.2f}", edit > training.touched,
            i >= text.answer_from, 0 < i == text.answer_from,
        )
        for i, (piece, value, edit) in enumerate(zip(text.pieces, values, edits, strict=True))
    ]  # fmt: skip
    gist = [
        Phrase(
            "{part}: mean {shade} {mean}, {touched} of {n} touched, largest edit {largest}",
            part=part, shade=SHADES[training.shade], mean=number(sum(values[at]) / len(values[at]), 2),
            touched=sum(p.touched for p in pieces[at]), n=len(values[at]), largest=share(max(edits[at])),
        )
        for part, at in ((Phrase("answer"), slice(text.answer_from, None)), (Phrase("prompt"), slice(text.answer_from)))
        if values[at]
    ]  # fmt: skip
    return Shading(name, pieces, with_semicolons(gist) if gist else Phrase("no tokens"))


def taken(trained: TrainedSite) -> Phrase:
    """How many epochs there were, and which one was taken."""
    n, best, dev = len(trained.train["loss"]), trained.best_epoch, trained.dev
    epochs = Phrase("1 epoch") if n == 1 else Phrase("{n} epochs", n=n)
    if dev is None:
        return Phrase("{epochs}; taken is the last, as there was no dev data.", epochs=epochs)
    which = Phrase("epoch {n}", n=best) if best else Phrase("the start")
    return Phrase(
        "{epochs}; taken is {which}, whose dev loss is the lowest: {loss}, from {first} at the start.",
        epochs=epochs, which=which, loss=number(dev["loss"][best]), first=number(dev["loss"][0]),
    )  # fmt: skip


def touched_bound(training: Training) -> Phrase:
    """The bound in per cent."""
    return level(training.touched)
