"""What may be tried, in the order of its price."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True)
class Remedy:
    """A way to steer.

    Args:
        name: short; also of its folder.
        what: it is, for people.
        options: of `fit`; `site` is that of the vector unless the method looks at all blocks.
        stacked: names of two remedies before it, whose edits and texts it takes together.
        careful: whether prompts at risk are left alone.
    """

    name: str
    what: str
    options: Mapping[str, Any] = field(default_factory=dict)
    stacked: tuple[str, str] | None = None
    careful: bool = False


VECTOR: Final = "vector"
INSTRUCTION: Final = "instruction"
REMEDIES: Final = (
    Remedy(VECTOR, "one vector: the mean difference of the two answers", {"method": "mean-difference"}),
    Remedy(INSTRUCTION, "the instruction in front of every prompt, no edit", {"method": "instruction"}),
    Remedy(
        "in-context-examples", "solved examples in front of every prompt, no edit", {"method": "in-context-examples"}
    ),
    Remedy("vector-and-instruction", "the vector and the instruction together", stacked=(VECTOR, INSTRUCTION)),
    Remedy(
        "vector-in-context",
        "one vector, of answers read behind the instruction and solved examples",
        {"method": "mean-difference", "prompt_type": "prefilled+instruction+5-shot"},
    ),
    Remedy(
        "careful-vector",
        "the vector, which leaves prompts alone that it would likely push the wrong way",
        {"method": "mean-difference"},
        careful=True,
    ),
    Remedy(
        "mixture",
        "two vectors, of which the prompt decides: each for a group of examples that are about the same",
        {"method": "mixture"},
    ),
    Remedy(
        "probe-gated", "the vector, at tokens alone that a probe takes for the other side", {"method": "probe-gated"}
    ),
    Remedy("icv", "a vector at every block", {"method": "icv"}),
    Remedy("iti", "shifts of the attention heads that tell the two sides apart best", {"method": "iti"}),
    Remedy(
        "k-steering", "every token turned its own way, along the gradient of a classifier", {"method": "k-steering"}
    ),
    Remedy("mat-steer", "gates and directions trained together, token by token", {"method": "mat-steer"}),
)
