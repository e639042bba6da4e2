"""What a file says about the whole behavior: its first line, or the fields beside its examples."""

from collections.abc import Mapping

from trimtab.behaviors.table import Row
from trimtab.errors import InputError
from trimtab.nearest import meant
from trimtab.texts import name_fault, shown

HEADER_FIELDS = ("name", "description", "positive_instruction", "negative_instruction", "pairing")


def checked_header(fields: Mapping[str, object], source: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """The header's texts, and the notes that it keeps.

    Args:
        fields: see `HEADER_FIELDS`; `trimtab` says what the file is. `exact` (true) and `notes` (a list of texts) are
            what `trimtab convert-data` writes: the rows are read without changes.
        source: its place, for messages.

    Raises:
        InputError: an unknown field, or an invalid value.
    """
    what = fields.get("trimtab", "behavior")
    if what not in ("behavior", "probe"):
        raise InputError(f"{source}: this is a trimtab {what!r}, not a 'behavior'")
    header = {"trimtab": str(what)}
    rest = {key: value for key, value in fields.items() if key != "trimtab"}
    notes = _notes(rest.pop("notes", []), source)
    if _is_exact(rest.pop("exact", False), source):
        header["exact"] = "true"
    row = Row(rest, source)
    for key in rest:
        if key not in HEADER_FIELDS:
            near = meant(key, HEADER_FIELDS)
            known = ", ".join(HEADER_FIELDS)
            raise InputError(f"{source}: unknown field {key!r} in the header; {near}it may hold {known}")
        header[key] = row.text(key)
    _check(header, source)
    return header, notes


def _check(header: Mapping[str, str], source: str) -> None:
    if header.get("pairing", "natural") not in ("natural", "random"):
        raise InputError(f"{source}: the header's 'pairing' is {header['pairing']!r}; it can be 'natural' or 'random'")
    if bool(header.get("positive_instruction")) != bool(header.get("negative_instruction")):
        raise InputError(f"{source}: the header has only one of the two instructions; give both or none")
    if header.get("positive_instruction") and header["positive_instruction"] == header["negative_instruction"]:
        raise InputError(f"{source}: the header's two instructions are the same; give two that differ")
    if fault := name_fault(header.get("name", "unnamed")):
        raise InputError(f"{source}: the header's 'name', {shown(repr(header['name']), 120)}, {fault}; write another")


def _notes(value: object, source: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise InputError(f"{source}: the header's 'notes' must be a list of texts, not {type(value).__name__}")
    row = Row({}, source)
    return tuple(row.checked(f"notes[{k}]", note) for k, note in enumerate(value))


def _is_exact(value: object, source: str) -> bool:
    if not isinstance(value, bool):
        raise InputError(f"{source}: the header's 'exact' must be true or false, not {type(value).__name__}")
    return value
