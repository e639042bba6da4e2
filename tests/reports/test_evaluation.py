"""A comparison in sentences and as a page: who wins where, what is no more than any damage brings, what to do next."""

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from trimtab.reports.evaluate.curves import gain_against_damage
from trimtab.reports.evaluate.html import evaluation_page
from trimtab.reports.evaluate.statements import above_floors, statements
from trimtab.reports.evaluate.tables import lines
from trimtab.reports.evaluate.terminal import evaluation_summary
from trimtab.results.evaluation import (
    FLOORS,
    UNSTEERED,
    Contrast,
    Evaluation,
    FigureRow,
    MethodPlan,
    Overall,
    Protocol,
    Sample,
    TaskPlan,
)
from trimtab.results.figures import Estimate
from trimtab.results.report import ModelRecord

MODEL = ModelRecord(id="tiny", revision=None, digest="d", architecture="Llama", n_blocks=4, d_model=8)
HOSTILE = "<script>alert(1)</script>"


def around(value: float, half: float = 0.02) -> Estimate:
    return Estimate(value=value, low=value - half, high=value + half, n=30)


def comparison(gains: dict[str, float], p: dict[str, float], text: str = "fine", **changes: Any) -> Evaluation:
    """Two methods and one with text alone, on one task, at two damages."""
    methods = tuple(MethodPlan(label=name, method="mean-difference", settings=({},)) for name in (*gains, "asking"))
    task = TaskPlan(
        label="truth", task="truthfulqa", source="mc.json", figure="mc1", meaning="right", better="higher", chance=0.25,
        digest="t", units=40, clusters=40, fitted=True,
    )  # fmt: skip
    protocol = Protocol(
        model=MODEL, dtype="float32", chat_template=False, tasks=(task,), methods=methods, seeds=(1, 2), train=8, dev=4,
        test=6, damages=(0.05, 0.2), trials=2, site=None, damage_texts=4, lockbox=0.25, contrasts=(),
    )  # fmt: skip
    figures, overall = [], []
    for name, budget in [
        (UNSTEERED, None),
        ("asking", None),
        *((f, b) for f in (*FLOORS, *gains) for b in (0.05, 0.2)),
    ]:
        value = gains.get(name, 0.0)
        above = {f: around(value - 0.01 * k) for k, f in enumerate(FLOORS)} if name in gains else {}
        given: dict[str, Any] = {"contender": name, "budget": budget, "gain": around(value), "above": above}
        given["p_above"] = p.get(name)
        figures.append(FigureRow(**given, task="truth", figure="mc1", mean=around(0.3 + value)))
        overall.append(Overall(**given, damage=budget or 0.4, where="neutral text", n_seeds=2))
    record: dict[str, Any] = {
        "trimtab": "0", "torch": "0", "transformers": "0", "command": "trimtab evaluate", "seconds": 60.0, "seed": 1,
        "protocol": protocol, "protocol_digest": protocol.digest, "figures": tuple(figures), "overall": tuple(overall),
        "contrasts": (), "samples": {"a": (Sample(task="truth", prompt="Is it?", text=text),)},
    }  # fmt: skip
    return Evaluation.model_validate({**record, **changes})


def test_a_method_above_every_floor_is_named_with_what_to_do_next():
    said = " ".join(statements(comparison({"a": 0.2, "b": 0.05}, {"a": 0.001, "b": 0.4})))
    assert "a gains most at a damage of 0.05 nats per token on dev" in said
    assert "which is above every floor" in said
    assert "check a by itself (trimtab check --steering)" in said


def test_a_gain_that_any_damage_may_bring_is_not_called_one():
    said = " ".join(statements(comparison({"a": 0.02, "b": 0.01}, {"a": 0.3, "b": 0.4})))
    assert "No method is told apart from the floors: that may be what any damage of this size brings" in said
    assert "do not ship any of these on the strength of this table" in said


def test_p_values_against_the_floors_are_adjusted_for_the_number_of_methods():
    found = comparison({"a": 0.2, "b": 0.1}, {"a": 0.04, "b": 0.9})
    assert above_floors(found, "over all tasks") == pytest.approx({"a": 0.08, "b": 0.9})
    lost = comparison({"a": 0.2, "b": 0.1, "c": 0.0}, {"a": 0.04, "b": 0.9})  # c gave nothing, and counts too
    assert above_floors(lost, "over all tasks") == pytest.approx({"a": 0.12, "b": 1.0})
    assert "No method is told apart" in " ".join(statements(found))


def test_a_method_behind_the_best_that_is_above_the_floors_is_named_too():
    said = " ".join(statements(comparison({"a": 0.2, "b": 0.1}, {"a": 0.6, "b": 0.001})))
    assert "not told apart from the floors; above them: b" in said


def test_what_has_no_p_value_is_not_claimed_and_says_why():
    found = comparison({"a": 0.2, "b": 0.05}, {})
    assert "Nothing is claimed of it: its damage, or a floor's, did not come near" in statements(found)[0]
    one = found.model_copy(update={"protocol": found.protocol.model_copy(update={"seeds": (1,)})})
    assert "this is one deal of the rows only" in statements(one)[0]
    more = found.model_copy(update={"protocol": found.protocol.model_copy(update={"seeds": (1, 2, 3)})})
    assert "some seeds gave no result" in statements(more)[0]


def test_the_damage_on_test_stands_beside_the_one_that_was_allowed():
    said = statements(comparison({"a": 0.2, "b": 0.05}, {"a": 0.001, "b": 0.4}))[0]
    assert "at a damage of 0.05 nats per token on dev (0.050 on test, the floors 0.050 to 0.050)" in said


def test_a_loss_is_called_a_loss_and_text_in_front_of_prompts_has_no_floor():
    said = " ".join(statements(comparison({"a": -0.2, "b": -0.3}, {"a": 1.0, "b": 1.0})))
    assert "that is a loss" in said
    assert "asking has no strength to set" in said


def test_contrasts_are_read_in_the_direction_of_who_is_better():
    rows = [
        Contrast(first="a", second="b", difference=around(-0.2), p=0.001, p_holm=0.002),
        Contrast(first="a", second="asking", difference=around(0.01), p=0.5, p_holm=0.5),
        Contrast(first="b", second="asking", difference=Estimate(reason="it was not measured")),
        Contrast(first="b", second="temperature", difference=around(0.3)),
    ]
    said = statements(comparison({"a": 0.0, "b": 0.2}, {}, contrasts=tuple(rows)))
    assert any(s.startswith("b does better than a: −0.200") for s in said)
    assert any(s.startswith("a and asking are not told apart at unlike damages (0.050 and 0.40)") for s in said)
    assert any("b against temperature: +0.300" in s and "decide nothing" in s for s in said)
    assert any("b against asking: not measured: it was not measured" in s for s in said)


def test_every_contender_is_in_the_table_of_each_damage_once():
    found = comparison({"a": 0.2, "b": 0.05}, {"a": 0.001, "b": 0.4})
    for budget in (0.05, 0.2):
        assert [row.name for row in lines(found, budget)] == [UNSTEERED, *FLOORS, "a", "b", "asking"]
    (row,) = [row for row in lines(found, 0.05) if row.name == "a"]
    assert row.floor == "0.180 [0.160,\N{NO-BREAK SPACE}0.200] over shuffled labels"


def test_the_plot_has_a_line_for_all_but_the_unsteered_model():
    drawn = gain_against_damage(comparison({"a": 0.2, "b": 0.05}, {}))
    assert [trace.name for trace in drawn.data] == [*FLOORS, "a", "b", "asking"]
    assert list(drawn.data[3].x) == [0.05, 0.2]


def test_texts_of_models_cannot_become_part_of_the_page():
    page = evaluation_page(comparison({HOSTILE: 0.2}, {HOSTILE: 0.01}, text=HOSTILE), {("truth", "mc1"): (HOSTILE, "")})
    assert HOSTILE not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "SHA-256" in page


def test_the_terminal_shows_the_sentences_and_every_contender_even_when_it_is_narrow():
    for width in (60, 160):
        out = StringIO()
        evaluation_summary(comparison({"a": 0.2, "[red]b": 0.05}, {"a": 0.001}), Console(file=out, width=width))
        text = out.getvalue()
        assert "What to do next" in " ".join(text.split())
        assert all(word in text for word in ("unsteered", "temperature", "[red]b"[:4]))
