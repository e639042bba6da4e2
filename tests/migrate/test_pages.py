"""The code of the pages for those who come from other tools, without the other tools."""

import pytest
from tests.migrate.pages import FOLDER, blocks, owners
from tests.names import has, used_names

PAGES = sorted(page.stem for page in FOLDER.glob("*.md"))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_uses_names_that_trimtab_has(page: str) -> None:
    found = used_names(blocks(page, "trimtab"))
    assert {"load", "vector", "convert"} & set(found)
    assert not [name for name in found if not has(name)]


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_whose_it_is_and_is_python(page: str) -> None:
    text = (FOLDER / f"{page}.md").read_text(encoding="utf-8")
    assert len(owners(page)) == text.count("```python\n")
    compile(blocks(page, *owners(page)), page, "exec")
