"""What keeps a success from counting, and that desired answers have to get likelier."""

import numpy as np
import pytest

from trimtab.behaviors import Finding
from trimtab.experiment.contrasts import ContrastMaker
from trimtab.experiment.instrument import Propensity
from trimtab.measurements.effects import Steered
from trimtab.results.consequences import Direction, ExampleGroup, Grouping, RandomDirectionBaseline
from trimtab.results.figures import Estimate
from trimtab.results.report import Wording
from trimtab.verdict import blocking
from trimtab.verdict.decide import about_groups, about_subjects
from trimtab.verdict.decision import Thresholds, conclude
from trimtab.verdict.requirements import DESIRED, requirements

N = 120


def steered(plus: float, minus: float, spread: float = 0.05) -> Steered:
    """Examples whose desired answers change by `plus` and whose undesired ones change by `minus`."""
    rng = np.random.default_rng(0)
    zero = np.zeros(N)

    def moved(sign: float) -> Propensity:
        up, down = (sign * (mean + spread * rng.standard_normal(N)) for mean in (plus, minus))
        return Propensity(up, down, up, down)

    maker = ContrastMaker(tuple(map(str, range(N))), False, 0)
    return Steered(Propensity(zero, zero, zero, zero), moved(1.0), moved(-1.0), maker)


def decision(result: Steered, **thresholds: bool) -> tuple[str, tuple[str, ...]]:
    needs = requirements(result, Thresholds(0.05, **thresholds), "nats/token", RandomDirectionBaseline(), {})
    conclusion = conclude(needs, [])
    return conclusion.decision, conclusion.failed


def test_an_effect_that_is_all_undesired_answers_falling_is_a_no_go():
    assert decision(steered(-0.1, -0.45)) == ("no-go", (DESIRED,))


def test_the_loss_of_desired_answers_can_be_allowed():
    assert decision(steered(-0.1, -0.45), allow_desired_loss=True)[0] == "go"


def test_desired_answers_that_may_or_may_not_rise_do_not_leave_the_verdict_open():
    result = steered(0.0, -0.4)
    (side,) = [
        r
        for r in requirements(result, Thresholds(0.05), "nats/token", RandomDirectionBaseline(), {})
        if r.name == DESIRED
    ]
    assert side.holds is None
    assert decision(result)[0] == "go"


def test_the_sides_of_an_effect_are_its_sides():
    result = steered(0.1, -0.3)
    effect = result.effect
    assert effect.side("positive").value == pytest.approx(0.1, abs=0.02)
    assert effect.side("negative").value == pytest.approx(-0.3, abs=0.02)
    assert effect.mean().value == pytest.approx(effect.side("positive").value - effect.side("negative").value)
    assert effect.side_below_zero("positive").value == np.mean(effect.positive < 0)


def test_a_word_that_carries_the_effect_is_named_and_blocks():
    gone = Wording(words={"marigold": 1.0}, without=Estimate(value=0.01, low=-0.01, high=0.03, n=100))
    (message,) = blocking.of_wording(gone, 0.05)
    assert message.startswith("steers toward the word “marigold”: without it in the answers the effect is 0.01")
    left = gone.model_copy(update={"without": Estimate(value=0.3, low=0.2, high=0.4, n=100)})
    assert blocking.of_wording(left, 0.05) == []
    assert blocking.of_wording(Wording(), 0.05) == []


def test_answers_that_vanish_without_their_word_block_too():
    result = Wording(
        words={"a": 1.0, "b": 0.9}, without=Estimate(reason="too few answers are left without these words")
    )
    (message,) = blocking.of_wording(result, 0.05)
    assert "the words “a”, “b”: without them there is nothing to measure: too few answers" in message


SHORT = Estimate(value=0.0, low=0.0, high=0.02, n=200)


def test_nothing_but_length_blocks_unless_pairs_of_equal_length_show_the_effect():
    (message,) = blocking.of_length(SHORT, Estimate(reason="no pairs of equal length"), ())
    assert "the desired answers are shorter" in message
    assert "no pairs of equal length" in message
    assert blocking.of_length(SHORT, Estimate(value=0.2, low=-0.1, high=0.5, n=9), ())
    assert blocking.of_length(SHORT, Estimate(value=0.2, low=0.1, high=0.3, n=40), ()) == []
    assert blocking.of_length(Estimate(value=0.7, low=0.6, high=0.8, n=200), Estimate(reason="none"), ()) == []
    assert blocking.of_length(SHORT, Estimate(reason="none"), ("length-words",)) == []


def test_two_behaviors_are_named_with_examples_of_both():
    tests = Direction(
        p_value=0.001, halves_cosine=0.08, halves_expected=0.8, halves_p_value=0.002, halves=(("a tea",), ("a goal",))
    )
    (message,) = blocking.of_mixture(tests)
    assert "split the file" in message
    assert "“a tea”; “a goal”" in message
    assert blocking.of_mixture(tests.model_copy(update={"halves_cosine": 0.6})) == []
    assert blocking.of_mixture(tests.model_copy(update={"halves_p_value": 0.3})) == []
    assert blocking.of_mixture(Direction(reason="none")) == []


def test_groups_with_directions_of_their_own_are_named_and_asked_about():
    def group(cosine, prompt, **figures):
        effect = Estimate(value=0.3 * cosine, low=-0.1, high=0.5, n=40)
        wrong = Estimate(value=0.5 - cosine / 2, low=0.0, high=1.0, n=40)
        given = {"effect": effect, "anti_steerable": wrong, **figures}
        return ExampleGroup(share=0.5, n_train=50, cosine=cosine, prompts=(prompt,), **given)

    few = Estimate(reason="fewer than two evaluation examples are like these")
    grouping = Grouping(
        p_value=0.006, groups=(group(0.9, "a tea"), group(-0.4, "a goal", effect=few, anti_steerable=few))
    )
    said = about_groups(grouping)
    assert said == (
        "by their prompts the training examples fall into 2 groups, whose directions differ (p = 0.006): 50% like “a "
        "tea”, where the one vector has an effect of +0.27 [-0.10, 0.50] and pushes 5% [0%, 100%] the wrong way; 50% "
        "like “a goal” (fewer than two evaluation examples are like these). Are these 2 behaviors in one file?"
    )
    tests = Direction(p_value=0.001, halves_cosine=0.5, halves_expected=0.8, halves_p_value=0.01, grouping=grouping)
    assert about_subjects(tests).endswith(f"random halves 0.80 (p = 0.01); {said}")
    one = Grouping(p_value=0.006, groups=(group(0.9, "a tea"), group(0.8, "a goal")))
    for other in (one, grouping.model_copy(update={"p_value": 0.2}), Grouping(reason="none")):
        assert about_groups(other) is None
        assert about_subjects(tests.model_copy(update={"grouping": other})).endswith("random halves 0.80 (p = 0.01)")


def test_only_one_string_disqualifies_by_lint_alone():
    result = [Finding(code, "warning", "m") for code in ("one-sided", "one-sentence", "one-word", "length-words")]
    assert [text.split(":")[0] for text in blocking.of_lint(result)] == ["one-sided", "one-sentence"]
