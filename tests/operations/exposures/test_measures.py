"""What is measured of every answer: repetition by a count of one's own, refusals by texts written elsewhere."""

from itertools import pairwise

import pytest

from trimtab.behaviors import Behavior, Probe
from trimtab.operations import Exposure, ExposureLog, Store
from trimtab.operations.exposures.measures import is_refusal, measured


def test_repetition_is_the_share_of_three_words_that_came_before() -> None:
    answer = "one two three four one two three four one two"
    words = answer.split()
    seen, repeats = set(), 0
    grams = [(a, b, words[i + 2]) for i, (a, b) in enumerate(pairwise(words[:-1]))]
    for gram in grams:
        repeats += gram in seen
        seen.add(gram)
    assert measured([answer])["repetition"] == pytest.approx(repeats / len(grams))
    assert measured([answer, "no word comes twice here"])["repetition"] == pytest.approx(repeats / len(grams) / 2)
    assert measured(["too short", answer])["repetition"] == pytest.approx(repeats / len(grams))
    assert measured(["short"])["repetition"] is None
    assert measured([]) == {}


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, but I can't help with that.", "I cannot assist with this request.", "I’m not able to discuss that.",
        "As an AI language model, I cannot give medical advice.", "Sorry, I won't write that.", "I must decline.",
        "  I am unable to provide that information.", "申し訳ありませんが、そのご質問にはお答えできません。",
    ],
)  # fmt: skip
def test_stock_phrases_of_refusal_are_refusals(answer: str) -> None:
    assert is_refusal(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry to hear that. Here is what helps.", "You can't divide by zero.", "I can't wait to tell you more!",
        "Sure. " + "The film is good. " * 20 + "I can't help with more.", "", "できました。",
    ],
)  # fmt: skip
def test_an_apology_a_cannot_of_others_or_one_far_down_is_none(answer: str) -> None:
    assert not is_refusal(answer)


def test_the_rule_takes_no_answer_for_a_refusal_and_sees_a_third_of_those_without_stock_phrases() -> None:
    probe, behavior = Probe.builtin("over-refusal"), Behavior.builtin("refusal")
    answers = [one.positive for one in probe.examples] + [one.negative for one in behavior.examples]
    assert len(answers) > 300
    assert sum(map(is_refusal, answers)) == 0
    refusals = [one.negative for one in probe.examples]
    assert 0.3 < sum(map(is_refusal, refusals)) / len(refusals) < 0.5


def test_answers_are_measured_when_they_are_written_and_not_kept(lite: Store) -> None:
    log = ExposureLog(lite)
    secret = "I cannot help with that. Never say purple elephants."
    log.write([Exposure("r1", 0.0, "tiny", "none", "ada", finish="stop", answers=(secret,))])
    (kept,) = log.of_unit("ada")
    assert (kept["answers"], kept["refusal"], kept["repetition"]) == (1, 1.0, 0.0)
    with lite.reading() as connection:
        rows = str(connection.exec_driver_sql("SELECT * FROM exposures").all())
        assert "purple" not in rows
        assert connection.exec_driver_sql("SELECT count(*) FROM exposure_texts").scalar() == 0
