"""A page in another language shows what its English page shows: commands, output, figures, names and links."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
LANGUAGES = ("ja",)
PAGES = [
    page
    for language in LANGUAGES
    for page in sorted((DOCS / language).rglob("*.md"))
    if (DOCS / page.relative_to(DOCS / language)).exists()
]
BLOCK = re.compile(r"^ *```.*?^ *```[^\n]*$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"(?:^|(?<=\s))# .*$")
FIGURE = re.compile(r"\d+(?:[.,]\d+)+|\d{2,}|\d(?= ?[%％])")  # a single digit may be a word in the other language
CODE = re.compile(r"(`+)(.+?)\1", re.DOTALL)
LINK = re.compile(r"\]\(([^()\s#]*)(?:#[^()\s]*)?\)")


def english(page: Path) -> Path:
    """The English page of a translated one."""
    return DOCS.joinpath(*page.relative_to(DOCS).parts[1:])


def blocks(text: str) -> list[str]:
    """Blocks of code, without comments, which are translated."""
    return ["\n".join(COMMENT.sub("", line).rstrip() for line in block.split("\n")) for block in BLOCK.findall(text)]


def prose(text: str) -> str:
    """A page without its blocks of code."""
    return BLOCK.sub("", text)


def names(text: str) -> Counter[str]:
    """What stands in the text as code."""
    return Counter(" ".join(code.split()) for _, code in CODE.findall(text))


def figures(text: str) -> Counter[str]:
    """Figures of a text, in whatever order its language puts them."""
    return Counter(FIGURE.findall(text))


def tables(text: str) -> Iterator[list[str]]:
    """Tables, each as its rows; the row beneath the head, of dashes alone, says how many columns there are."""
    for table in re.findall(r"(?:^\|.*\n)+", prose(text), re.MULTILINE):
        yield table.splitlines()


def links(page: Path, text: str) -> Counter[Path]:
    """Where the links of a page lead, as English pages and other files."""
    found = [Path(os.path.normpath(page.parent / to)) for to in LINK.findall(prose(text)) if to and "://" not in to]
    translated = {there for there in found if there in PAGES}
    return Counter(english(there) if there in translated else there for there in found)


def told(ours: str, theirs: str) -> list[str]:
    """What a text leaves out of its English one, or figures it has besides.

    A figure without a decimal point may be a word in English, and a language may name again what English calls "it".
    """
    lost = [*(figures(theirs) - figures(ours)), *(set(names(theirs)) - set(names(ours)))]
    made_up = [figure for figure in figures(ours) - figures(theirs) if not figure.isdigit()]
    return [f"leaves out {each}" for each in lost] + [f"has {each} besides" for each in made_up]


def compared(page: Path, text: str) -> list[str]:
    """What a translation does not show as its English page does, in words."""
    original = english(page)
    source = original.read_text(encoding="utf-8")
    code, written = blocks(text), blocks(source)
    faults = [f"has another block of code:\n{block}" for block in code if block not in written]
    faults += [f"leaves out or changes the block of code:\n{block}" for block in written if block not in code]
    if not faults and code != written:
        faults.append("has its blocks of code in another order or number")
    ours, theirs = list(tables(text)), list(tables(source))
    if [len(rows) for rows in ours] != [len(rows) for rows in theirs]:
        faults.append(f"has tables of {[len(t) for t in ours]} rows, not of {[len(t) for t in theirs]}")
    for row, given in zip(chain(*ours), chain(*theirs), strict=False):
        faults += [f"{fault}: {row}" for fault in told(row, given)]
    faults += told(prose(text), prose(source))
    lost = set(links(original, source)) - set(links(page, text))
    return faults + [f"leaves out a link to {os.path.relpath(to, DOCS.parent)}" for to in sorted(lost)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_a_translation_shows_the_commands_figures_names_and_links_of_its_page(page: Path) -> None:
    assert compared(page, page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("there", "instead", "fault"),
    [
        ("trimtab tune --task truthfulqa:mc_task.json", "trimtab tune --task bbq:bbq/", "has another block of code"),
        ("```python\n", "```python\n\n", "has another block of code"),
        ("`--max-factor`", "`--max`", "leaves out --max-factor"),
        ("0.01", "0.02", "has 0.02 besides"),
        ("（5％）", "", "leaves out 5"),
        ("| `tpe` |", "\n| `tpe` |", "has tables of"),
        ("](evaluate.md)", "](methods.md)", "leaves out a link to docs/evaluate.md"),
    ],
)
def test_what_a_translation_leaves_out_or_changes_is_found(there: str, instead: str, fault: str) -> None:
    page = DOCS / "ja" / "tune.md"
    text = page.read_text(encoding="utf-8")
    assert text.count(there) > 0
    assert fault in "\n".join(compared(page, text.replace(there, instead)))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_a_translation_links_to_translated_pages_where_there_are_some(page: Path) -> None:
    language = DOCS / page.relative_to(DOCS).parts[0]
    targets = (Path(os.path.normpath(page.parent / to)) for to in LINK.findall(prose(page.read_text(encoding="utf-8"))))
    english_pages = [to for to in targets if to.is_relative_to(DOCS) and not to.is_relative_to(language)]
    assert [to for to in english_pages if (language / to.relative_to(DOCS)) in PAGES] == []
