"""A phrase is its English text, and keeps what it was made of through copies, files and records."""

import copy
import json
import pickle

from hypothesis import given
from hypothesis import strategies as st

from trimtab.phrases import Phrase, messages, recalled, untranslated, with_and, with_commas, with_semicolons
from trimtab.results.figures import Estimate

TEXTS = st.text(max_size=12)


def nested(inner: str) -> Phrase:
    return Phrase("{what}: {n} of {total}", what=Phrase("only “{word}”", word=inner), n=3, total="1,200")


def test_a_phrase_is_its_english_text() -> None:
    phrase = nested("yes")
    assert phrase == "only “yes”: 3 of 1,200"
    assert hash(phrase) == hash("only “yes”: 3 of 1,200")
    assert type(str(phrase)) is str


def test_a_template_without_values_is_taken_as_it_stands() -> None:
    assert Phrase("%{x:.3g} and {braces") == "%{x:.3g} and {braces"


@given(TEXTS)
def test_copies_keep_what_it_was_made_of(word: str) -> None:
    for same in (copy.deepcopy(nested(word)), pickle.loads(pickle.dumps(nested(word)))):
        assert same == nested(word)
        assert (same.template, same.values) == (nested(word).template, nested(word).values)
        inner = same.values["what"]
        assert isinstance(inner, Phrase)
        assert inner.values == {"word": word}


@given(TEXTS)
def test_what_a_file_keeps_gives_the_phrase_back(word: str) -> None:
    kept = messages([nested(word)])
    again = recalled(str(nested(word)), kept)
    assert again == nested(word)
    assert messages([again]) == kept


def test_messages_that_go_round_in_circles_end() -> None:
    kept = messages([nested("x")])
    text, inner = list(kept)
    kept[inner] = kept[inner].__class__("{back}", {}, {"back": text})
    assert recalled(text, kept) == text


def test_a_text_that_no_message_knows_is_a_phrase_without_values() -> None:
    assert recalled("anything {at} all", {}).values == {}
    assert untranslated(nested("x")).template == nested("x").template


def test_parts_stand_one_after_another() -> None:
    assert with_commas(["a", "b", "c"]) == "a, b, c"
    assert with_semicolons([Phrase("a"), "b"]) == "a; b"
    assert with_and(["a"]) == "a"
    assert with_and([]) == ""


def test_a_record_holds_the_phrase_and_writes_its_text() -> None:
    record = Estimate(reason=nested("x"))
    assert record.reason is not None
    assert record.reason.template == "{what}: {n} of {total}"
    assert json.loads(record.model_dump_json())["reason"] == nested("x")
    assert Estimate.model_validate_json(record.model_dump_json()) == record
    assert Estimate.model_json_schema()["properties"]["reason"]["anyOf"][0] == {"type": "string"}
