"""The site is put together of all pages, and every link goes along."""

import tomllib
from pathlib import Path, PurePosixPath

import pytest
from docs.site import stage
from docs.site.stage import Nav, SiteError, Staging, joined, menu, named, spaced


def whole(language: str) -> Nav:
    """The menu of a language with all pages that it has, but for those made out of patterns when the site is built."""
    nav: Nav = tomllib.loads((stage.HERE / "nav.toml").read_text())[language]
    generated = {entry for entry in named(nav) if entry.startswith("reference/") and "*" not in entry}
    return menu(nav, stage.written(language) | generated)


@pytest.mark.parametrize("language", stage.LANGUAGES)
def test_the_menus_lead_to_every_page(language: str) -> None:
    assert stage.written(language) <= set(named(whole(language)))


def test_the_first_page_leads_to_every_how_to() -> None:
    (pages,) = (entry["How-tos"] for entry in whole("en") if isinstance(entry, dict) and "How-tos" in entry)
    first = (stage.DOCS / "index.md").read_text(encoding="utf-8")
    assert [page for page in named(pages) if f"]({page})" not in first] == []


def test_every_japanese_page_has_its_english_one() -> None:
    assert stage.written("ja") <= stage.written("en")


def test_patterns_stand_for_pages_that_are_named_nowhere_else_and_empty_sections_go() -> None:
    nav = ["a.md", {"More": ["b/*.md", "b/last.md"]}, {"None": ["c/*.md"]}, {"Taken": ["b/o*.md"]}]
    there = {"a.md", "b/two.md", "b/one.md", "b/last.md"}
    assert menu(nav, there) == ["a.md", {"More": ["b/one.md", "b/two.md", "b/last.md"]}]


def test_pages_without_an_entry_and_entries_without_a_page_are_refused() -> None:
    with pytest.raises(SiteError, match=r"no menu leads to b\.md"):
        menu(["a.md"], {"a.md", "b.md"})
    with pytest.raises(SiteError, match=r"not there: b\.md"):
        menu(["a.md", "b.md"], {"a.md"})


def test_files_outside_the_pages_are_brought_along_with_what_they_link_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docs = tmp_path / "docs"
    (docs / "deep").mkdir(parents=True)
    (tmp_path / "SECURITY.md").write_text("see [the page](docs/deep/page.md#a)")
    (tmp_path / "x.json").write_text("{}")
    page = docs / "deep" / "page.md"
    page.write_text("[s](../../SECURITY.md) [x](../../x.json) [web](https://host/a)\n```\n[kept](../../x.json)\n```\n")
    monkeypatch.setattr(stage, "ROOT", tmp_path)
    monkeypatch.setattr(stage, "DOCS", docs)
    target = tmp_path / "project"
    Staging("en", target).page(page, PurePosixPath("deep/page.md"))
    assert (target / "deep" / "page.md").read_text() == (
        "[s](../repository/SECURITY.md) [x](../repository/x.json) [web](https://host/a)\n```\n[kept](../../x.json)\n```\n"
    )
    assert (target / "repository" / "SECURITY.md").read_text() == "see [the page](../deep/page.md#a)"
    assert (target / "repository" / "x.json").read_text() == "{}"


def test_other_languages_lead_to_english_pages_beside_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docs = tmp_path / "docs"
    page = docs / "ja" / "deep" / "page.md"
    page.parent.mkdir(parents=True)
    (docs / "x.png").write_bytes(b"a picture")
    page.write_text(
        "[`x`](../../live.md#a) [rows](../../a.jsonl) [y](other.md) ![z](../../x.png)\n[s](../../../SECURITY.md)"
        " [r](../../../src/README.md)"
    )
    monkeypatch.setattr(stage, "ROOT", tmp_path)
    monkeypatch.setattr(stage, "DOCS", docs)
    Staging("ja", tmp_path / "project").page(page, PurePosixPath("deep/page.md"))
    text = (tmp_path / "project" / "deep" / "page.md").read_text()
    assert text == (
        '<a href="../../live.html#a" hreflang="en">`x`</a> <a href="../../a.jsonl" hreflang="en">rows</a> [y](other.md)'
        " ![z](../repository/docs/x.png)\n"
        '<a href="../../repository/SECURITY.html" hreflang="en">s</a>'
        ' <a href="../../repository/src/index.html" hreflang="en">r</a>'
    )
    assert (tmp_path / "project" / "repository" / "docs" / "x.png").read_bytes() == b"a picture"


def test_lists_get_the_blank_line_that_github_does_without() -> None:
    assert spaced("said:\n- a\n  more\n- b\n\n1. c\n2. d") == "said:\n\n- a\n  more\n- b\n\n1. c\n2. d"


def test_japanese_sentences_are_not_torn_apart_by_spaces() -> None:
    assert (
        joined("一行目。\n二行目は\n[続く](a.md)。\n\n- 項目\n- 項目\n")
        == "一行目。二行目は[続く](a.md)。\n\n- 項目\n- 項目\n"
    )
    assert joined("- 項目は\n  続く、\n  CSV も。\n  - 内側。\n1. 一。\n2. 二。\n") == (
        "- 項目は続く、CSV も。\n  - 内側。\n1. 一。\n2. 二。\n"
    )
    assert joined("English\n日本語\n| 表 |\n|---|") == "English\n日本語\n| 表 |\n|---|"
