"""After every verdict a person knows what to do: the steps fit what failed or stayed open, and their commands run."""

import shlex
from collections.abc import Sequence
from typing import Any

import pytest
import typer
from tests.reports.conftest import build, estimate

from trimtab.cli import app
from trimtab.results import consequences as con
from trimtab.results.report import NextStep, Report, SteeringRecord, Stopping
from trimtab.statistics.intervals import Interval
from trimtab.verdict.decision import Conclusion, Requirement, conclude
from trimtab.verdict.next_steps import Named, next_steps
from trimtab.verdict.requirements import DESIRED, EFFECT

PAIRS = Named("'my pairs.jsonl' --view choice", "--model org/name")
WRONG, KL = "share of anti-steerable examples", "divergence on neutral text (KL)"
FINISHED = SteeringRecord(id=None, method="mean-difference", attributes={}, edits={}, trained_on_this=None)
THOROUGH = Stopping(
    effort="thorough", available=140, looks=(140,), settled=None, level=0.95, not_measured=(), tokens=1,
    tokens_thorough=1,
)  # fmt: skip


def steps(conclusion: Conclusion, **changes: Any) -> tuple[NextStep, ...]:
    report = build()
    verdict = report.verdict.model_copy(update={"decision": conclusion.decision, **changes.pop("verdict", {})})
    return next_steps(report.model_copy(update={"verdict": verdict, **changes}), conclusion, PAIRS)


def commands(found: Sequence[NextStep]) -> list[list[str]]:
    return [shlex.split(step.command) for step in found if step.command]


def verbs(found: Sequence[NextStep]) -> list[str]:
    return [words[1] for words in commands(found)]


def no_go(*failed: str) -> Conclusion:
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
    "faulty examples": (Conclusion("inconclusive", (), blocking=("one-sided: always “Yes”",)), {}),
    "cannot read": (Conclusion("inconclusive", (), failed=(EFFECT,), unable=True), {}),
    "caution": (Conclusion("caution", ()), {}),
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


def test_asking_is_proposed_unless_it_is_known_to_do_nothing() -> None:
    def asked(low: float | None) -> bool:
        effect = estimate(0.1, 0.05, 100).model_copy(update={"low": low})
        baseline = con.PromptingBaseline(instruction="Be so.", effect=effect)
        found = steps(no_go(EFFECT), prompting_baseline=baseline)
        return any("--method instruction" in (step.command or "") for step in found)

    assert asked(0.01)
    assert asked(None)
    assert not asked(-0.01)


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


def test_a_pass_leads_to_a_folder_that_is_checked_and_then_to_one_user_in_a_hundred() -> None:
    found = steps(Conclusion("go", ()))
    assert verbs(found) == ["fit", "check", "release"]
    fit, check, release = commands(found)
    report = build()
    assert fit[fit.index("--site") + 1] == "14"
    assert fit[fit.index("--prompt-type") + 1] == report.verdict.prompt_type
    assert fit[2:6] == ["my pairs.jsonl", "--view", "choice", "--model"]
    folder = fit[fit.index("--out") + 1]
    assert check[check.index("--steering") + 1] == release[release.index("--treatment") + 1] == folder
    assert check[check.index("--out") + 1] == release[release.index("--check") + 1]
    assert verbs(steps(Conclusion("caution", ()))) == verbs(found)
    assert "reservation" in steps(Conclusion("caution", ()))[0].what


def test_a_finished_steering_that_was_checked_wholly_goes_live() -> None:
    whole = {"steering": FINISHED, "stopping": THOROUGH, "verdict": {"basis": "likelihood and generated text"}}
    assert verbs(steps(Conclusion("go", ()), **whole)) == ["release"]


def test_a_report_keeps_its_steps() -> None:
    found = steps(Conclusion("go", ()))
    report = build(next_steps=found)
    assert Report.model_validate_json(report.model_dump_json(by_alias=True)).next_steps == found
