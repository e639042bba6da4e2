"""What a behavior's texts and its name may hold, in files and in Python."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trimtab.behaviors import Behavior, Example, load
from trimtab.errors import InputError
from trimtab.texts import NAME_BYTES, Message, fit_name, name_fault, shown

ROWS = [Example("p", " a", " b")]
ANY = st.text(st.characters(codec=None, exclude_categories=()), max_size=150)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a/b", "contains '/'"),
        ("a\\b", "contains '\\\\\\\\'"),
        ("a\0", "NUL byte"),
        ("\x1b[31m", "contains '\\\\x1b'"),
        ("a\nb", "contains '\\\\n'"),
        ("\ud800", "half of a surrogate pair"),
        (".", "always means an existing folder"),
        ("..", "always means an existing folder"),
        (" ", "is empty"),
        ("é" * 51, "has 102 bytes in UTF-8, more than 100"),
    ],
)
def test_a_name_that_no_folder_can_have_is_refused(name, said):
    with pytest.raises(InputError, match=said) as caught:
        Behavior(name=name, examples=ROWS)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["é" * 50, "null", "...", "Tea & coffee: 2", "日本語", "-x"])
def test_other_names_are_taken_as_they_are(name):
    assert Behavior(name=name, examples=ROWS).name == name


@given(ANY)
@example("..")
@example("\ud800/\x1b")
@example("é" * 51)
def test_every_file_name_can_be_made_a_name_and_fitting_ones_stay(text):
    name = fit_name(text)
    assert name_fault(name) == ""
    assert fit_name(name) == name
    assert len(name.encode()) <= NAME_BYTES
    if not name_fault(text) and text.strip() == text and text.strip("."):
        assert name == text


@given(ANY)
def test_what_is_shown_can_be_encoded_and_holds_no_control_character(text):
    assert not any(ord(letter) < 32 or ord(letter) == 127 for letter in shown(text).encode().decode())
    assert len(shown(text, 20)) <= 20


@pytest.mark.parametrize("file", ["a\x1b[2Jb.jsonl", "a\udcffb.jsonl", "a\nb.jsonl", "é" * 100 + ".jsonl"])
def test_a_file_with_an_odd_name_is_read_under_a_fit_one_and_named_printably(tmp_path, file):
    (tmp_path / file).write_text('{"positive": "a", "negative": "b"}')
    behavior = load(tmp_path / file)
    assert behavior.name in ("a_[2Jb", "a_b", "é" * 50)
    assert behavior.examples[0].source.encode().decode().isprintable()


@pytest.mark.parametrize("field", ["prompt", "positive", "negative", "group", "source"])
def test_a_field_of_an_example_that_is_no_string_is_named_with_its_type(field):
    for value, kind in ((None, "NoneType"), (3, "int"), (b"x", "bytes")):
        with pytest.raises(InputError, match=rf"the field '{field}' must be a string, not {kind}"):
            Example(**{"prompt": "p", "positive": "a", "negative": "b", field: value})


def test_texts_that_no_tokenizer_takes_are_refused_in_python_too():
    with pytest.raises(InputError, match=r"f:3: the field 'positive' contains half of a surrogate pair"):
        Example("p", "\ud83d", "b", source="f:3")
    with pytest.raises(InputError, match="'negative_instruction' contains a NUL byte"):
        Behavior(name="x", examples=ROWS, positive_instruction="p", negative_instruction="\0")


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([Message("user", "x")], "must be a tuple of Message"),
        (({"role": "user", "content": "x"},), "must be a tuple of Message"),
        ((Message("user", 3),), r"'messages\[0\].content' must be a string, not int"),
    ],
)
def test_messages_of_another_type_are_refused(messages, said):
    with pytest.raises(InputError, match=said):
        Example("p", "a", "b", messages=messages)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": None}, "the field 'name' must be a string, not NoneType"),
        ({"description": 3}, "the field 'description' must be a string, not int"),
        ({"positive_instruction": ["p"]}, "the field 'positive_instruction' must be a string, not list"),
        ({"examples": None}, "'examples' must be a list of Example, not NoneType"),
        ({"examples": [("p", "a", "b")]}, "example 1 of 'x' must be an Example, not tuple"),
        ({"examples": []}, "behavior 'x' has no examples"),
        ({"notes": "a note"}, "'notes' must be a list of str, not str"),
        ({"pairing": "odd"}, "the pairing is 'odd'; use 'natural' or 'random'"),
    ],
)
def test_a_field_of_a_behavior_of_another_type_is_named(wrong, said):
    with pytest.raises(InputError, match=said):
        Behavior(**{"name": "x", "examples": ROWS, **wrong})


def test_derived_instructions_are_told_from_given_ones():
    assert Behavior(name="x", examples=ROWS).instructions_derived
    assert not Behavior(
        name="x", examples=ROWS, positive_instruction="p", negative_instruction="n"
    ).instructions_derived
