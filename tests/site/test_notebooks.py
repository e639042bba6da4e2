"""A notebook becomes a page with its text and its code."""

from pathlib import Path

from docs.site import notebooks

NOTEBOOK = """# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %% [markdown]
# # A title
#
# Text, with `code`.

# %%
x = 1  # a remark
# alone
print(x)

# %% [markdown]
# - the end
"""


def test_a_notebook_is_a_page_with_its_prose_and_its_code() -> None:
    assert notebooks.page(NOTEBOOK) == (
        "# A title\n\nText, with `code`.\n\n```python\nx = 1  # a remark\n# alone\nprint(x)\n```\n\n- the end\n"
    )


def test_other_python_files_are_no_notebooks(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(NOTEBOOK)
    (tmp_path / "b.py").write_text("import marimo\n")
    assert [notebooks.is_notebook(tmp_path / name) for name in ("a.py", "b.py")] == [True, False]
