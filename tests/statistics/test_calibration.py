"""The predictor against scikit-learn and brute-force leaving out, on simulated behaviors, and hostile fields."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from scipy.special import expit, logit
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import brier_score_loss, r2_score, roc_auc_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trimtab.errors import InputError
from trimtab.statistics import share_interval
from trimtab.statistics.calibration import Cells, fit, left_out_scores, single_scores
from trimtab.statistics.prediction import Predictor


def behaviors(seed=0, families=8, n=64, slopes=(1.5, -0.8)):
    """Cells whose families are alike by half; `b` has other clusters than `a`."""
    g = np.random.default_rng(seed)
    code = np.arange(n) % families
    a, b, noise, other = (g.normal(size=families)[code] + g.normal(size=n) for _ in range(4))
    success = g.random(n) < expit(slopes[0] * a + slopes[1] * b)
    effect, anti = 0.3 + 0.2 * a + 0.1 * noise, expit(-1 - 0.7 * a + 0.4 * b + 0.5 * other)
    return Cells({"a": a, "b": 10 + 3 * b}, success.astype(float), effect, anti, np.array([f"f{c}" for c in code]))


def peer(model, cells, target, method="predict"):
    """What scikit-learn says of each cell from a model without its family."""
    return cross_val_predict(
        make_pipeline(StandardScaler(), model), cells.x, target, groups=cells.families, cv=LeaveOneGroupOut(),
        method=method,
    )  # fmt: skip


def others_mean(values, families):
    return np.array([values[families != f].mean() for f in families])


@pytest.mark.parametrize("seed", [0, 1])
def test_probabilities_are_scikit_learns_and_lines_least_squares(seed):
    cells = behaviors(seed)
    got = fit(cells)
    z = (cells.x - cells.x.mean(axis=0)) / cells.x.std(axis=0, ddof=1)
    logistic = LogisticRegression().fit(z, cells.y)
    share = logit(np.clip(cells.anti, 0.005, 0.995))
    lines = [LinearRegression().fit(z, target) for target in (cells.effect, share)]
    for i in range(5):
        expected = got.expect({"a": cells.x[i, 0], "b": cells.x[i, 1]})
        assert expected.probability == pytest.approx(logistic.predict_proba(z[i : i + 1])[0, 1])
        assert expected.effect.value == pytest.approx(lines[0].predict(z[i : i + 1])[0])
        assert expected.anti_steerable.value == pytest.approx(expit(lines[1].predict(z[i : i + 1])[0]))


@pytest.mark.parametrize("seed", [0, 3])
def test_scores_are_those_of_scikit_learn_over_families_left_out(seed):
    cells = behaviors(seed)
    p = peer(LogisticRegression(), cells, cells.y, "predict_proba")[:, 1]
    got, base = left_out_scores(cells, seed=0), others_mean(cells.y, cells.families)
    assert (got.cells, got.families, got.successes) == (64, 8, int(cells.y.sum()))
    # scikit-learn's scaler divides by n and not by n − 1, which the ridge penalty feels a little
    assert got.auroc.value == pytest.approx(roc_auc_score(cells.y, p), abs=0.01)
    assert got.brier == pytest.approx(brier_score_loss(cells.y, p), abs=1e-3)
    assert got.brier_base == pytest.approx(brier_score_loss(cells.y, base))
    assert got.gain.value == pytest.approx(got.brier_base - got.brier)
    assert got.gain.low < got.gain.value < got.gain.high
    for r2, target in ((got.effect_r2, cells.effect), (got.anti_steerable_r2, logit(cells.anti))):
        left = target - peer(LinearRegression(), cells, target)
        assert r2 == pytest.approx(1 - (left**2).sum() / ((target - others_mean(target, cells.families)) ** 2).sum())
    assert r2_score(cells.effect, peer(LinearRegression(), cells, cells.effect)) < got.effect_r2 + 0.05


def test_area_counts_pairs_and_ties_half_as_scikit_learn_does_in_every_resample():
    cells = behaviors(2)
    rounded = Cells({"a": np.round(cells.x[:, 0])}, cells.y, cells.effect, cells.anti, cells.families)
    p = np.empty(64)
    for f in np.unique(cells.families):
        kept = cells.families != f
        scale = rounded.x[kept].std(axis=0, ddof=1)
        z = (rounded.x - rounded.x[kept].mean(axis=0)) / scale
        p[~kept] = LogisticRegression().fit(z[kept], cells.y[kept]).predict_proba(z[~kept])[:, 1]
    assert left_out_scores(rounded, seed=0).auroc.value == pytest.approx(roc_auc_score(cells.y, p))


def test_bins_hold_all_cells_and_what_came_of_them():
    cells = behaviors(4, n=103)
    got = left_out_scores(cells, seed=0).bins
    assert [b.n for b in got] == [21, 21, 21, 20, 20]
    assert [b.predicted for b in got] == sorted(b.predicted for b in got)
    assert sum(b.n * b.observed.value for b in got) == pytest.approx(cells.y.sum())
    p = peer(LogisticRegression(), cells, cells.y, "predict_proba")[:, 1]
    lowest = np.argsort(p)[:21]
    assert got[0].predicted == pytest.approx(p[lowest].mean(), abs=1e-3)
    assert got[0].observed == share_interval(cells.y[lowest], cells.families[lowest])


def test_controls_are_fitted_to_and_not_scored():
    cells = behaviors(5)
    real = np.arange(64) % 3 > 0
    some, every = left_out_scores(cells, real, seed=0), left_out_scores(cells, seed=0)
    assert (some.cells, every.cells) == (int(real.sum()), 64)
    p = np.concatenate([[b.n * b.predicted] for b in some.bins]).sum() / some.cells
    assert p != pytest.approx(sum(b.n * b.predicted for b in every.bins) / 64)
    assert some.brier_base != every.brier_base


def test_half_width_is_the_quantile_of_left_out_errors():
    cells = behaviors(6, families=30, n=300)  # of equal size: the quantile of all
    errors = np.abs(cells.effect - peer(LinearRegression(), cells, cells.effect))
    assert fit(cells).effect.half == pytest.approx(np.sort(errors)[int(np.ceil(0.95 * 301)) - 1])


def test_prediction_intervals_hold_new_families():
    inside = []
    for seed in range(40):
        got, new = fit(behaviors(seed, families=20, n=140)), behaviors(1000 + seed, families=20, n=140)
        for (a, b), effect, anti in zip(new.x, new.effect, new.anti, strict=True):
            expected = got.expect({"a": a, "b": b})
            inside.append(
                (
                    expected.effect.low <= effect <= expected.effect.high,
                    expected.anti_steerable.low <= anti <= expected.anti_steerable.high,
                )
            )
    assert np.array(inside).mean(axis=0) == pytest.approx([0.95, 0.95], abs=0.02)


def test_probabilities_mean_what_they_say_in_the_long_run():
    got, new = fit(behaviors(0, families=100, n=4000)), behaviors(1, families=100, n=4000)
    p = np.array([got.expect({"a": a, "b": b}).probability for a, b in new.x])
    for low in (0.0, 0.25, 0.5, 0.75):
        some = (p >= low) & (p < low + 0.25)
        assert new.y[some].mean() == pytest.approx(p[some].mean(), abs=0.05)


def test_units_and_order_of_features_do_not_matter():
    cells = behaviors()
    other = Cells(
        {"b": cells.x[:, 1] / 7 - 100, "a": 1e3 * cells.x[:, 0]}, cells.y, cells.effect, cells.anti, cells.families
    )
    first, second = fit(cells).expect({"a": 0.5, "b": 12.0}), fit(other).expect({"a": 500.0, "b": 12 / 7 - 100})
    assert first.probability == pytest.approx(second.probability)
    assert first.effect.value == pytest.approx(second.effect.value)
    assert first.anti_steerable.high == pytest.approx(second.anti_steerable.high)


def test_it_says_what_lies_outside_of_the_fit():
    cells = behaviors(7, n=400)
    got = fit(cells)
    a, b = cells.x.T
    assert got.expect({"a": a.mean(), "b": b.mean()}).outside == ()
    reason = got.expect({"a": a.max() + 0.01, "b": b.mean()}).outside[0]
    assert reason.startswith("a ")
    assert "is above the fitted range" in reason
    # each within its range, together not: where a is high, so is b
    twins = Cells({"a": a, "b": a + 0.1 * b}, cells.y, cells.effect, cells.anti, cells.families)
    (reason,) = fit(twins).expect({"a": 2.0, "b": -1.0}).outside
    assert "together" in reason
    far = sum(bool(fit(cells).expect({"a": x, "b": y}).outside) for x, y in cells.x)
    assert far == pytest.approx(4, abs=2)  # 1 %


def test_the_better_index_comes_first():
    cells = behaviors(8, n=400, slopes=(2.0, 0.2))
    got = single_scores(cells, seed=0)
    assert list(got) == ["a", "b"]
    assert got["a"].auroc.value > got["b"].auroc.value + 0.1


def bad(**changed):
    return lambda: replace(behaviors(), **changed)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (bad(success=np.ones(64)), "one kind"),
        (bad(success=np.full(64, 0.5)), "one kind"),
        (bad(effect=np.zeros(63)), "effect: 63 values for 64"),
        (bad(anti=np.full(64, 40.0)), "not per cent"),
        (bad(features={}), "none"),
        (bad(features={"a": np.ones(64)}), "a: the same in all cells"),
        (bad(features={"a": np.full(64, np.nan)}), "a"),
        (lambda: fit(bad(families=np.array(["x"] * 64))()), "families"),
        (lambda: behaviors(n=12), "12 cells"),
        (lambda: fit(bad(features={c: np.random.default_rng(ord(c)).normal(size=64) for c in "abcd"})()), "1 to 3"),
        (lambda: fit(bad(features={"a": np.arange(64.0), "b": 2 * np.arange(64.0)})()), "determine each other"),
        (lambda: left_out_scores(behaviors(), np.arange(64) < 3, seed=0), "families"),
    ],
)
def test_cells_that_cannot_be_fitted_are_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_a_family_that_holds_all_successes_is_named():
    cells = behaviors()
    with pytest.raises(InputError, match="without family 'f3' all outcomes"):
        fit(replace(cells, success=(cells.families == "f3").astype(float)))


FILE = TypeAdapter(Predictor)


def test_a_predictor_comes_back_from_json():
    got = fit(behaviors())
    assert FILE.validate_json(FILE.dump_json(got)) == got


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"features": []}, "1 to 3"),
        ({"features": ["a", "a"]}, "different"),
        ({"mean": [1.0]}, "mean: made for 1"),
        ({"precision": [[1.0, 0.0], [0.0]]}, "precision, row 1"),
        ({"success": {"coefficients": [1.0], "half": None}}, "success: made for 0"),
        ({"scale": [1.0, 0.0]}, "scale"),
        ({"effect": {"coefficients": [1.0, 2.0, 3.0], "half": None}}, "half widths"),
        ({"distance": -1.0}, "distance"),
        ({"mean": [1.0, float("inf")]}, "finite"),
        ({"low": ["x", 1.0]}, "low"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_predictor_of_odd_parts_is_refused(changed, words):
    with pytest.raises((InputError, ValidationError), match=words):
        FILE.validate_python({**asdict(fit(behaviors())), **changed})


def test_values_of_other_features_are_refused():
    with pytest.raises(InputError, match="needs"):
        fit(behaviors()).expect({"a": 1.0})
    with pytest.raises(InputError, match="values"):
        fit(behaviors()).expect({"a": 1.0, "b": float("nan")})
