"""Rows with their place in a file, and the checks on one field of one row."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from trimtab.behaviors.texts import checked_text
from trimtab.errors import InputError


@dataclass(frozen=True)
class Row:
    """One record and where it stands.

    Args:
        fields: the record as it was read.
        source: `file:line`, or `file:positive[3]` where a line has no meaning.
    """

    fields: Mapping[str, object]
    source: str

    def text(self, name: str) -> str:
        """The field as text.

        Raises:
            InputError: the field is missing, not a string, or holds what no tokenizer takes.
        """
        if name not in self.fields:
            raise InputError(f"{self.source}: the field {name!r} is missing; found {self.found()}")
        return self.checked(name, self.fields[name])

    def answer(self, name: str) -> str:
        """The field as text that is more than white space.

        Raises:
            InputError: see `text`; or the answer is empty.
        """
        text = self.text(name)
        if not text.strip():
            raise InputError(f"{self.source}: the answer in {name!r} is empty; write one or remove the row")
        return text

    def group(self) -> str:
        """The optional field `group`, with whole numbers accepted; empty if absent.

        Raises:
            InputError: the field is neither text nor a whole number.
        """
        value = self.fields.get("group")
        if value is None:
            return ""
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return self.checked("group", value)

    def checked(self, name: str, value: object) -> str:
        """`value` as text, with `name` standing for it in errors.

        Raises:
            InputError: not a string, a NUL byte, half a surrogate pair.
        """
        if value is None:
            raise InputError(f"{self.source}: the field {name!r} must be a string, not null")
        return checked_text(value, self.source, name)

    def found(self) -> str:
        """The names of the fields that are there, for error messages."""
        return ", ".join(map(repr, self.fields)) or "no fields"


@dataclass(frozen=True)
class Table:
    """All rows of a source.

    Args:
        file: the source's name in messages.
        rows: the records, in order.
        header: name, description, instructions and pairing, where the file gives them.
        notes: what the reading left out or assumed.
    """

    file: str
    rows: tuple[Row, ...]
    header: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
