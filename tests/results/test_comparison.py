"""A new report against an old one: closed forms, pairing by what an example says, and no false alarm."""

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console
from scipy.stats import ttest_1samp, ttest_rel

from trimtab.cli.against import show_comparison
from trimtab.errors import InputError
from trimtab.results import report as rec
from trimtab.results.comparison import Comparison, compare, load_any
from trimtab.results.consequences import Capability, Divergence, OtherEffect, SideEffects
from trimtab.results.figures import Estimate
from trimtab.results.report import DECISIONS, Decision, Report
from trimtab.statistics import square_and_add
from trimtab.statistics.intervals import Interval, bootstrap_mean, share_interval

Make = Callable[..., Report]


@pytest.fixture(scope="session")
def make(report: Report) -> Make:
    """Reports with given effects; figures, texts and rows follow from these."""

    def call(
        effects: Sequence[float] | np.ndarray,
        *,
        base: Sequence[float] | np.ndarray | None = None,
        clusters: Sequence[str] | None = None,
        order: Sequence[int] | None = None,
        start: int = 0,
        with_rows: bool = True,
        decision: Decision = "go",
        **changes: Any,
    ) -> Report:
        up, n = np.asarray(effects, dtype=float), len(effects)
        m = np.linspace(-1.0, 1.0, n) if base is None else np.asarray(base, dtype=float)
        order = range(n) if order is None else order
        labels = np.array([f"#{i}" for i in range(n)] if clusters is None else clusters)
        texts = [{"prompt": f"p{i + start}", "positive": "yes", "negative": "no", "source": f"f:{i}"} for i in range(n)]
        result = _result(report, up, labels).model_copy(update={"effects": tuple(up[list(order)].tolist())})
        wrong = share_interval(m < 0, labels)
        shown = [rec.Text(**texts[i], base=m[i], steered=m[i] + up[i], effect=up[i]) for i in order]
        rows = [
            _row(texts[i], i, labels[i], report.verdict.prompt_type, strength, m[i], effect)
            for i in reversed(order)
            for strength, effect in ((-1.0, -0.9 * up[i]), (0.5, up[i] / 2), (1.0, up[i]))
        ]
        fields = {
            "examples": tuple(shown), "rows": tuple(rows) if with_rows else (), "n_eval": n,
            "n_eval_clusters": len(set(labels.tolist())),
            "verdict": report.verdict.model_copy(update={"decision": decision}),
            "prompt_types": {**report.prompt_types, report.verdict.prompt_type: result},
            "base": rec.Base(propensity={"mean": float(m.mean()), "sd": float(m.std(ddof=1))}, n=n,
                             accuracy=1 - wrong.value, accuracy_low=1 - wrong.high, accuracy_high=1 - wrong.low),
        }  # fmt: skip
        return report.model_copy(update=fields | changes)

    return call


def _result(report: Report, up: np.ndarray, labels: np.ndarray) -> rec.PromptTypeResult:
    mean, odd, wrong = (
        bootstrap_mean(up, labels, seed=0),
        bootstrap_mean(0.95 * up, labels, seed=0),
        share_interval(up < 0, labels),
    )
    n = len(set(labels.tolist()))
    effect = rec.Effect(
        mean=mean.value, low=mean.low, high=mean.high, sd=float(up.std(ddof=1)), n=n,
        odd=odd.value, odd_low=odd.low, odd_high=odd.high, even=0.05 * mean.value, even_low=0.0, even_high=0.0,
    )  # fmt: skip
    anti = rec.AntiSteerable(share=wrong.value, low=wrong.low, high=wrong.high, undecided=0.0, n=n)
    return report.prompt_types[report.verdict.prompt_type].model_copy(update={"effect": effect, "anti_steerable": anti})


def _row(
    text: dict[str, str], i: int, cluster: str, kind: str, strength: float, base: float, effect: float
) -> rec.ExampleRow:
    return rec.ExampleRow(
        **text, example=i, cluster=cluster, prompt_type=kind, strength=strength, base=base, steered=base + effect,
        effect=effect, effect_positive=effect / 2, effect_negative=-effect / 2, total_base=9 * base,
        total_steered=9 * (base + effect),
    )  # fmt: skip


def draw(seed: int, n: int, mean: float = 0.3) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 0.4, n)


# --- no false alarm ---


@pytest.mark.parametrize("with_rows", [True, False])
def test_a_report_against_itself_has_changed_in_nothing(make: Make, with_rows: bool) -> None:
    same = make(draw(0, 40), with_rows=with_rows)
    comparison = compare(same, same)
    assert not comparison.worse
    assert comparison.comparable
    assert comparison.differs == ()
    assert {f.difference for f in comparison.figures.values()} == {0.0}
    assert {f.changed for f in comparison.figures.values()} == {False}
    assert comparison.sentence == "the decision is still go; the mean effect did not move on the same 40 examples"


@pytest.mark.parametrize("name", ["plain", "unmeasured", "random"])
def test_odd_reports_against_themselves_raise_no_alarm(variant: Callable[[str], Report], name: str) -> None:
    bare = variant(name).model_copy(update={"rows": ()})  # the variants' texts are not those of their rows
    comparison = compare(bare, bare)
    assert {f.difference for f in comparison.figures.values()} <= {0.0, None}
    assert not any(f.changed for f in comparison.figures.values())
    assert all(f.changed is False for f in comparison.figures.values() if f.difference is not None)


def test_a_change_within_the_numerical_noise_is_none(make: Make, report: Report) -> None:
    effects = draw(1, 40)
    figure = compare(make(effects), make(effects + report.noise.value / 2)).figures["effect"]
    assert figure.low is not None
    assert figure.low > 0
    assert figure.changed is False
    assert "numerical noise" in (figure.reason or "")
    assert compare(make(effects), make(effects + 2 * report.noise.value)).figures["effect"].changed


# --- closed forms ---


def test_few_paired_examples_give_students_paired_interval(make: Make) -> None:
    old, new = draw(2, 9), draw(3, 9, 0.1)
    base_old, base_new = draw(4, 9), draw(5, 9)
    figures = compare(make(old, base=base_old), make(new, base=base_new)).figures
    pairs = {"effect": (new, old), "odd": (0.95 * new, 0.95 * old), "base_propensity": (base_new, base_old)}
    for key, (after, before) in pairs.items():
        expected = ttest_rel(after, before).confidence_interval(0.95)
        assert figures[key].method == "paired"
        assert figures[key].difference == pytest.approx((after - before).mean())
        assert (figures[key].low, figures[key].high) == pytest.approx(tuple(expected))


def test_examples_of_one_unit_are_resampled_together(make: Make) -> None:
    clusters = [f"u{i // 2}" for i in range(16)]
    old, new = draw(6, 16), draw(7, 16, 0.1)
    figure = compare(make(old, clusters=clusters), make(new, clusters=clusters)).figures["effect"]
    expected = ttest_1samp((new - old).reshape(8, 2).mean(axis=1), 0.0).confidence_interval(0.95)
    assert (figure.low, figure.high) == pytest.approx(tuple(expected))


def test_independent_half_widths_add_in_squares(make: Make) -> None:
    figure = compare(make(draw(8, 30)), make(draw(9, 30), start=100)).figures["agreement"]
    half = np.hypot(0.03, 0.03)  # conftest's agreement ± 0.03 on both sides
    assert figure.method == "independent"
    assert (figure.low, figure.high) == pytest.approx((-half, half))
    skew = square_and_add(Interval(0.0, 0.0, 0.04), Interval(0.1, 0.07, 0.2))
    assert (skew.value, skew.low, skew.high) == pytest.approx((0.1, 0.1 - np.hypot(0.03, 0.04), 0.1 + 0.1))


@pytest.mark.parametrize(
    ("cells", "published"),
    [
        ((1, 7, 1, 12), (0.026, 0.507)),  # Bentur et al. 2009, in Fagerland, Lydersen and Laake 2014
        ((36, 12, 2, 0), (0.0569, 0.3404)),  # Newcombe 1998, table II
        ((40, 9, 3, 20), (-0.0127, 0.1770)),  # no paper: a script after Newcombe's formula in the four cells
    ],
)
def test_paired_shares_have_the_published_interval(
    make: Make, cells: tuple[int, ...], published: tuple[float, ...]
) -> None:
    both, only_new, only_old, neither = cells
    new = [-1.0] * both + [-1.0] * only_new + [1.0] * only_old + [1.0] * neither
    old = [-1.0] * both + [1.0] * only_new + [-1.0] * only_old + [1.0] * neither
    figure = compare(make(old), make(new)).figures["anti_steerable"]
    assert figure.method == "paired"
    assert figure.difference == pytest.approx((only_new - only_old) / sum(cells))
    assert (figure.low, figure.high) == pytest.approx(published, abs=5e-4)


def test_old_against_new_is_new_against_old_with_the_sign_turned(make: Make) -> None:
    one, other = make(draw(10, 40)), make(draw(11, 40, 0.1), decision="caution")
    forth, back = compare(one, other), compare(other, one)
    assert (forth.outcome, back.outcome) == ("worse", "better")
    for key, f in forth.figures.items():
        b = back.figures[key]
        assert f.difference == pytest.approx(-(b.difference or 0.0))
        assert f.changed == b.changed
        if f.low is not None:
            assert (f.low, f.high) == pytest.approx((-(b.high or 0.0), -(b.low or 0.0)))


@pytest.mark.parametrize("n", [12, 60])
def test_the_paired_interval_of_the_mean_covers(make: Make, n: int) -> None:
    rng, hits, draws = np.random.default_rng(12), 0, 150
    for _ in range(draws):
        old = rng.normal(0.3, 0.4, n)
        new = old - 0.1 + rng.exponential(0.1, n)  # no change in the mean, and a skewed one in each example
        f = compare(make(old, with_rows=False), make(new, with_rows=False)).figures["effect"]
        hits += not f.changed
        assert f.method == "paired"
    assert hits / draws >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / draws)


def test_paired_shares_raise_few_false_alarms_even_for_few_flips(make: Make) -> None:
    rng, alarms, draws = np.random.default_rng(13), 0, 150
    for _ in range(draws):
        latent = np.repeat(rng.normal(size=36), 2)  # two examples a cluster
        old, new = (latent + 0.3 * rng.normal(size=72) + 1.3 for _ in range(2))
        clusters = [f"u{i // 2}" for i in range(72)]
        changed = compare(make(old, clusters=clusters), make(new, clusters=clusters)).figures["anti_steerable"].changed
        alarms += bool(changed)
    assert alarms / draws <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / draws)


# --- pairing ---


def test_examples_are_matched_by_what_they_say_and_not_by_place(make: Make) -> None:
    old, new = draw(14, 40), draw(15, 40, 0.2)
    order = np.random.default_rng(16).permutation(40).tolist()
    straight, mixed = compare(make(old), make(new)), compare(make(old), make(new, order=order))
    assert mixed.figures == straight.figures
    assert mixed.n_common == 40


def test_a_file_that_moved_holds_the_same_examples(make: Make) -> None:
    old, new = make(draw(17, 20)), make(draw(18, 20))
    moved = tuple(text.model_copy(update={"source": "elsewhere/" + text.source}) for text in new.examples)
    assert compare(old, new.model_copy(update={"examples": moved})).figures == compare(old, new).figures


def test_without_the_old_rows_effects_stay_paired_and_the_odd_part_does_not(make: Make) -> None:
    old, new = draw(19, 40), draw(20, 40)
    full, bare = compare(make(old), make(new)).figures, compare(make(old, with_rows=False), make(new)).figures
    assert bare["effect"] == full["effect"]
    assert bare["anti_steerable"] == full["anti_steerable"]
    assert (full["odd"].method, bare["odd"].method) == ("paired", "independent")
    assert bare["odd"].difference == pytest.approx(full["odd"].difference)


def test_without_rows_examples_that_share_a_cluster_cannot_be_paired(make: Make) -> None:
    clusters = [f"u{i // 2}" for i in range(40)]
    old, new = (make(draw(seed, 40), clusters=clusters, with_rows=False) for seed in (21, 22))
    comparison = compare(old, new)
    f = comparison.figures["effect"]
    before, after = (r.prompt_types[r.verdict.prompt_type].effect for r in (old, new))
    assert before is not None
    assert after is not None
    assert f.method == "independent"
    assert f.low == pytest.approx(f.difference - np.hypot(after.mean - after.low, before.high - before.mean))
    assert comparison.comparable


def test_other_evaluation_examples_are_not_paired_and_said(make: Make) -> None:
    comparison = compare(make(draw(23, 40)), make(draw(24, 30), start=20, n_train=99))
    assert comparison.n_common == 20
    assert not comparison.comparable
    assert comparison.figures["effect"].method == "independent"
    assert "40 before, 30 now, 20 in both" in comparison.sentence
    assert {c.name for c in comparison.differs} == {"training examples", "evaluation examples"}


def test_a_check_that_ended_early_is_compared_with_one_that_did_not(make: Make) -> None:
    effects = draw(33, 40)
    early = rec.Stopping(
        effort="default", available=40, looks=(24,), settled="success", level=0.97, not_measured=(), tokens=1,
        tokens_thorough=3,
    )  # fmt: skip
    m = np.linspace(-1.0, 1.0, 40)
    whole, stopped = make(effects, base=m), make(effects[:24], base=m[:24], stopping=early)
    assert compare(whole, stopped).comparable
    assert compare(stopped, whole).comparable
    assert compare(whole, stopped).n_common == 24
    assert not compare(whole, make(effects[:24], base=m[:24])).comparable


def test_arbitrary_pairs_give_paired_means_but_no_paired_shares(make: Make) -> None:
    old, new = (make(draw(seed, 40), pairing="random") for seed in (25, 26))
    figures = compare(old, new).figures
    assert figures["effect"].method == "paired"
    assert figures["anti_steerable"].method == figures["base_accuracy"].method == "independent"


def test_rows_of_another_check_are_refused(make: Make) -> None:
    old, new = make(draw(27, 20)), make(draw(28, 20))
    with pytest.raises(InputError, match=r"examples\.parquet is not of the same check"):
        compare(old, new.model_copy(update={"rows": old.rows}))


# --- the decision, and what differs ---


@pytest.mark.parametrize("before", DECISIONS)
@pytest.mark.parametrize("after", DECISIONS)
def test_the_decision_follows_the_order_of_decisions(make: Make, before: Decision, after: Decision) -> None:
    comparison = compare(make(draw(29, 12), decision=before), make(draw(29, 12), decision=after))
    step = DECISIONS.index(after) - DECISIONS.index(before)
    assert comparison.outcome == {-1: "worse", 0: "same", 1: "better"}[int(np.sign(step))]
    assert comparison.worse == (step < 0)
    assert (f"{before} -> {after}" in comparison.sentence) == (step != 0)


def test_the_sentence_says_what_became_of_decision_and_effect(make: Make) -> None:
    old = draw(30, 72, 0.5)
    new = old - np.random.default_rng(31).normal(0.12, 0.1, 72)
    comparison = compare(make(old), make(new, decision="caution"))
    f = comparison.figures["effect"]
    assert f.difference is not None
    assert f.low is not None
    assert f.high is not None
    assert f.changed
    text = comparison.sentence.replace("\N{NO-BREAK SPACE}", " ")
    assert text.startswith(f"the decision got worse: go -> caution; the mean effect fell by {-f.difference:.3f}")
    assert text.endswith(f"[{-f.high:.3f}, {-f.low:.3f}] nats/token on the same 72 examples")


def test_another_model_site_and_version_are_listed_and_compared(make: Make, report: Report) -> None:
    model = report.model.model_copy(update={"digest": "sha256:new", "revision": "v2"})
    other = {"model": model, "dtype": "bfloat16", "seed": 4, "scope": "generated", "read": "last", "torch": "3.0"}
    site = rec.SiteRecord(block=9, component="mlp")
    comparison = compare(make(draw(32, 20)), make(draw(33, 20), **other, site=site, chat_template=True))
    named = {c.name: (c.old, c.new) for c in comparison.differs}
    assert named["model digest"] == (report.model.digest, "sha256:new")
    assert named["model revision"] == ("none", "v2")
    assert named["site"] == ("block 14 residual", "block 9 mlp")
    assert named["chat template"] == ("no", "yes")
    assert set(named) == {"model digest", "model revision", "dtype", "seed", "scope", "read", "torch", "site",
                          "chat template"}  # fmt: skip
    assert comparison.comparable


def test_other_thresholds_are_a_reservation(make: Make) -> None:
    old, new = make(draw(34, 20)), make(draw(34, 20), thresholds={"max_anti_steerable": 0.2}, decision="caution")
    comparison = compare(old, new)
    assert comparison.worse
    assert not comparison.comparable
    assert "the threshold max_anti_steerable was 0.1 and is 0.2" in comparison.sentence
    assert "the threshold max_kl was 0.1 and is not set" in comparison.reservations


@pytest.mark.parametrize(
    ("field", "value"), [("behavior", "gloom"), ("data_digest", "sha256:other"), ("unit", "logits")]
)
def test_another_behavior_other_data_or_unit_are_refused(make: Make, field: str, value: str) -> None:
    old = make(draw(35, 20))
    with pytest.raises(InputError, match=f"{field.replace('_', ' ')} '.*' in the old one, '{value}' in the new one"):
        compare(old, old.model_copy(update={field: value}))


# --- single figures ---


def test_a_figure_that_was_not_measured_has_no_change(make: Make, report: Report) -> None:
    new = make(draw(36, 20))
    name = new.verdict.prompt_type
    gone = new.prompt_types[name].model_copy(
        update={"separability_held_out": Estimate(reason="too few"), "edit_size_ratio": 0.5}
    )
    new = new.model_copy(update={"prompt_types": {**new.prompt_types, name: gone}})
    figures = compare(make(draw(36, 20)), new).figures
    assert figures["separability"].changed is None
    assert figures["separability"].reason == "not measured in the new report: too few"
    assert figures["edit_size_ratio"].difference == pytest.approx(0.5 - 0.412)
    assert (figures["edit_size_ratio"].changed, figures["edit_size_ratio"].method) == (None, None)


def test_side_effects_are_compared_where_both_have_them(make: Make) -> None:
    def capability(change: Estimate) -> Capability:
        return Capability(kind="all", n=50, base=0.8, base_low=0.7, base_high=0.9, steered=0.8, change=change,
                          gained=1, lost=1, p_value=1.0)  # fmt: skip

    old = SideEffects(
        kl=Divergence(value=0.1, low=0.07, high=0.13),
        perplexity_ratio=Estimate(value=1.2, low=1.1, high=1.3),
        capability=(capability(Estimate(value=0.0, low=-0.1, high=0.1)),),
        others=(OtherEffect(behavior="x", unit="logits", effect=Estimate(value=0.1, low=0.0, high=0.2)),),
    )
    new = SideEffects(
        kl=Divergence(value=0.3, low=0.26, high=0.34),
        perplexity_ratio=Estimate(reason="--quick"),
        capability=(capability(Estimate(value=-0.2, low=-0.3, high=-0.1)),),
        others=(OtherEffect(behavior="x", unit="nats/token", effect=Estimate(value=0.1, low=0.0, high=0.2)),),
    )
    figures = compare(make(draw(37, 20), side_effects=old), make(draw(37, 20), side_effects=new)).figures
    assert {k for k in figures if k.startswith("side_effects")} == {"side_effects.kl", "side_effects.capability.all"}
    kl = figures["side_effects.kl"]
    assert (kl.low, kl.high) == pytest.approx((0.15, 0.25))
    assert (kl.changed, kl.unit, kl.method) == (True, "nats/token", "independent")


# --- files ---


def test_a_folder_and_its_json_load_alike_with_and_without_rows(make: Make, tmp_path: Path) -> None:
    saved = make(draw(38, 20))
    saved.save(tmp_path)
    assert load_any(tmp_path) == load_any(str(tmp_path / "report.json")) == saved
    assert compare(load_any(tmp_path), saved).figures["odd"].method == "paired"
    (tmp_path / "examples.parquet").unlink()
    alone = load_any(tmp_path / "report.json")
    assert alone.rows == ()
    assert compare(alone, saved).figures["effect"].changed is False


@pytest.mark.parametrize("content", ["", "[]", "<html>", "3", '{"behavior": "x"}', '{"a": NaN}'])
def test_a_file_that_is_no_report_says_what_to_give(content: str, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(content, encoding="utf-8")
    for path in (tmp_path, tmp_path / "report.json"):
        with pytest.raises(InputError, match=r"report\.json .*; give a report\.json that trimtab check wrote"):
            load_any(path)


def test_a_report_of_another_schema_names_its_version(make: Make, tmp_path: Path) -> None:
    make(draw(39, 20)).save(tmp_path)
    file = tmp_path / "report.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | {"schema": 7, "trimtab": "9.1"}))
    with pytest.raises(InputError, match=r"written by trimtab 9\.1, schema 7: repeat that check"):
        load_any(tmp_path)


def test_where_there_is_no_report_the_message_names_those_nearby(make: Make, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give the folder of an earlier check"):
        load_any(tmp_path / "nothing")
    with pytest.raises(InputError, match="give the folder of an earlier check"):
        load_any(tmp_path)
    make(draw(40, 20)).save(tmp_path / "cheerfulness")
    with pytest.raises(InputError, match="give one of the folders in it: cheerfulness"):
        load_any(tmp_path)


# --- shown ---


def printed(comparison: Comparison, width: int = 80, encoding: str = "utf-8") -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
    show_comparison(comparison, Console(file=file, width=width))
    return file.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]


@pytest.fixture
def worse(make: Make, report: Report) -> Comparison:
    """Much that differs, and names that look like markup."""
    model = report.model.model_copy(update={"id": "[red]x[/red] [/]", "digest": "\x1b[31m" + "d" * 64})
    new = make(draw(42, 40, 0.1), decision="no-go", model=model, behavior="[b]", thresholds={"min_effect": 0.2})
    return compare(make(draw(41, 40), behavior="[b]"), new)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_terminal_s_width_is_kept(worse: Comparison, width: int) -> None:
    assert max(map(cell_len, printed(worse, width).splitlines())) <= width


def test_the_terminal_shows_outcome_figures_and_what_differs(worse: Comparison) -> None:
    text = printed(worse, 120)
    assert text.splitlines()[0].startswith("✘ worse  [b]")
    row = next(line for line in text.splitlines() if "anti-steerable share, %" in line)
    f = worse.figures["anti_steerable"]
    assert f"{100 * (f.difference or 0.0):.0f}" in row
    assert "paired" in row
    assert "model: smollm2 -> [red]x[/red] [/]" in text
    reservation = "the decisions are not comparable: the threshold max_anti_steerable was 0.1 and is not set"
    assert reservation in text.replace("\n", "")
    assert "\x1b" not in text
    assert printed(worse, encoding="ascii").isascii()


def test_json_reads_back(worse: Comparison) -> None:
    assert Comparison.model_validate_json(worse.model_dump_json()) == worse
    assert json.loads(worse.model_dump_json())["outcome"] == "worse"
