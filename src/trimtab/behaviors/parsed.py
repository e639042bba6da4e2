"""What a format makes of the rows of a table."""

from collections.abc import Sequence
from dataclasses import dataclass

from trimtab.behaviors.behavior import Example, Pairing


@dataclass(frozen=True)
class Parsed:
    """Examples and how they came about.

    Args:
        examples: in the order of the file.
        pairing: `natural` when the two answers of a row belong together.
        notes: what was left out or assumed.
    """

    examples: Sequence[Example]
    pairing: Pairing = "natural"
    notes: Sequence[str] = ()
