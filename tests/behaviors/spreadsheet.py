"""Makes small Excel workbooks as their standard has them (ECMA-376), by hand."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

_MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def workbook(sheets: Mapping[str, Sequence[Sequence[object]]], *, shared: bool = True, extra: str = "") -> bytes:
    """The bytes of a workbook.

    Args:
        sheets: rows of cells by the sheet's name; a text that begins with `<` is a cell as XML.
        shared: whether texts stand in the shared table, as Excel writes them, or in the cells.
        extra: XML in front of the first sheet.
    """
    texts: list[str] = []
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        names = list(sheets)
        listed = "".join(f'<sheet name="{n}" sheetId="{k}" r:id="rId{k}"/>' for k, n in enumerate(names, 1))
        archive.writestr(
            "xl/workbook.xml", f'<workbook {_MAIN} xmlns:r="{_OFFICE}"><sheets>{listed}</sheets></workbook>'
        )
        links = "".join(
            f'<Relationship Id="rId{k}" Type="{_OFFICE}/worksheet" Target="worksheets/sheet{k}.xml"/>'
            for k in range(1, len(names) + 1)
        )
        archive.writestr("xl/_rels/workbook.xml.rels", f"<Relationships>{links}</Relationships>")
        for k, name in enumerate(names, 1):
            rows = "".join(_row(r, cells, texts if shared else None) for r, cells in enumerate(sheets[name], 1))
            archive.writestr(
                f"xl/worksheets/sheet{k}.xml", f"{extra}<worksheet {_MAIN}><sheetData>{rows}</sheetData></worksheet>"
            )
        items = "".join(f"<si><t>{escape(t)}</t></si>" for t in texts)
        archive.writestr("xl/sharedStrings.xml", f"<sst {_MAIN}>{items}</sst>")
    return target.getvalue()


def _row(number: int, cells: Sequence[object], texts: list[str] | None) -> str:
    return (
        f'<row r="{number}">'
        + "".join(_cell(f"{chr(65 + k)}{number}", c, texts) for k, c in enumerate(cells))
        + "</row>"
    )


def _cell(at: str, value: object, texts: list[str] | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return f'<c r="{at}" t="b"><v>{int(value)}</v></c>'
    if isinstance(value, int | float):
        return f'<c r="{at}"><v>{value}</v></c>'
    if str(value).startswith("<"):
        return f'<c r="{at}"{str(value)[2:]}' if str(value).startswith("<c") else f'<c r="{at}">{value}</c>'
    if texts is None:
        return f'<c r="{at}" t="inlineStr"><is><t>{escape(str(value))}</t></is></c>'
    texts.append(str(value))
    return f'<c r="{at}" t="s"><v>{len(texts) - 1}</v></c>'
