"""Rows with their place in a file, and the checks on one field of one row."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from trimtab.errors import InputError
from trimtab.texts import checked_text, shown

_N_SHOWN = 8  # fields named in a message
_NOTHING = ("", "nan", "<na>")  # how pandas and Excel write an empty cell


@dataclass(frozen=True)
class Row:
    """One record and its place.

    Args:
        fields: the record as it was read.
        source: `file:line`, or `file:positive[3]` where the file has no lines.
    """

    fields: Mapping[str, object]
    source: str

    def text(self, name: str) -> str:
        """The field as text.

        Raises:
            InputError: the field is missing, not a string, or contains what no tokenizer accepts.
        """
        if name not in self.fields:
            raise InputError(f"{self.source}: the field {name!r} is missing; found {self.field_names()}")
        return self.checked(name, self.fields[name])

    def answer(self, name: str) -> str:
        """The field as text that is not only white space.

        Raises:
            InputError: see `text`; or the answer is empty, or what pandas writes for a missing one.
        """
        text = self.text(name)
        if not text.strip():
            raise InputError(f"{self.source}: the answer in {name!r} is empty; write one or remove the row")
        if text.strip() in ("nan", "NaN", "<NA>"):
            raise InputError(
                f"{self.source}: the answer in {name!r} is {text.strip()!r}, pandas' mark of a missing one; write one "
                "or remove the row"
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
        """Whether the field is absent, null, not a number, or text that stands for a missing value."""
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
            raise InputError(f"{self.source}: the field {name!r} must be a string, not NaN (a missing value)")
        if isinstance(value, list) and all(isinstance(text, str) for text in value):
            raise InputError(
                f"{self.source}: the field {name!r} must be a string, not list: it contains {len(value)} texts; "
                "write a row for each"
            )
        return checked_text(value, self.source, name)

    def field_names(self) -> str:
        """The names of the row's fields, for error messages."""
        names = [repr(shown(str(name), 40)) for name in self.fields]
        more = f" and {len(names) - _N_SHOWN} more" if len(names) > _N_SHOWN else ""
        return ", ".join(names[:_N_SHOWN]) + more or "no fields"


@dataclass(frozen=True)
class Table:
    """All rows of a source.

    Args:
        file: the source's name in messages.
        rows: the records, in order.
        header: name, description, instructions and pairing, where the file gives them.
        notes: what the reading left out or assumed.
        broken: what is wrong with each line that contains no row, with its place; the rows are the rest.
    """

    file: str
    rows: tuple[Row, ...]
    header: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
