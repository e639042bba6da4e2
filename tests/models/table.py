"""The table of families in docs/models.md, by family and column."""

from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "models.md"


def lines() -> list[str]:
    """Its lines below the header, one for each family."""
    table = PAGE.read_text(encoding="utf-8").partition("| family |")[2]
    return [line for line in table.splitlines() if line.startswith("| ") and "`" in line]


def cells(family: str) -> dict[str, str]:
    """What the page says of a family, by the column's head."""
    header = PAGE.read_text(encoding="utf-8").partition("| family |")[2].partition("\n")[0]
    heads = ["family", *(head.strip() for head in header.strip().strip("|").split("|"))]
    (line,) = (line for line in lines() if line.startswith(f"| {family} |"))
    own = [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]
    assert len(own) == len(heads), f"{family}: {len(own)} cells in {len(heads)} columns"
    return dict(zip(heads, own, strict=True))
