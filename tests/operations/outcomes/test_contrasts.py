"""Feedback becomes contrast examples of those who agreed, without personal data, and lint reads them."""

import json
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from cryptography.fernet import Fernet
from tests.conftest import Run
from tests.operations.outcomes.conftest import exposed

from trimtab.behaviors import load
from trimtab.errors import InputError
from trimtab.operations import (
    ExposureLog,
    Metric,
    Outcome,
    OutcomeLog,
    Store,
    TextCipher,
    entries,
    export_contrasts,
    import_metrics,
)
from trimtab.operations.outcomes.masking import masked

LIKED = Metric.made(name="liked", feedback="thumbs", labels={"up": 1, "down": 0}, bounds=(0, 1))
CHAT = json.dumps([{"role": "user", "content": "How was the film?"}])


def said(number: int, answer: str, prompt: str = CHAT, **fields: Any) -> Any:
    return exposed(number, prompt=prompt, answer=answer, answers=(answer,), **fields)


def test_the_corrected_text_is_preferred_to_the_answer(store: Store, tmp_path: Path) -> None:
    ExposureLog(store).write([said(1, "Dull.")])
    log = OutcomeLog(store, texts=True)
    log.write([Outcome(request="r1", corrected_text="Fine.", consent=True)])
    log.write([Outcome(request="r1", corrected_text="It was a delight.", consent=True, who="page")])
    made = export_contrasts(store, tmp_path / "pairs.jsonl", by="ada", why="a fit")
    assert (made.corrections, made.preferences, made.left_out) == (1, 0, {})
    behavior = load(tmp_path / "pairs.jsonl")
    (example,) = behavior.examples
    assert (example.prompt, example.positive, example.negative) == (
        "How was the film?", " It was a delight.", " Dull.",
    )  # fmt: skip
    assert [(turn.role, turn.content) for turn in example.messages] == [("user", "How was the film?")]
    _, row = map(json.loads, (tmp_path / "pairs.jsonl").read_text().splitlines())
    (facts,) = row["provenance"]["negative"]["requests"]
    assert (row["provenance"]["kind"], facts["request"], facts["arm"], facts["artifact"]) == (
        "correction", "r1", "treatment", None,
    )  # fmt: skip
    (entry,) = entries(store)
    assert (entry.who, entry.what, entry.why) == ("ada", "feedback.export", "a fit")
    assert entry.after == {"rows": 1, "digest": behavior.digest, "release": None}


def test_of_the_same_prompt_the_better_answers_are_preferred_to_the_worse(store: Store, tmp_path: Path) -> None:
    answers = ["Good.", "Bad.", "Fine.", "Poor.", "So so."]
    ExposureLog(store).write([said(i, answer) for i, answer in enumerate(answers)] + [said(9, "Rain.", "Weather?")])
    scores = {0: 5, 1: 1, 2: 4, 3: 2, 4: 3, 9: 1}
    OutcomeLog(store, texts=True).write(
        [Outcome("stars", f"r{i}", value=score, consent=True) for i, score in scores.items()]
    )
    stars = Metric.made(name="stars", feedback="stars")
    file = tmp_path / "pairs.jsonl"
    made = export_contrasts(store, file, by="ada", metric=stars)
    assert (made.corrections, made.preferences) == (0, 2)
    assert [(e.positive, e.negative) for e in load(file).examples] == [(" Good.", " Bad."), (" Fine.", " Poor.")]
    first = file.read_bytes()
    export_contrasts(store, file, by="ada", metric=stars)
    assert file.read_bytes() == first
    fewer = Metric.made(name="fewer", feedback="stars", direction="lower")
    export_contrasts(store, file, by="ada", metric=fewer)
    assert [(e.positive, e.negative) for e in load(file).examples] == [(" Bad.", " Good."), (" Poor.", " Fine.")]


def test_the_same_answer_to_several_counts_by_its_mean(store: Store, tmp_path: Path) -> None:
    """At temperature 0 all of an arm get the same text."""
    ExposureLog(store).write(
        [said(i, ("Steered.", "Plain.")[i % 2], arm=("treatment", "control")[i % 2]) for i in range(6)]
    )
    labels = ("up", "up", "down", "down", "up", "down")  # steered 2 of 3, plain 1 of 3
    OutcomeLog(store, texts=True).write(
        [Outcome("thumbs", f"r{i}", label=label, consent=True) for i, label in enumerate(labels)]
    )
    made = export_contrasts(store, tmp_path / "pairs.jsonl", by="ada", metric=LIKED)
    assert made.preferences == 1
    _, row = map(json.loads, (tmp_path / "pairs.jsonl").read_text().splitlines())
    assert (row["positive"], row["negative"]) == (" Steered.", " Plain.")
    positive = row["provenance"]["positive"]
    assert positive["value"] == pytest.approx(2 / 3)
    assert [one["request"] for one in positive["requests"]] == ["r0", "r2", "r4"]


def test_no_text_is_preferred_in_one_row_and_rejected_in_another(lite: Store, tmp_path: Path, run: Run) -> None:
    ExposureLog(lite).write([said(1, "Plain."), said(2, "Steered."), said(3, "plain"), said(4, "Steered.")])
    log = OutcomeLog(lite, texts=True)
    log.write([Outcome("thumbs", f"r{i}", label=("up", "down")[i % 2], consent=True) for i in (1, 2, 3)])
    log.write([Outcome(request="r1", corrected_text="Better.", consent=True)])  # Plain is rejected, and not preferred
    log.write([Outcome(request="r3", corrected_text="Plain!", consent=True)])
    log.write([Outcome(request="r4", corrected_text="steered", consent=True)])
    fewer = Metric.made(name="fewer", feedback="thumbs", labels={"up": 0, "down": 1})
    made = export_contrasts(lite, tmp_path / "pairs.jsonl", by="ada", metric=fewer)
    assert (made.corrections, made.preferences) == (3, 0)
    assert made.left_out == {"rows that prefer what an earlier one rejects, or the reverse": 1}
    findings = json.loads(run("lint", str(tmp_path / "pairs.jsonl"), "--json")[1])["findings"]
    assert [finding for finding in findings if finding["severity"] == "error"] == []


def test_only_those_who_agree_last_are_taken(store: Store, tmp_path: Path) -> None:
    ExposureLog(store).write([said(i, f"Answer {i}.") for i in range(3)])
    log = OutcomeLog(store, texts=True)
    log.write([Outcome(request=f"r{i}", corrected_text=f"Better {i}.", consent=i > 0) for i in range(3)])
    log.write([Outcome("thumbs", "r2", label="up")])  # without consent: taken back
    log.write([Outcome("thumbs", "r1", label="up", source="judge")])  # not the user's word
    made = export_contrasts(store, tmp_path / "pairs.jsonl", by="ada")
    assert (made.corrections, made.left_out) == (1, {"without consent": 2})
    assert "Better 1" in (tmp_path / "pairs.jsonl").read_text()


def test_forgotten_and_unreadable_answers_are_left_out_and_counted(store: Store, tmp_path: Path) -> None:
    exposures, log = ExposureLog(store), OutcomeLog(store, texts=True)
    exposures.write([
        said(1, "One.", unit="ada"), said(2, "Two.", unit="bob"),
        said(3, "Three.", unit="bob", prompt="[[1, 2], [3]]"),
        exposed(4, unit="bob", prompt=CHAT, answer="[]", answers=("a", "b")),
        said(5, "Five.", unit="bob", release="other"),
    ])  # fmt: skip
    log.write([Outcome("thumbs", f"r{i}", label="up", consent=True) for i in (1, 2, 3, 4, 5)])
    log.write([Outcome(request=f"r{i}", corrected_text="Better.", consent=True) for i in (1, 2, 3, 5)])
    exposures.forget("ada", by="eve")
    made = export_contrasts(store, tmp_path / "pairs.jsonl", by="ada", release="first", metric=LIKED)
    assert made.corrections == 1
    assert made.left_out == {
        "whose texts are not kept (any more)": 1, "with several answers to one request": 1,
        "whose prompt is no chat that ends with the user, and no single text": 1,
    }  # fmt: skip


def test_nothing_is_written_where_there_is_nothing_and_a_former_file_stays(lite: Store, tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text("former")
    with pytest.raises(InputError, match="nothing to export: no feedback with texts"):
        export_contrasts(lite, file, by="ada")
    ExposureLog(lite).write([said(1, "Dull.")])
    OutcomeLog(lite, texts=True).write([Outcome(request="r1", corrected_text="Dull .", consent=False)])
    with pytest.raises(InputError, match="nothing to export: 1 without consent"):
        export_contrasts(lite, file, by="ada")
    with pytest.raises(InputError, match="is not one of feedback"):
        export_contrasts(lite, file, by="ada", metric=Metric.made(name="short", outcome="length"))
    assert file.read_text() == "former"
    assert list(entries(lite)) == []


def test_encrypted_texts_need_their_key(lite: Store, tmp_path: Path) -> None:
    cipher = TextCipher([Fernet.generate_key().decode()])
    ExposureLog(lite, cipher).write([said(1, "Dull.")])
    OutcomeLog(lite, cipher, texts=True).write([Outcome(request="r1", corrected_text="Bright.", consent=True)])
    with pytest.raises(InputError, match="none of the keys opens them"):
        export_contrasts(lite, tmp_path / "pairs.jsonl", by="ada")
    assert export_contrasts(lite, tmp_path / "pairs.jsonl", by="ada", cipher=cipher).corrections == 1


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Write to ada.l+x@mail.example.org.", "Write to [EMAIL]."),
        ("+44 20 7946 0958, (415) 555-2671, 030 901820", "[PHONE], [PHONE], [PHONE]"),
        ("4111 1111 1111 1111 or 5500-0000-0000-0004", "[CARD] or [CARD]"),
        ("GB82 WEST 1234 5698 7654 32 OR DE89370400440532013000", "[IBAN] OR [IBAN]"),
        ("192.168.10.4 and 2001:db8::1 and ::ffff:10.0.0.1", "[IP] and [IP] and [IP]"),
        ("In 2024-05-06 12:30:15 I had 12,500 of 3.14159265, 4111 1111 1111 1112", None),
        ("std::vector, a::b, version 1.2.3.4.5, 256.1.1.1, @ada, GB82 WEST 1234 5698 7654 33", None),
        ("", None),
    ],
)
def test_personal_data_is_masked_and_other_numbers_stay(text: str, clean: str | None) -> None:
    assert masked(text)[0] == (text if clean is None else clean)
    assert sum(masked(text)[1].values()) == (0 if clean is None else clean.count("["))


@pytest.mark.parametrize("piece", [":", "a", "1", "a@", "a.", "1 ", "GB82", "+4", "a:", "1.", "\u3042"])
def test_no_text_takes_long_to_mask(piece: str) -> None:
    began = perf_counter()
    masked(piece * (50_000 // len(piece)))
    assert perf_counter() - began < 20


def test_numbers_of_other_countries_are_masked_when_they_are_named() -> None:
    assert masked("Ring 044 668 18 00.", ["CH"])[0] == "Ring [PHONE]."
    with pytest.raises(InputError, match="'XX' is no country") as raised:
        masked("x", ["XX"])
    assert raised.value.field == "region"


def test_personal_data_is_masked_in_every_text_of_a_row(store: Store, tmp_path: Path) -> None:
    chat = json.dumps(
        [{"role": "system", "content": "Bob is bob@x.org"}, {"role": "user", "content": "Who? ada@x.org"}]
    )
    ExposureLog(store).write([said(1, "Me: eve@x.org", prompt=chat), said(2, "Ask a@x.org", prompt=chat)])
    log = OutcomeLog(store, texts=True)
    log.write([Outcome(request="r1", corrected_text="Call +44 20 7946 0958", consent=True)])
    log.write([Outcome(request="r2", corrected_text="Ask b@x.org", consent=True)])
    made = export_contrasts(store, tmp_path / "pairs.jsonl", by="ada")
    text = (tmp_path / "pairs.jsonl").read_text()
    assert "@" not in text
    assert "7946" not in text
    assert made.masked == {"EMAIL": 11, "PHONE": 1}
    assert made.left_out == {"rows whose sides do not differ without personal data": 1}


def test_the_command_writes_what_lint_reads(lite: Store, tmp_path: Path, run: Run) -> None:
    import_metrics(lite, [LIKED], by="ada")
    answers = [f"The {word} one, I would say." for word in ("first", "second", "third", "fourth", "fifth", "sixth")]
    ExposureLog(lite).write([said(i, answer) for i, answer in enumerate(answers)])
    OutcomeLog(lite, texts=True).write(
        [Outcome("thumbs", f"r{i}", label=("up", "down")[i % 2], consent=True) for i in range(6)]
    )
    pairs = str(tmp_path / "pairs.jsonl")
    given = ("--out", pairs, "--store", lite.place, "--metric", "liked", "--by", "ada")
    assert run("feedback", "export", *given)[:2] == (0, f"0 corrections and 3 preferences in {pairs}\n")
    code, out, _ = run("lint", pairs, "--json")
    assert (code, json.loads(out)["n"]) == (0, 3)
    code, out, err = run("feedback", "export", "--out", pairs, "--store", lite.place, "--metric", "likde")
    assert (code, out) == (2, "")
    assert "did you mean 'liked'?" in err
    assert "(--metric)" in err


FILE = '[liked]\nfeedback = "thumbs"\nlabels = {{ up = {} }}\nversion = {}\n'


def test_metrics_are_listed_checked_and_imported(tmp_path: Path, lite: Store, run: Run) -> None:
    file, place = tmp_path / "metrics.toml", ("--store", lite.place)
    file.write_text(FILE.format(1, 1))
    assert run("metrics", "check", str(file), *place)[:2] == (0, "liked would be new\n")
    assert run("metrics", "import", str(file), "--by", "ada", *place)[:2] == (0, "liked are new\n")
    assert run("metrics", "import", str(file), "--by", "ada", *place)[:2] == (0, "liked are unchanged\n")
    file.write_text(FILE.format(2, 1))
    code, _, err = run("metrics", "import", str(file), *place)
    assert code == 2
    assert "raise its version to 2" in err
    file.write_text(FILE.format(2, 2))
    code, out, _ = run("metrics", "import", str(file), "--json", *place)
    assert json.loads(out) == {"new": [], "changed": ["liked"], "unchanged": [], "live": []}
    listed = json.loads(run("metrics", "list", "--json", *place)[1])
    assert [(one["name"], one["version"]) for one in listed][-1] == ("liked", 2)
    built_in = run("metrics", "list", "--built-in")
    assert (built_in[0], "liked" in built_in[1], "repetition" in built_in[1]) == (0, False, True)
