"""Feedback belongs to the answer it is about; the last of the same kind counts, all are kept, and texts are guarded."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text
from tests.operations.outcomes.conftest import exposed

from trimtab.errors import InputError, TrimtabError
from trimtab.operations import ExposureLog, Outcome, OutcomeLog, Store, TextCipher, entries


def rows(log: OutcomeLog, request: str = "r1") -> list[dict[str, Any]]:
    return list(log.of_request(request))


def test_an_outcome_is_kept_with_who_gave_it_and_when(store: Store) -> None:
    ExposureLog(store).write([exposed(1)])
    log = OutcomeLog(store)
    (kept,) = log.write([Outcome("rating", "r1", value=4, who="help page", happened=1234.5, consent=True)])
    assert (kept.request, kept.matched, kept.again) == ("r1", True, False)
    (row,) = rows(log)
    came = row.pop("came")
    assert came > 1.7e9
    assert row == {
        "number": kept.number, "request": "r1", "metric": "rating", "source": "user", "value": 4.0, "label": None,
        "who": "help page", "by_unit": False, "consent": True, "happened": 1234.5,
    }  # fmt: skip


def test_feedback_for_a_unit_is_about_its_last_answer(store: Store) -> None:
    ExposureLog(store).write([exposed(1), exposed(2, unit="bob"), exposed(3)])
    log = OutcomeLog(store)
    (kept,) = log.write([Outcome("rating", unit="ada", value=2)])
    assert (kept.request, rows(log, "r3")[0]["by_unit"]) == ("r3", True)
    with pytest.raises(InputError, match="no record of an answer to this unit") as raised:
        log.write([Outcome("rating", unit="eve", value=2)])
    assert (raised.value.code, raised.value.field) == ("unknown-choice", "unit")


def test_an_unknown_request_is_refused_unless_its_exposure_may_come(store: Store) -> None:
    log = OutcomeLog(store)
    with pytest.raises(InputError, match="no record of a request 'r1'") as raised:
        log.write([Outcome("rating", "r1", value=2)])
    assert (raised.value.code, raised.value.field) == ("unknown-choice", "request")
    (kept,) = log.write([Outcome("rating", "r1", value=2)], may_come=True)
    assert not kept.matched
    assert len(rows(log)) == 1


def test_several_are_kept_all_or_none(store: Store) -> None:
    ExposureLog(store).write([exposed(1)])
    log = OutcomeLog(store)
    with pytest.raises(InputError, match="no record"):
        log.write([Outcome("rating", "r1", value=2), Outcome("rating", "r2", value=2)])
    assert rows(log) == []


def test_the_same_call_with_its_key_is_kept_once(store: Store) -> None:
    ExposureLog(store).write([exposed(1)])
    log = OutcomeLog(store)
    one = Outcome("rating", "r1", value=2, who="a", key="k")
    first, again = log.write([one]), log.write([one])
    assert (first[0].again, again[0].again, again[0].number) == (False, True, first[0].number)
    log.write([Outcome("rating", "r1", value=2, who="b", key="k")])  # another key's key
    assert len(rows(log)) == 2
    for other in (
        Outcome("rating", "r1", value=3, who="a", key="k"),
        Outcome("rating", "r9", value=2, who="a", key="k"),
    ):
        with pytest.raises(InputError, match="came before with other content") as raised:
            log.write([other])
        assert raised.value.code == "conflict"


def test_words_are_refused_by_name_where_no_texts_are_kept(store: Store) -> None:
    ExposureLog(store).write([exposed(1, answer="Hello.")])
    for field in ("comment", "corrected_text"):
        with pytest.raises(InputError, match=f"^{field}: no texts are kept here") as raised:
            OutcomeLog(store).write([Outcome("rating", "r1", value=2, **{field: "words"})])
        assert raised.value.field == field
    assert rows(OutcomeLog(store)) == []


def test_words_are_encrypted_like_the_texts_of_exposures(lite: Store) -> None:
    cipher = TextCipher([Fernet.generate_key().decode()])
    ExposureLog(lite, cipher).write([exposed(1, prompt="Who?", answer="Nobody knows.")])
    log = OutcomeLog(lite, cipher, texts=True)
    log.write([Outcome("rating", "r1", value=2, comment="too vague", corrected_text="Somebody knows.")])
    assert [row.get("comment") or row.get("corrected_text") for row in rows(log)] == ["too vague", "Somebody knows."]
    raw = Path(lite.place).read_bytes() + Path(f"{lite.place}-wal").read_bytes()
    assert b"vague" not in raw
    assert b"Somebody" not in raw
    with pytest.raises(InputError, match="none of the keys opens them"):
        rows(OutcomeLog(lite))


@pytest.mark.parametrize(
    ("answer", "corrected", "distance"),
    [("kitten", "sitting", 3 / 7), ("same", "same", 0.0), ("abcd", "wxyz", 1.0), ("abc", "abcd", 1 / 4)],
)
def test_a_corrected_text_counts_by_its_edit_distance(
    lite: Store, answer: str, corrected: str, distance: float
) -> None:
    ExposureLog(lite).write([exposed(1, answer=answer)])
    log = OutcomeLog(lite, texts=True)
    log.write([Outcome(request="r1", corrected_text=corrected)])
    (row,) = rows(log)
    assert (row["metric"], row["source"], row["value"]) == ("edit_distance", "system", pytest.approx(distance))
    assert row["corrected_text"] == corrected


def test_what_cannot_be_corrected_is_refused(lite: Store) -> None:
    ExposureLog(lite).write([exposed(1), exposed(2, answer='["a", "b"]', answers=("a", "b"))])
    log = OutcomeLog(lite, texts=True)
    for request, why in (("r1", "not kept"), ("r2", "several answers"), ("r3", "no record")):
        with pytest.raises(InputError, match=why):
            log.write([Outcome(request=request, corrected_text="c")], may_come=True)


def test_forgetting_a_unit_removes_what_its_feedback_says_in_words(store: Store) -> None:
    exposures, log = ExposureLog(store), OutcomeLog(store, texts=True)
    exposures.write([exposed(1, answer="Hi."), exposed(2, unit="bob", answer="Hi.")])
    log.write([Outcome("rating", r, value=2, comment="mine", corrected_text="Hello.") for r in ("r1", "r2")])
    assert exposures.forget("ada", by="eve") == (3, 1)  # comment, corrected text, answer
    said = [[row.get("comment"), row.get("corrected_text"), row["value"]] for row in rows(log)]
    assert said == [[None, None, 2.0], [None, None, pytest.approx(4 / 6)]]
    assert [row.get("comment") for row in rows(log, "r2")] == ["mine", None]
    (entry,) = entries(store)
    assert entry.after == {"texts_removed": 3, "exposures_unlinked": 1}
    with pytest.raises(InputError, match="no record of an answer to this unit"):
        log.write([Outcome("rating", unit="ada", value=1)])


def test_words_expire_with_the_other_texts(store: Store) -> None:
    log = OutcomeLog(store, texts=True)
    exposures = ExposureLog(store)
    exposures.write([exposed(1, answer="Hi.", time=4e9)])
    log.write([Outcome("rating", "r1", value=2, comment="mine")])
    assert exposures.expire(30, by="keeper") == 0
    assert exposures.expire(1, by="keeper", now=3e9) == 1
    assert "comment" not in rows(log)[0]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE outcomes SET value = 9", "DELETE FROM outcomes", "UPDATE outcomes SET consent = true",
        "UPDATE metric_definitions SET content = ''", "DELETE FROM metric_definitions",
    ],
)  # fmt: skip
def test_the_database_refuses_to_change_outcomes_and_definitions(store: Store, release, change: str) -> None:
    release()
    ExposureLog(store).write([exposed(1)])
    OutcomeLog(store).write([Outcome("rating", "r1", value=2)])
    with pytest.raises(TrimtabError, match="append-only"), store.writing() as connection:
        connection.execute(text(change))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"metric": "rating", "value": 1}, "request or a unit"),
        ({"metric": "rating", "value": 1, "request": "r", "unit": "u"}, "request or a unit"),
        ({"metric": "rating", "request": "r"}, "value or a label"),
        ({"metric": "rating", "request": "r", "value": 1, "label": "x"}, "value or a label"),
        ({"metric": "Rating!", "request": "r", "value": 1}, "no name of a metric"),
        ({"request": "r", "value": 1, "corrected_text": "c"}, "no name of a metric"),
        ({"request": "r"}, "no name of a metric"),
        ({"metric": "latency", "request": "r", "value": 1}, "measured by the server itself"),
        ({"metric": "rating", "request": "r", "value": float("nan")}, "finite"),
        ({"metric": "rating", "request": "r", "value": 1, "happened": float("inf")}, "finite"),
        ({"metric": "rating", "request": "r", "label": "  "}, "not all blank"),
        ({"metric": "rating", "request": "r", "label": "x" * 101}, "101 characters"),
        ({"metric": "rating", "request": "r\0", "value": 1}, "NUL"),
        ({"metric": "rating", "request": "r", "value": 1, "source": "cat"}, "no source"),
    ],
)
def test_outcomes_that_are_none_are_refused(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(InputError, match=why):
        Outcome(**fields)
