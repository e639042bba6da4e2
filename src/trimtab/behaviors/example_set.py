"""The examples that a format reads from the rows of a table."""

from collections.abc import Sequence
from dataclasses import dataclass

from trimtab.behaviors.behavior import Example, Pairing


@dataclass(frozen=True)
class ExampleSet:
    """Examples and how they were read.

    Args:
        examples: in the order of the file.
        pairing: `natural` when the two answers of a row belong together.
        notes: what was left out or assumed.
        reused: whether texts of a shorter list stand in several examples.
    """

    examples: Sequence[Example]
    pairing: Pairing = "natural"
    notes: Sequence[str] = ()
    reused: bool = False
