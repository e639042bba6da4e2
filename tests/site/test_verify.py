"""The look at the built pages finds links that lead nowhere, and whatever would come from another host."""

from pathlib import Path

import pytest
from docs.site.verify import faults

GOOD = '<h1 id="top">T</h1><a href="#top">a</a><a href="other.html#x">b</a><a href="https://host/">c</a>'


def found(folder: Path, page: str) -> list[str]:
    (folder / "index.html").write_text(page)
    (folder / "other.html").write_text('<p id="x"><a href="index.html">home</a></p>')
    return list(faults(folder))


def test_good_pages_have_no_faults(tmp_path: Path) -> None:
    assert found(tmp_path, GOOD) == []


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ('<a href="gone.html">a</a>', "links to gone.html: there is no such file"),
        ('<a href="#gone">a</a>', "links to #gone: there is no such heading"),
        ('<a href="other.html#gone">a</a>', "links to other.html#gone: there is no such heading"),
        ('<img src="gone.png">', "links to gone.png: there is no such file"),
        ('<script src="https://host/a.js"></script>', "loads https://host/a.js"),
        ('<link rel="stylesheet" href="//host/a.css">', "loads //host/a.css"),
        ("<style>@import 'https://host/a.css';</style>", "loads https://host/a.css"),
        ('<p style="background: url(https://host/a.png)">', "loads https://host/a.png"),
    ],
)
def test_faults_are_named_with_their_page(page: str, said: str, tmp_path: Path) -> None:
    assert found(tmp_path, page) == [f"index.html {said}"]


def test_style_sheets_that_load_from_elsewhere_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("@font-face { src: url('https://host/font.woff2') }")
    assert found(tmp_path, GOOD) == ["a.css loads https://host/font.woff2"]
