"""What may be tried, in the order of its price."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from trimtab.phrases import Phrase


@dataclass(frozen=True)
class Remedy:
    """A way to steer.

    Args:
        name: short; also of its folder.
        what: it is, for people.
        options: of `fit`; `site` is that of the vector unless the method looks at all blocks.
        stacked: names of two remedies before it, whose edits and texts it takes together.
        careful: whether prompts at risk are left alone.
        half_of: name of a remedy before it, that it takes at half its strength. It is worth a try where that one does
            too much, and not where it does too little.
    """

    name: str
    what: Phrase
    options: Mapping[str, Any] = field(default_factory=dict)
    stacked: tuple[str, str] | None = None
    careful: bool = False
    half_of: str | None = None


VECTOR: Final = "vector"
INSTRUCTION: Final = "instruction"
SEARCHED: Final = "searched-instruction"
REMEDIES: Final = (
    Remedy(VECTOR, Phrase("one vector: the mean difference of the two answers"), {"method": "mean-difference"}),
    Remedy("half-vector", Phrase("the vector at half its strength"), half_of=VECTOR),
    Remedy(INSTRUCTION, Phrase("the instruction in front of every prompt, no edit"), {"method": "instruction"}),
    Remedy(
        SEARCHED,
        Phrase("the wording of the instruction that does best of several, in front of every prompt, no edit"),
        {"method": "searched-instruction"},
    ),
    Remedy(
        "in-context-examples",
        Phrase("solved examples in front of every prompt, no edit"),
        {"method": "in-context-examples"},
    ),
    Remedy("vector-and-instruction", Phrase("the vector and the instruction together"), stacked=(VECTOR, INSTRUCTION)),
    Remedy(
        "vector-and-searched-instruction",
        Phrase("the vector and the best wording together"),
        stacked=(VECTOR, SEARCHED),
    ),
    Remedy(
        "vector-in-context",
        Phrase("one vector, of answers read behind the instruction and solved examples"),
        {"method": "mean-difference", "prompt_type": "prefilled+instruction+5-shot"},
    ),
    Remedy(
        "careful-vector",
        Phrase("the vector, which leaves prompts alone that it would likely push the wrong way"),
        {"method": "mean-difference"},
        careful=True,
    ),
    Remedy(
        "mixture",
        Phrase("several vectors, of which the prompt decides: each for a group of examples that are about the same"),
        {"method": "mixture"},
    ),
    Remedy(
        "probe-gated",
        Phrase("the vector, at tokens alone that a probe takes for the other side"),
        {"method": "probe-gated"},
    ),
    Remedy("icv", Phrase("a vector at every block"), {"method": "icv"}),
    Remedy("iti", Phrase("shifts of the attention heads that tell the two sides apart best"), {"method": "iti"}),
    Remedy(
        "k-steering",
        Phrase("every token turned its own way, along the gradient of a classifier"),
        {"method": "k-steering"},
    ),
    Remedy("mat-steer", Phrase("gates and directions trained together, token by token"), {"method": "mat-steer"}),
)
