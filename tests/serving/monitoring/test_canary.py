"""A canary says whether a steering still does to a check's rows what it did then."""

import numpy as np
import pytest
from tests.serving.monitoring.checks import checked, scores_of

from trimtab.serving.monitoring.canary import compared, level_of

RNG = np.random.default_rng(3)
EFFECTS = RNG.normal(0.3, 0.3, 80)


def test_the_same_effects_are_as_checked() -> None:
    run = compared(checked(EFFECTS), scores_of(EFFECTS + 1e-3 * RNG.uniform(-1, 1, 80)))
    assert (run.verdict, run.reason) == ("as checked", "no row moved by more than rounding")
    assert run.effect.value == pytest.approx(EFFECTS.mean(), abs=1e-3)
    assert run.anti_steerable.value == pytest.approx((EFFECTS < 0).mean(), abs=0.02)


def test_reversed_effects_are_worse() -> None:
    run = compared(checked(EFFECTS), scores_of(-EFFECTS))
    assert run.verdict == "worse than checked"
    assert run.change.value == pytest.approx(-2 * EFFECTS.mean())
    assert run.change.high < -run.margin
    assert run.still == 0
    assert run.known_risk == (EFFECTS < -1e-3).sum()


def test_a_small_loss_is_as_checked_and_a_stronger_steering_is() -> None:
    was = checked(EFFECTS)
    for factor in (0.95, 1.3):
        run = compared(was, scores_of(factor * EFFECTS))
        assert run.verdict == "as checked", factor
        assert "no row" not in run.reason
    assert compared(was, scores_of(0.0 * EFFECTS)).verdict == "worse than checked"


def test_more_rows_pushed_the_wrong_way_are_worse_though_the_mean_stays() -> None:
    now = EFFECTS.copy()
    now[:40] = -0.05
    now[40:] += (EFFECTS.sum() - now.sum()) / 40
    run = compared(checked(EFFECTS), scores_of(now))
    assert run.change.value == pytest.approx(0.0, abs=1e-9)
    assert run.verdict == "worse than checked"
    assert "pushed the wrong way" in run.reason


def test_what_lies_across_the_margin_is_inconclusive() -> None:
    was = checked(EFFECTS)
    lost = was.effect.value - was.effect.low
    run = compared(was, scores_of(EFFECTS - lost + RNG.normal(0, 0.2, 80)))
    assert run.verdict == "inconclusive"
    assert run.change.low < -run.margin < run.change.high


def test_another_plain_model_is_no_verdict_on_the_steering() -> None:
    base = RNG.normal(0, 1, 80)
    assert compared(checked(EFFECTS, base=base), scores_of(EFFECTS, base)).verdict == "as checked"
    run = compared(checked(EFFECTS, base=base), scores_of(-EFFECTS, base + 0.5))
    assert run.verdict == "inconclusive"
    assert "the plain model scores these rows otherwise" in run.reason
    assert run.base_change == pytest.approx(0.5)


def test_rows_that_are_newly_at_risk_are_named() -> None:
    effects = np.full(30, 0.4)
    effects[[2, 5]] = -0.2
    now = effects.copy()
    now[[5, 7, 11]] = (0.3, -0.3, -0.0005)  # the last one is within rounding
    run = compared(checked(effects), scores_of(now))
    assert (run.known_risk, run.still, run.new_risk) == (2, 1, ("rows:8",))


def test_unpaired_texts_have_no_rows_at_risk_and_the_same_verdicts() -> None:
    was = checked(EFFECTS, pairing="random")
    assert compared(was, scores_of(EFFECTS)).verdict == "as checked"
    run = compared(was, scores_of(-EFFECTS))
    assert run.verdict == "worse than checked"
    assert (run.known_risk, run.still, run.new_risk) == (0, 0, ())


def test_a_look_that_is_repeated_says_the_same_and_all_levels_together_keep_alpha() -> None:
    now = scores_of(EFFECTS - 0.1)
    first, again = (compared(checked(EFFECTS), now, level_of(3, 0.05)) for _ in range(2))
    assert first.record == again.record
    assert sum(1 - level_of(k, 0.05) for k in range(1, 10_000)) <= 0.05


def test_at_most_alpha_of_steerings_as_good_as_checked_are_ever_called_worse() -> None:
    """At the edge: rows are drawn, and the steering is truly worse by exactly the margin."""
    rng, worse, n = np.random.default_rng(0), 0, 200
    for _ in range(n):
        was = checked(rng.normal(0.5, 0.3, 60))
        run = compared(was, scores_of(was.positive * 2 - (was.effect.value - was.effect.low) + rng.normal(0, 0.1, 60)))
        worse += run.verdict == "worse than checked"
    assert worse / n < 0.05 + 2 * (0.05 * 0.95 / n) ** 0.5


def test_the_reference_has_one_value_a_question_of_the_two_sides_in_turn() -> None:
    clusters = tuple(str(i // 2) for i in range(80))
    run = compared(checked(EFFECTS, clusters=clusters), scores_of(EFFECTS, kappa=np.arange(80.0)))
    assert run.projections["kind"]["1"] == [2.0 * k + 100.0 * (k % 2) for k in range(40)]
    assert "projections" not in run.record


ACTS = np.arange(80) % 4 != 0  # three of four rows
PARTLY = np.where(ACTS, EFFECTS, 0.0)


def test_the_share_is_among_the_rows_acted_on_and_the_share_acted_on_is_told() -> None:
    was = checked(PARTLY, acting=(ACTS, ACTS))
    run = compared(was, scores_of(PARTLY, acts=ACTS))
    assert (run.verdict, run.reason) == ("as checked", "no row moved by more than rounding")
    among = (EFFECTS[ACTS] < 0).mean()
    assert run.anti_steerable.value == pytest.approx(among)
    assert (run.anti_steerable.low, run.anti_steerable.high) == (was.anti_steerable.low, was.anti_steerable.high)
    assert run.effect.value == pytest.approx(PARTLY.mean())
    assert run.acts is not None
    assert run.acts_then is not None
    assert run.acts.value == run.acts_then.value == 0.75
    assert run.record["acts"]["value"] == 0.75
    everywhere = compared(checked(EFFECTS), scores_of(EFFECTS))
    assert (everywhere.acts, everywhere.acts_then) == (None, None)


def test_rows_left_alone_do_not_hide_that_those_acted_on_are_pushed_the_wrong_way() -> None:
    """Two of three rows are left alone, and half of the others turn round while their mean stays."""
    acts = np.arange(240) % 3 == 0
    was = np.where(acts, np.where(np.arange(240) % 30 == 0, -0.1, 0.5), 0.0)
    now = was.copy()
    turned = np.flatnonzero(acts)[:40]
    rest = np.setdiff1d(np.flatnonzero(acts), turned)
    now[turned] = -0.05
    now[rest] += (was.sum() - now.sum()) / len(rest)
    run = compared(checked(was, acting=(acts, acts)), scores_of(now, acts=acts))
    change = (now[acts] < 0).mean() - (was[acts] < 0).mean()
    assert run.change.value == pytest.approx(0.0, abs=1e-9)
    assert run.anti_change.value == pytest.approx(change)
    assert run.verdict == "worse than checked"
    assert "acted on" in run.reason
    blind = compared(checked(was), scores_of(now))
    assert blind.anti_change.value == pytest.approx(change / 3)


def test_one_that_leaves_all_rows_alone_now_is_no_better_for_it() -> None:
    was = checked(PARTLY, acting=(ACTS, ACTS))
    run = compared(was, scores_of(np.zeros(80), acts=np.zeros(80, bool)))
    assert run.verdict == "worse than checked"  # the mean effect is gone
    assert run.acts is not None
    assert run.acts.value == 0.0
    assert (run.anti_steerable.low, run.anti_steerable.high) == (0.0, 1.0)
