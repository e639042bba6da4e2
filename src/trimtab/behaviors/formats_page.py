"""The part of `docs/behaviors.md` on kinds of files and formats, made of the catalogue: `make docs` writes it."""

import sys
from dataclasses import dataclass
from pathlib import Path

from trimtab.behaviors.catalogue import FORMATS


@dataclass(frozen=True)
class Kind:
    """One kind of file or folder that rows come in.

    Args:
        name: what people call it.
        content: how it is read, in one sentence.
    """

    name: str
    content: str


KINDS: tuple[Kind, ...] = (
    Kind("JSONL", "one object a line; the first line may be a header (below)"),
    Kind("JSON array", "of objects, or of arrays of two texts"),
    Kind("JSON documents one after another", "printed over many lines, or several arrays: one list of rows"),
    Kind("JSON by columns", '`{"prompt": […], "positive": […], "negative": […]}`, or as pandas\' `to_json` writes it'),
    Kind("JSON that wraps rows", '`{"data": […]}`, `train`, `rows` and the like; of several splits, `train`'),
    Kind("CSV", "commas, semicolons, tabs or vertical bars between the cells, told by the names in the first line"),
    Kind("UTF-16", 'as Excel\'s "Unicode text"; other files are UTF-8'),
    Kind("Excel", "`.xlsx`: the first sheet that has rows, its first row names the columns"),
    Kind("Parquet", "one file"),
    Kind("Arrow", "a file or a stream"),
    Kind("gzip", "of any of these"),
    Kind(
        "folder of two texts",
        "`positive.txt` and `negative.txt`, one text a line, unpaired (llama.cpp's cvector-generator)",
    ),
    Kind("folder of save_to_disk", "of `datasets`: one dataset, or a dictionary of splits, of which `train` is read"),
    Kind("folder of Parquet files", "in the Hub's layout: `data/train-00000-of-00002.parquet` …"),
)


def page() -> str:
    """The part of `docs/behaviors.md` on kinds of files and formats: two tables, and an example of each format."""
    lines = ["| file or folder | read as |", "|---|---|", *(f"| {kind.name} | {kind.content} |" for kind in KINDS), ""]
    lines += ["| format | fields | a row is | written by | pairing |", "|---|---|---|---|---|"]
    for entry in FORMATS:
        fields = ", ".join(" or ".join(f"`{name}`" for name in field.split("|")) for field in entry.needs)
        lines.append(f"| `{entry.name}` | {fields} | {entry.content} | {entry.written_by} | {entry.pairing} |")
    lines += ["", "One example of each:", ""]
    for entry in FORMATS:
        lines += [f"`{entry.name}`", "```json", entry.example, "```"]
    return "\n".join(lines) + "\n"


START, END = "<!-- formats: make docs writes them -->\n", "<!-- formats end -->\n"


def written(text: str) -> str:
    """A page of documentation with its list of formats written anew between `START` and `END`."""
    before, rest = text.split(START)
    return before + START + page() + END + rest.split(END)[1]


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(written(path.read_text()))
