"""Tables as people save them: separators, names, encodings, and errors with their fix."""

import csv
import io

import pytest

from trimtab.behaviors import load
from trimtab.errors import InputError

ROWS = [("Tea, or not?", 'Say "yes"; please', "No|never"), ("Two\nlines?", "Sure: thing", "Tab\there")]
NAMES = ("prompt", "positive", "negative")


def refusal(path, **options) -> str:
    with pytest.raises(InputError) as caught:
        load(path, **options)
    return str(caught.value)


def table(separator: str, names=NAMES, rows=ROWS, end: str = "\r\n", quoting=csv.QUOTE_MINIMAL) -> str:
    stream = io.StringIO()
    csv.writer(stream, delimiter=separator, lineterminator=end, quoting=quoting).writerows([names, *rows])
    return stream.getvalue()


def read(tmp_path, content: str | bytes, name: str = "b.csv", **options):
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load(file, **options)


def texts(behavior) -> list[tuple[str, str, str]]:
    return [(e.prompt, e.positive.removeprefix(" "), e.negative.removeprefix(" ")) for e in behavior.examples]


# --- separators ---


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", ":", "^"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("name", ["b.csv", "b.txt", "b"])
def test_every_separator_gives_the_same_texts_and_lines(tmp_path, separator, quoting, end, name):
    behavior = read(tmp_path, table(separator, quoting=quoting, end=end), name)
    assert texts(behavior) == ROWS
    assert [e.source.rsplit(":", 1)[1] for e in behavior.examples] == ["2", "3"]
    assert any("between the cells" in note for note in behavior.notes) == (separator not in ",\t")


def test_excels_own_line_on_the_separator_is_taken_and_counted(tmp_path):
    behavior = read(tmp_path, "sep=;\r\n" + table(";"))
    assert texts(behavior) == ROWS
    assert behavior.examples[0].source.endswith(":3")


def test_a_prompt_full_of_another_separator_does_not_decide(tmp_path):
    assert texts(read(tmp_path, "prompt;positive;negative\na,b,c,d,e;f,g;h,i\n")) == [("a,b,c,d,e", "f,g", "h,i")]


def test_cells_are_read_as_the_standard_library_reads_them(tmp_path):
    rows = [('"', 'a""b', '""'), ("a\r\nb", "\n", ' "x" '), ("é\u2028", "c,;|", "d\t")]
    rows = [(p, f"{a}.", f"{b}.") for p, a, b in rows]
    behavior = read(tmp_path, table(",", rows=rows))
    assert [(e.prompt, e.positive.strip(), e.negative.strip()) for e in behavior.examples] == [
        (p, a.strip(), b.strip()) for p, a, b in rows
    ]


# --- names of columns ---


@pytest.mark.parametrize(
    "names",
    [
        ("Prompt", "Positive", "Negative"), ("PROMPT", "POSITIVE", "NEGATIVE"), (" prompt ", "positive ", " negative"),
        ("Question", "Chosen Response", "rejected-response"), ("Prompt", "Chosen", "Rejected"),
        ("\ufeffprompt", "positive", "negative"),
    ],
)  # fmt: skip
def test_names_are_told_in_any_case_and_spelling(tmp_path, names):
    assert texts(read(tmp_path, table(",", names=names))) == ROWS


def test_names_in_another_spelling_are_said(tmp_path):
    notes = read(tmp_path, table(",", names=("Prompt", "Positive", "negative"))).notes
    assert "read 'Prompt' as prompt, 'Positive' as positive" in notes


def test_names_in_another_spelling_and_of_another_tool_are_said_once(tmp_path):
    notes = read(tmp_path, table(",", names=("Question", "Chosen Response", "rejected"))).notes
    assert "read 'Question' as prompt, 'Chosen Response' as chosen" in notes
    assert sum(note.startswith("read '") for note in notes) == 1


def test_a_name_that_two_columns_could_have_is_not_guessed(tmp_path):
    content = "Positive,POSITIVE,negative\na,b,c\n"
    assert "also needs 'positive'" in refusal(write(tmp_path, content))


def write(tmp_path, content: str | bytes, name: str = "b.csv"):
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


@pytest.mark.parametrize(
    "content",
    [
        ",prompt,positive,negative\n0,a,b,c\n", "Unnamed: 0,prompt,positive,negative\n0,a,b,c\n",
        "prompt,positive,negative,,\na,b,c,,\n", "prompt,positive,negative\na,b,c,,,\n",
        "index,prompt,positive,negative\n7,a,b,c",
    ],
)  # fmt: skip
def test_index_columns_and_empty_columns_are_left_out(tmp_path, content):
    assert texts(read(tmp_path, content)) == [("a", "b", "c")]


def test_labelled_texts_without_names_are_told_the_line_to_put_above(tmp_path):
    message = refusal(write(tmp_path, "I love my tea so much\t1\nI hate my tea so much\t0\n", "b.txt"))
    assert message.endswith("put this line above it: text,label")


def test_texts_in_a_column_without_a_name_are_not_left_out_in_silence(tmp_path):
    message = refusal(write(tmp_path, ",positive,negative\nTea for you?,Sure.,Never.\n"))
    assert "b.csv:1: a column without a name contains texts, such as 'Tea for you?'; give it a name" in message


@pytest.mark.parametrize(("n", "line"), [(2, "positive,negative"), (3, "prompt,positive,negative")])
def test_a_table_without_names_is_told_the_line_to_put_above_it(tmp_path, n, line):
    content = table(
        ",", names=["I think the sea is wide"] * 0 or [f"I think the sea is wide {k}" for k in range(n)], rows=[]
    )
    message = refusal(write(tmp_path, content + content))
    assert message.startswith(f"{tmp_path}/b.csv:1: the first line should name the columns")
    assert message.endswith(f"put this line above it: {line}")


# --- values ---


def test_groups_as_numbers_and_missing_ones_are_read(tmp_path):
    lines = [
        f'{{"prompt": "p", "positive": "a", "negative": "b", "group": {group}}}'
        for group in ("7", "7.0", "NaN", "null", '""', '"g"', '"nan"')
    ]
    behavior = read(tmp_path, "\n".join(lines), "b.jsonl")
    assert [e.group for e in behavior.examples] == ["7", "7", "", "", "", "g", ""]


@pytest.mark.parametrize("missing", ["NaN", "null", '""', '"nan"'])
def test_prompts_that_are_missing_in_every_row_make_statements_and_say_so(tmp_path, missing):
    line = f'{{"prompt": {missing}, "positive": "a", "negative": "b"}}'
    behavior = read(tmp_path, f"{line}\n{line}", "b.jsonl")
    assert behavior.bare
    assert "every prompt is empty, so the answers are read as statements without one" in behavior.notes


def test_a_prompt_that_is_missing_in_one_row_is_an_error_there(tmp_path):
    rows = '{"prompt": "p", "positive": "a", "negative": "b"}\n{"prompt": NaN, "positive": "a", "negative": "b"}'
    assert "b.jsonl:2: " in refusal(write(tmp_path, rows, "b.jsonl"))


@pytest.mark.parametrize("word", ["NaN", "nan", "<NA>"])
def test_an_answer_that_pandas_wrote_for_a_missing_one_is_refused(tmp_path, word):
    message = refusal(write(tmp_path, f"prompt,positive,negative\np,{word},b\n"))
    assert f"b.csv:2: the answer in 'positive' is '{word}', pandas' mark of a missing one" in message


# --- encodings ---


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("separator", ["\t", ","])
def test_unicode_in_every_encoding_of_windows_is_read_and_said(tmp_path, encoding, separator):
    rows = [("Naïve café?", "Très bien", "Жаль"), ("茶?", "はい", "いいえ")]
    behavior = read(tmp_path, table(separator, rows=rows).encode(encoding))
    assert texts(behavior) == rows
    assert any("UTF-" in note for note in behavior.notes) == (encoding != "utf-8-sig")


def test_a_file_of_windows_1252_is_told_the_command_that_makes_it_utf8(tmp_path):
    message = refusal(write(tmp_path, table(",", rows=[("Un café noir?", "a", "b")]).encode("cp1252")))
    assert ":2: not UTF-8: byte 0xe9" in message
    assert f"if 'café' is the right text: iconv -f WINDOWS-1252 -t UTF-8 {tmp_path}/b.csv > utf8-b.csv" in message


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"\xd0\xcf\x11\xe0", "an old Excel workbook"), (b"%PDF-1.7", "a PDF"), (b"BZh9", "packed by bzip2"),
        (b"\x28\xb5\x2f\xfd", "packed by zstd"), (b"\x80\x04\x95", "a Python pickle"),
        (b"SQLite format 3\0", "a SQLite database"),
        (b"\x89PNG\r\n", "a picture"), (b"GGUF\3\0", "a GGUF model"), (b"\x93NUMPY\1", "a NumPy array"),
        (b"PK\x03\x04rest", "broken or locked Excel workbook"),
        (bytes(257) + b"ustar", "a tar archive"),
    ],
)  # fmt: skip
def test_files_that_hold_no_text_are_named_with_what_to_do(tmp_path, start, what):
    message = refusal(write(tmp_path, start + bytes(range(128, 256)) * 8))
    assert what in message
    assert "as UTF-8" not in message


def test_other_binary_files_are_not_told_to_be_saved_as_utf8(tmp_path):
    message = refusal(write(tmp_path, bytes(range(1, 256)) * 8))
    assert "this is not a text file" in message
    assert "save the file as UTF-8" not in message


# --- texts that are no tables ---


@pytest.mark.parametrize("name", ["b.txt", "b.md", "b"])
def test_a_text_is_told_how_its_other_side_comes_in(tmp_path, name):
    message = refusal(write(tmp_path, "I think the sea is wide, truly.\nThe hills are green.\n", name))
    assert f"{name}: a text of 2 lines, which can only be one side" in message
    assert "positive.txt and negative.txt" in message
    assert all(len(line) < 200 for line in message.split("\n"))


# --- broken tables ---


def test_an_open_quotation_mark_is_refused_where_it_opens(tmp_path):
    content = 'prompt,positive,negative\np,a,b\nq,"Well a,b\nr,a,b\ns,"Well a,b\n'
    message = refusal(write(tmp_path, content))
    assert message.startswith(f"{tmp_path}/b.csv:3: cannot be read as a table: the quotation mark before 'Well a,b'")
    behavior = load(tmp_path / "b.csv", skip_bad=True)
    assert [e.prompt for e in behavior.examples] == ["p", "r"]
    assert [e.source.rsplit(":", 1)[1] for e in behavior.examples] == ["2", "4"]


def test_rows_with_more_cells_than_names_are_refused_with_their_line(tmp_path):
    message = refusal(write(tmp_path, "prompt,positive,negative\np,a,b\nq,a, and more,b\n"))
    assert ":3: cannot be read as a table: 4 cells, but 3 column names; put quotation marks" in message


def test_a_table_of_markdown_is_refused_before_its_rule_becomes_a_row(tmp_path):
    content = "| prompt | positive | negative |\n|:---|---|---|\n| a | b | c |\n"
    assert "this is a Markdown table" in refusal(write(tmp_path, content, "b.md"))


def test_a_list_of_answers_in_one_field_is_told_to_be_rows(tmp_path):
    file = write(tmp_path, '{"prompt": "Tea?", "positive": ["a", "b"], "negative": ["c"]}', "b.jsonl")
    assert "b.jsonl:1: the field 'positive' must be a string, not list: it contains 2 texts; write a row" in refusal(
        file
    )


def test_a_formula_in_a_table_is_a_text(tmp_path):
    assert read(tmp_path, 'positive,negative\n"=A1&""x""",b\n').examples[0].positive == '=A1&"x"'


# --- messages ---


def test_unknown_fields_are_answered_over_short_lines_with_a_command(tmp_path):
    message = refusal(write(tmp_path, "topic,toxic,non-toxic\nnews,ugly words,kind words\n"))
    assert "found 'topic', 'toxic', 'non-toxic'" in message
    assert f"trimtab convert-data {tmp_path}/b.csv OUT.jsonl --positive toxic --negative non-toxic" in message
    assert max(map(len, message.split("\n"))) < 160 + len(str(tmp_path))
    behavior = load(tmp_path / "b.csv", fields={"positive": "non-toxic", "negative": "toxic"})
    assert texts(behavior) == [("", "kind words", "ugly words")]


def test_labelled_texts_under_other_names_get_the_command_for_them(tmp_path):
    file = write(tmp_path, "review,sentiment\na fine film,positive\na poor film,negative\n")
    assert f"trimtab convert-data {file} OUT.jsonl --text review --label sentiment" in refusal(file)
    behavior = load(file, fields={"text": "review", "label": "sentiment"})
    assert texts(behavior) == [("", "a fine film", "a poor film")]


def test_the_nearest_format_is_the_one_with_most_of_its_fields(tmp_path):
    for names, near in (
        ("prompt,chosen", "preferences, also needs 'rejected'"),
        ("prompt,positive,other", "prompts, also needs 'negative'"),
        ("input,preferred_output", "openai, also needs 'non_preferred_output'"),
        ("prompt,completion", "completions, also needs 'label'"),
        ("text,kind", "lists, also needs 'label'"),
    ):
        cells = ",".join("x" for _ in names.split(","))
        assert f"the nearest format, {near}" in refusal(write(tmp_path, f"{names}\n{cells}\n"))


def test_a_field_that_is_named_but_not_there_is_refused(tmp_path):
    file = write(tmp_path, table(","))
    assert "there is no field 'good'; found 'prompt', 'positive', 'negative'" in refusal(
        file, fields={"positive": "good"}
    )
    assert "unknown field 'side'" in refusal(file, fields={"side": "good"})
    assert "one field of the file two meanings" in refusal(file, fields={"positive": "a", "negative": "a"})
