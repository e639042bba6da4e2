"""Excel workbooks: what is read, and what is refused with its sheet and cell."""

import zipfile

import pytest
from tests.behaviors.spreadsheet import workbook

from trimtab.behaviors import load, opening
from trimtab.errors import InputError

HEAD = ["Prompt", "Positive", "Negative", "Group"]
ROW = ["Tea & milk?", "Sure.", "Never.", 7]


def read(tmp_path, data: bytes, **options):
    file = tmp_path / "b.xlsx"
    file.write_bytes(data)
    return load(file, **options)


def refusal(tmp_path, data: bytes) -> str:
    with pytest.raises(InputError) as caught:
        read(tmp_path, data)
    return str(caught.value)


@pytest.mark.parametrize("shared", [True, False])
def test_the_first_sheet_with_rows_is_read_with_its_cells_as_places(tmp_path, shared):
    sheets = {"Notes": [], "Pairs": [HEAD, ROW, [None, None], ["Up?", "Yes.", "No.", None]], "Old": [["x"], ["y"]]}
    behavior = read(tmp_path, workbook(sheets, shared=shared))
    assert [(e.prompt, e.positive, e.negative, e.group) for e in behavior.examples] == [
        ("Tea & milk?", " Sure.", " Never.", "7"), ("Up?", " Yes.", " No.", ""),
    ]  # fmt: skip
    assert [e.source.split("/")[-1] for e in behavior.examples] == ["b.xlsx:Pairs!2", "b.xlsx:Pairs!4"]
    assert "read from the sheet 'Pairs'; 'Old' not read" in behavior.notes


def test_the_index_that_pandas_writes_is_left_out(tmp_path):
    behavior = read(tmp_path, workbook({"S": [[None, *HEAD], [0, *ROW]]}))
    assert (behavior.examples[0].prompt, behavior.examples[0].group) == ("Tea & milk?", "7")


def test_labels_as_truth_values_and_numbers_are_read(tmp_path):
    rows: list[list[object]] = [["text", "label"], ["a", True], ["b", False], ["c", 1], ["d", 0.0]]
    assert [e.positive for e in read(tmp_path, workbook({"S": rows})).examples] == ["a", "c"]


def test_texts_in_runs_of_several_styles_are_whole_and_readings_are_left_out(tmp_path):
    cell = (
        '<c t="inlineStr"><is><r><t>Su</t></r><r><rPr/><t>re_x000D_.</t></r><rPh sb="0" eb="1"><t>no</t></rPh></is></c>'
    )
    assert read(tmp_path, workbook({"S": [HEAD[:3], ["p", cell, "x"]]})).examples[0].positive == " Sure\r."


def test_the_result_of_a_formula_is_read_and_a_formula_without_one_is_refused(tmp_path):
    cell = '<c t="str"><f>A1&amp;"."</f><v>Sure.</v></c>'
    assert read(tmp_path, workbook({"S": [HEAD[:3], ["p", cell, "x"]]})).examples[0].positive == " Sure."
    message = refusal(tmp_path, workbook({"S": [HEAD[:3], ["p", "<c><f>A1</f></c>", "x"]]}))
    assert "b.xlsx:S!B2: a formula without its result; open and save it in Excel" in message


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([HEAD[:3], ["p", '<c t="e"><v>#N/A</v></c>', "x"]], "S!B2: the cell contains the error #N/A"),
        ([HEAD[:3], ["p", '<c t="s"><v>99</v></c>', "x"]], "S!B2: the cell points to a text that is not there"),
        ([["positive", "positive"], ["a", "b"]], "S!1: two columns have the same name"),
        ([["positive", "negative"], ["a", "b", "Tea for you?"]], "S!C2: a text in a column without a name"),
        ([], "the workbook is empty"),
        ([["positive", "negative"]], "no rows"),
    ],
)
def test_cells_that_cannot_be_read_are_refused_with_their_place(tmp_path, rows, said):
    assert said in refusal(tmp_path, workbook({"S": rows}))


def test_a_workbook_that_unpacks_beyond_the_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "MAX_BYTES", 1 << 20)
    bomb = workbook({"S": [HEAD[:3], ["p", "a" * (2 << 20), "x"]]}, shared=False)
    assert len(bomb) < 1 << 20
    assert "the workbook unpacks to something larger than" in refusal(tmp_path, bomb)


def test_entities_are_refused_before_they_grow(tmp_path):
    entities = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    assert "the workbook declares entities" in refusal(tmp_path, workbook({"S": [HEAD, ROW]}, extra=entities))


def test_other_zip_files_are_named(tmp_path):
    for name, said in (("a.csv", "this is a zip archive; unpack it"), ("mimetype", "this is an OpenDocument file")):
        with zipfile.ZipFile(tmp_path / "b.xlsx", "w") as archive:
            archive.writestr(name, "x")
        assert said in refusal(tmp_path, (tmp_path / "b.xlsx").read_bytes())


def test_a_broken_workbook_is_refused(tmp_path):
    whole = workbook({"S": [HEAD, ROW]})
    for data in (whole[:60], whole[:-30], whole.replace(b"sheet1", b"sheet9", 1)):
        assert "broken or locked Excel workbook" in refusal(tmp_path, data)
