"""Texts that a steering toward something else should leave alone: what it does to them is a side effect."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import compress
from pathlib import Path

from trimtab.behaviors.behavior import Example
from trimtab.behaviors.files import read_table
from trimtab.behaviors.opening import located, read_file
from trimtab.behaviors.table import Row, Table
from trimtab.errors import InputError
from trimtab.nearest import meant
from trimtab.texts import shown

# The two endings of a prompt, the one that the model should prefer first, as probes of either kind call them.
_ENDINGS = (("right", "wrong"), ("answer", "refusal"))
_BUILTIN = ("capability", "neutral", "over-refusal")


@dataclass(frozen=True)
class Probe:
    """Examples or texts, each of a kind.

    Args:
        name: of the probe.
        description: one sentence for people.
        kinds: the kind of each item, parallel to `examples` or `texts`.
        examples: a prompt with the ending that the model should prefer (positive) and one that it should not.
        texts: whole texts. A probe has either examples or texts.

    Example:
        >>> from trimtab.behaviors import Probe
        >>> probe = Probe.builtin("capability")
        >>> len(probe.examples), len(probe.texts), probe.kinds[0]
        (600, 0, 'grammar')
    """

    name: str
    description: str
    kinds: Sequence[str]
    examples: Sequence[Example] = ()
    texts: Sequence[str] = ()

    def only(self, kept: Sequence[bool]) -> "Probe":
        """The items that are kept, with their kinds."""
        return replace(
            self,
            kinds=list(compress(self.kinds, kept)),
            examples=list(compress(self.examples, kept)),
            texts=list(compress(self.texts, kept)),
        )

    @staticmethod
    def builtin(name: str) -> "Probe":
        """`capability` (pairs), `neutral` (texts) or `over-refusal` (pairs).

        Raises:
            InputError: there is none of that name.
        """
        if name not in _BUILTIN:
            raise InputError(
                f"no built-in probe is called {name!r}; {meant(name, _BUILTIN)}there are {', '.join(_BUILTIN)}"
            )
        data = (files("trimtab.behaviors") / "probes" / f"{name}.jsonl").read_bytes()
        return _probe(read_table(data, f"builtin:{name}"))

    @staticmethod
    def load(source: str | Path) -> "Probe":
        """A built-in probe, or a file: rows of `prompt`, `right`, `wrong` or of `text`, and optionally `kind`.

        Raises:
            InputError: neither exists; or a row cannot be used: names the file, the line and the field.
        """
        place = located(source)
        if place:
            return _probe(read_table(read_file(*place), shown(str(source))))
        if str(source) in _BUILTIN:
            return Probe.builtin(str(source))
        raise InputError(f"{shown(str(source))}: no such file, and no built-in probe ({', '.join(_BUILTIN)})")


def _probe(table: Table) -> Probe:
    if not table.rows:
        raise InputError(f"{table.file}: no rows; a probe needs at least one")
    kinds = [row.text("kind") if "kind" in row.fields else "" for row in table.rows]
    name, description = table.header.get("name", Path(table.file).name), table.header.get("description", "")
    fields = table.rows[0].fields
    if "text" in fields:
        return Probe(name, description, kinds, texts=[row.answer("text") for row in table.rows])
    endings = next((both for both in _ENDINGS if set(both) <= set(fields)), None)
    if endings is None:
        raise InputError(
            f"{table.rows[0].source}: a row of a probe needs 'text', or 'prompt' with 'right' and 'wrong'; "
            f"found {table.rows[0].field_names()}"
        )
    return Probe(name, description, kinds, examples=[_example(row, *endings) for row in table.rows])


def _example(row: Row, right: str, wrong: str) -> Example:
    prompt = row.answer("prompt")
    return Example(prompt, row.answer(right), row.answer(wrong), source=row.source)
