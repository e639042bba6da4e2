"""Rows with their place in a file, and the checks on one field of one row."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from trimtab.errors import InputError
from trimtab.texts import checked_text, shown

_SHOWN = 8  # fields named in a message
_NOTHING = ("", "nan", "<na>")  # how pandas and Excel write a cell without a value


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
            raise InputError(f"{self.source}: the field {name!r} is missing; found {self.result()}")
        return self.checked(name, self.fields[name])

    def answer(self, name: str) -> str:
        """The field as text that is more than white space.

        Raises:
            InputError: see `text`; or the answer is empty, or what pandas writes for none.
        """
        text = self.text(name)
        if not text.strip():
            raise InputError(f"{self.source}: the answer in {name!r} is empty; write one or remove the row")
        if text.strip() in ("nan", "NaN", "<NA>"):
            raise InputError(
                f"{self.source}: the answer in {name!r} is {text.strip()!r}, as pandas writes a missing one"
            )
        return text

    def group(self) -> str:
        """The optional field `group`, with whole numbers accepted (7, and 7.0 as pandas writes it); empty if absent.

        Raises:
            InputError: the field is neither text nor a whole number.
        """
        value = self.fields.get("group")
        if self.blank("group") and not (isinstance(value, str) and value.isspace()):
            return ""
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return self.checked("group", value)

    def blank(self, name: str) -> bool:
        """Whether the field is absent, null, not a number, or text that says nothing."""
        value = self.fields.get(name)
        if isinstance(value, str):
            return value.strip().casefold() in _NOTHING
        return value is None or value == [] or (isinstance(value, float) and math.isnan(value))

    def checked(self, name: str, value: object) -> str:
        """`value` as text, with `name` standing for it in errors.

        Raises:
            InputError: not a string, a NUL byte, half a surrogate pair.
        """
        if value is None:
            raise InputError(f"{self.source}: the field {name!r} must be a string, not null")
        if isinstance(value, float) and math.isnan(value):
            raise InputError(f"{self.source}: the field {name!r} must be a string, not NaN, which is a missing one")
        if isinstance(value, list) and all(isinstance(text, str) for text in value):
            raise InputError(
                f"{self.source}: the field {name!r} must be a string, not list: it holds {len(value)} texts; "
                "write a row for each"
            )
        return checked_text(value, self.source, name)

    def result(self) -> str:
        """The names of the fields that are there, for error messages."""
        names = [repr(shown(str(name), 40)) for name in self.fields]
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        return ", ".join(names[:_SHOWN]) + more or "no fields"


@dataclass(frozen=True)
class Table:
    """All rows of a source.

    Args:
        file: the source's name in messages.
        rows: the records, in order.
        header: name, description, instructions and pairing, where the file gives them.
        notes: what the reading left out or assumed.
        broken: what is wrong with lines that hold no row at all, each with its place; the rows are the rest.
    """

    file: str
    rows: tuple[Row, ...]
    header: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
