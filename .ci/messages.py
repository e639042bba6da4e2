"""Bring the translations up to date with the phrases of the code: `make messages`.

Writes src/trimtab/languages/LANGUAGE/LC_MESSAGES/trimtab.po, what is new in it still to be translated, and compiles it
to trimtab.mo, which is committed too, so that a checkout speaks without being built.
"""

import ast
import json
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import IO, Any, Final

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

SOURCE: Final = Path(__file__).parents[1] / "src" / "trimtab"
LANGUAGES: Final = SOURCE / "languages"
HEADER: Final = """\
# Translations of what trimtab says; see docs/translating.md.
# Copyright (C) The trimtab developers
# This file is distributed under the same license as the trimtab project."""


def in_code(file: IO[bytes], *_: object, **__: object) -> Iterator[tuple[int, str, str, list[str]]]:
    """The templates in a module: literal text, since what is put together on the way cannot be looked up."""
    for call in ast.walk(ast.parse(file.read())):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Phrase":
            match call.args:
                case [ast.Constant(value=str(template))]:
                    yield call.lineno, "Phrase", template, []
                case _ if not file.name.endswith("phrases.py"):  # which makes phrases of the texts of files
                    raise SystemExit(f"{file.name}:{call.lineno}: the template of a phrase must be literal text")


def phrases() -> Catalog:
    """The templates of all phrases in the code, with the files that they stand in."""
    found = Catalog(project="trimtab", charset="utf-8")
    methods: Any = [("**.py", in_code), ("**/templates/**.html", "jinja2")]
    rows = extract_from_dir(SOURCE, methods, keywords={"_": None, "Phrase": None})
    for name, _, message, _, context in sorted(rows, key=lambda row: (row[0], row[1])):
        if message:  # an empty phrase is empty in every language
            found.add(message, locations=[(f"src/trimtab/{name}", 0)], context=context)
    for file in sorted(SOURCE.glob("serving/*/files/en.json")):
        room = file.parts[-3]
        for key, text in json.loads(file.read_text(encoding="utf-8")).items():
            said = text if isinstance(text, str) else text["other"]
            found.add(said, locations=[(f"src/trimtab/serving/{room}/files/en.json", 0)], context=f"{room} {key}")
    return found


class Dateless(Catalog):
    """A catalogue whose header says nothing that changes with the day or with Babel's version."""

    @property
    def mime_headers(self) -> list[tuple[str, str]]:  # type: ignore[override]
        """What gettext needs to know."""
        return [
            ("Language", str(self.locale)), ("MIME-Version", "1.0"), ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Transfer-Encoding", "8bit"),
        ]  # fmt: skip


def merged(file: Path, wanted: Catalog) -> Catalog:
    """The catalogue of a file with the phrases of the code: those that are there keep their translations."""
    with file.open("rb") as written:
        old = read_po(written)
    new = Dateless(locale=old.locale, charset="utf-8", fuzzy=False)
    for message in wanted:
        if message.id:
            known = old.get(message.id, message.context)
            said = known.string if known is not None else ""
            new.add(message.id, said, locations=message.locations, context=message.context)
    return new


def as_text(catalogue: Catalog) -> bytes:
    """The catalogue as a .po file."""
    for message in catalogue:  # a figure in per cent is no format of Python's
        message.flags -= {"python-format", "python-brace-format"}
    out = BytesIO()
    write_po(out, catalogue, width=120, omit_header=True)
    said = "".join(f'"{name}: {value}\\n"\n' for name, value in catalogue.mime_headers)
    return f'{HEADER}\nmsgid ""\nmsgstr ""\n{said}\n'.encode() + out.getvalue()


def compiled(catalogue: Catalog) -> bytes:
    """The catalogue as a .mo file: the same bytes for the same translations."""
    out = BytesIO()
    write_mo(out, catalogue)
    return out.getvalue()


def main() -> int:
    """Write all catalogues; the number of phrases without a translation ends the program, if there are any."""
    wanted, lacking = phrases(), 0
    for file in sorted(LANGUAGES.glob("*/LC_MESSAGES/trimtab.po")):
        catalogue = merged(file, wanted)
        file.write_bytes(as_text(catalogue))
        file.with_suffix(".mo").write_bytes(compiled(catalogue))
        missing = [message.id for message in catalogue if message.id and not message.string]
        lacking += len(missing)
        for text in missing:
            sys.stderr.write(f"{file}: not translated: {text}\n")
    return min(1, lacking)


if __name__ == "__main__":
    sys.exit(main())
