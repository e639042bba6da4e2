"""After every verdict a person knows what to do: the steps fit what failed or stayed open, and their commands run."""

import shlex
from collections.abc import Sequence
from typing import Any

import pytest
import typer
from tests.reports.conftest import build, estimate

from trimtab.cli import app
from trimtab.phrases import Phrase
from trimtab.results import consequences as con
from trimtab.results.report import NextStep, Outlook, Report, SteeringRecord, Stopping
from trimtab.statistics.intervals import Interval
from trimtab.verdict.decision import Conclusion, Requirement, conclude
from trimtab.verdict.next_steps import CommandWords, next_steps
from trimtab.verdict.requirements import DESIRED, EFFECT, GENERATED

PAIRS = CommandWords(
    "'my pairs.jsonl' --view choice", "--model org/name", "org/name", "--seed 3 --scope generated", "--seed 3"
)
WRONG, KL = Phrase("share of anti-steerable examples"), Phrase("divergence on neutral text (KL)")
EDITS = {"14": ("additive",)}
FINISHED = SteeringRecord(id=None, method="mean-difference", attributes={}, edits=EDITS, trained_on_this=None)
TEXT_ONLY = FINISHED.model_copy(update={"method": "instruction", "edits": {}})
TEXTS = Phrase("{generated}, by a classifier", generated=GENERATED)
THOROUGH = Stopping(
    effort="thorough", available=140, looks=(140,), settled=None, level=0.95, not_measured=(), tokens=1,
    tokens_thorough=1,
)  # fmt: skip

AHEAD = Outlook(
    open=(EFFECT, WRONG), n=12, rows=40, fewest=3, half=9, most=24, horizon=200,
    rows_fewest=10, rows_half=30, rows_most=80, rows_horizon=667, passes=0.74, fails=0.16,
)  # fmt: skip


def steps(conclusion: Conclusion, **changes: Any) -> tuple[NextStep, ...]:
    report = build()
    verdict = report.verdict.model_copy(update={"decision": conclusion.decision, **changes.pop("verdict", {})})
    return next_steps(report.model_copy(update={"verdict": verdict, **changes}), conclusion, PAIRS)


def commands(found: Sequence[NextStep]) -> list[list[str]]:
    return [shlex.split(step.command) for step in found if step.command]


def verbs(found: Sequence[NextStep]) -> list[str]:
    return [words[1] for words in commands(found)]


def no_go(*failed: Phrase) -> Conclusion:
    return Conclusion("no-go", (), failed)


CASES: dict[str, tuple[Conclusion, dict[str, Any]]] = {
    "nothing moves": (no_go(EFFECT), {"site_chosen": "given"}),
    "too many backfire": (no_go(WRONG), {}),
    "desired answers fall": (no_go(DESIRED), {}),
    "too dear": (no_go(KL), {"strength_chosen": "given"}),
    "all at once, finished": (no_go(EFFECT, WRONG, DESIRED, KL), {"steering": FINISHED, "site": None}),
    "open": (Conclusion("inconclusive", (), open={EFFECT: 300}), {}),
    "open, finished": (Conclusion("inconclusive", (), open={EFFECT: 300, KL: 400}), {"steering": FINISHED}),
    "on its bound": (Conclusion("inconclusive", (), open={WRONG: None}), {}),
    "told ahead": (Conclusion("inconclusive", (), open={EFFECT: 300, WRONG: 90}), {"verdict": {"outlook": AHEAD}}),
    "told ahead, finished": (
        Conclusion("inconclusive", (), open={EFFECT: 300}),
        {"steering": FINISHED, "verdict": {"outlook": AHEAD}},
    ),
    "faulty examples": (Conclusion("inconclusive", (), blocking=(Phrase("one-sided: always “Yes”"),)), {}),
    "cannot read": (Conclusion("inconclusive", (), failed=(EFFECT,), unable=True), {}),
    "texts do not follow": (no_go(TEXTS), {}),
    "texts do not follow, finished": (no_go(TEXTS), {"steering": FINISHED}),
    "too dear, finished": (no_go(KL), {"steering": FINISHED}),
    "texts are open": (Conclusion("inconclusive", (), open={TEXTS: 90}), {}),
    "texts are open, finished": (Conclusion("inconclusive", (), open={TEXTS: None}), {"steering": FINISHED}),
    "cannot read, finished": (Conclusion("inconclusive", (), unable=True), {"steering": FINISHED}),
    "caution": (Conclusion("caution", ()), {}),
    "at another strength, finished": (Conclusion("go", ()), {"steering": FINISHED, "verdict": {"strength": 0.5}}),
    "go": (Conclusion("go", ()), {}),
    "go, finished": (Conclusion("go", ()), {"steering": FINISHED}),
    "another name": (Conclusion("go", ()), {"behavior": "a $name; it's"}),
}


@pytest.mark.parametrize("case", CASES)
def test_every_verdict_has_steps_whose_commands_can_be_copied(case: str) -> None:
    conclusion, changes = CASES[case]
    found = steps(conclusion, **changes)
    assert found
    assert len({step.what for step in found}) == len(found)
    group: Any = typer.main.get_command(app)
    for words in commands(found):
        assert words[0] == "trimtab"
        command, rest = group.commands[words[1]], words[2:]
        if words[1] == "release":
            command, rest = command.commands[rest[0]], rest[1:]
        command.make_context(words[1], list(rest))  # raises where an option or value is unknown


def test_no_commands_of_a_finished_steering_train_another() -> None:
    for case, (conclusion, changes) in CASES.items():
        if "finished" in case:
            found = steps(conclusion, **changes)
            assert "fit" not in verbs(found)
            for words in commands(found):
                assert words[1] != "check" or "--steering" in words


def test_after_a_no_go_nothing_is_put_live_and_each_failure_has_its_step() -> None:
    for failed, said in (
        ((EFFECT,), "Nothing here moves"),
        ((WRONG,), "too many the wrong way"),
        ((DESIRED,), "Desired answers become rarer"),
        ((KL,), "A gate leaves text alone"),
    ):
        found = steps(no_go(*failed))
        assert found[0].what.startswith("Do not pilot")
        assert any(said in step.what for step in found)
        assert "release" not in verbs(found)


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize("failed", [EFFECT, "effect in the vector's direction (odd part)", WRONG, DESIRED, KL, TEXTS])
def test_no_failure_is_without_a_step(failed: str, finished: bool) -> None:
    assert len(steps(no_go(failed), **({"steering": FINISHED} if finished else {}))) > 1


def test_conditions_of_the_check_go_with_every_command_that_has_them() -> None:
    for case, (conclusion, changes) in CASES.items():
        for words in commands(steps(conclusion, **changes)):
            if words[1] in ("check", "fit") and "first.jsonl" not in words:
                assert words[words.index("--seed") + 1] == "3", case
            if words[1] == "check" and "first.jsonl" not in words:
                assert "--scope" in words, case


def test_texts_that_leave_it_open_ask_for_more_texts_and_not_for_rows() -> None:
    requirement = Requirement(TEXTS, Interval(0.3, -0.01, 0.61), 0.0, "above", 40, "log-odds")
    (words,) = commands(steps(conclude([requirement], [])))
    report = build()
    settle = requirement.would_settle
    assert settle is not None
    assert int(words[words.index("--generate") + 1]) == min(settle, report.n_eval)


def test_text_in_front_of_prompts_has_no_strength_to_turn_down() -> None:
    for conclusion in (no_go(KL), Conclusion("inconclusive", (), open={KL: 90})):
        found = steps(conclusion, steering=TEXT_ONLY, site=None)
        assert not any("--strength" in words for words in commands(found))


def test_what_goes_live_was_checked_as_it_will_be_asked() -> None:
    def last(chats: bool, **changes: Any) -> tuple[list[str], list[str]]:
        report = build(**changes)
        found = commands(next_steps(report, Conclusion("go", ()), PAIRS, chats))
        return found[-2], found[-1]

    check, release = last(True)
    assert "--chat-template" in check
    assert "--no-chat-template" not in release
    check, release = last(False)
    assert "--chat-template" not in check
    assert "--no-chat-template" in release
    assert release[release.index("--model") + 1] == "org/name"


def test_asking_is_proposed_unless_it_is_known_to_do_nothing() -> None:
    def asked(low: float | None, high: float = 0.2) -> bool:
        effect = estimate(0.1, 0.05, 100).model_copy(update={"low": low, "high": high})
        baseline = con.PromptingBaseline(instruction="Be so.", effect=effect)
        found = steps(no_go(EFFECT), prompting_baseline=baseline)
        return any("--method instruction" in (step.command or "") for step in found)

    assert asked(0.01)
    assert asked(None)
    assert asked(-0.01), "it may do something"
    assert not asked(-0.2, -0.1)


def test_rows_that_would_decide_it_are_counted_in_rows_of_the_file() -> None:
    open_ = Requirement(EFFECT, Interval(0.06, 0.02, 0.10), 0.05, "above", 140, "nats/token")
    conclusion = conclude([open_], [])
    settle = open_.would_settle
    assert settle is not None
    report = build()
    rows = report.n_train + report.n_dev + report.n_eval + report.n_replication
    (step,) = [s for s in steps(conclusion) if s.command and s.command.startswith("trimtab draft")]
    total = -(-settle * rows // report.n_eval_clusters)
    assert f"About {total:,} rows in all" in step.what
    assert f"--n {total - rows} " in str(step.command)
    (none,) = [s for s in steps(Conclusion("inconclusive", (), open={EFFECT: None})) if "bounds" in s.what]
    assert none.command is None


def test_what_simulated_futures_say_stands_in_place_of_a_number_that_takes_the_estimate_for_true() -> None:
    open_ = Conclusion("inconclusive", (), open={EFFECT: 300, WRONG: 90})

    def said(**changes: Any) -> NextStep:
        found = steps(open_, verdict={"outlook": AHEAD.model_copy(update=changes)})
        (step,) = [s for s in found if s.code in ("more-rows", "on-its-bound")]
        assert "in all would decide" not in " ".join(s.what for s in found)
        return step

    step = said()
    for words in (
        "Still open after 40 rows: the mean steering effect and the share of anti-steerable examples.",
        "between 10 and 80 more would settle it (in 8 of 10 simulated futures; 30 in half of them)",
        "With 80 the chance of a go or caution is about 74%, of a no-go about 16%.",
    ):
        assert words in step.what
    assert "--n 30 " in str(step.command)
    unsure = said(most=None, rows_most=None, fails=0.001)
    assert "30 in half of them; 667 are not enough for nine of ten" in unsure.what
    assert "of a no-go less than 2%" in unsure.what
    hardly = said(half=None, most=None, rows_half=None, rows_most=None, passes=0.2, fails=0.13)
    assert hardly.code == "on-its-bound"
    assert "even 667 more would settle it with a chance of about 33% only" in hardly.what
    assert hardly.command is None


def test_a_pass_leads_to_a_folder_that_is_checked_and_then_to_one_user_in_a_hundred() -> None:
    found = steps(Conclusion("go", ()))
    assert verbs(found) == ["fit", "check", "release"]
    fit, check, release = commands(found)
    report = build()
    assert fit[fit.index("--site") + 1] == "14"
    assert fit[fit.index("--prompt-type") + 1] == report.verdict.prompt_type
    assert fit[2:6] == ["my pairs.jsonl", "--view", "choice", "--model"]
    assert fit[fit.index("--strength") + 1] == "1"
    folder = fit[fit.index("--out") + 1]
    assert check[check.index("--steering") + 1] == release[release.index("--treatment") + 1] == folder
    assert check[check.index("--out") + 1] == release[release.index("--check") + 1]
    assert verbs(steps(Conclusion("caution", ()))) == verbs(found)
    assert "reservation" in steps(Conclusion("caution", ()))[0].what


def test_a_finished_steering_that_was_checked_wholly_goes_live() -> None:
    whole: dict[str, Any] = {"steering": FINISHED, "stopping": THOROUGH, "chat_template": True}
    whole["verdict"] = {"basis": "likelihood and generated text"}
    assert verbs(steps(Conclusion("go", ()), **whole)) == ["release"]


def test_a_report_keeps_its_steps() -> None:
    found = steps(Conclusion("go", ()))
    report = build(next_steps=found)
    assert Report.model_validate_json(report.model_dump_json(by_alias=True)).next_steps == found


def test_texts_that_leave_a_pass_in_doubt_ask_for_more_while_there_are_more() -> None:
    """An open figure that may stay open makes no pass inconclusive; more texts are proposed, or none where all were."""
    requirement = Requirement(TEXTS, Interval(0.3, -0.01, 0.61), 0.0, "above", 40, "log-odds", may_stay_open=True)
    conclusion = conclude([requirement], [Phrase("not certain")])
    assert conclusion.decision == "caution"
    report, settle = build(), requirement.would_settle
    assert settle is not None
    few, all_of_them = (report.generated.model_copy(update={"n": n}) for n in (3, report.n_eval))
    (more,) = [step for step in steps(conclusion, generated=few, stopping=None) if step.code == "more-texts"]
    assert int(more.values["n"]) == min(settle, report.n_eval)
    assert "more-texts" not in [step.code for step in steps(conclusion, generated=all_of_them, stopping=None)]
