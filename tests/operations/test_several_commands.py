"""The commands of releases with several arms: made, looked at, adapted, estimated; refusals that say what to do."""

import json
import re
from pathlib import Path

import pytest
from tests.conftest import Run
from tests.serving.steerings import write_steering

from trimtab.operations import Exposure, ExposureLog, Releases, Store

ADAPT = ("--adapt", "--arm", "warm@mild", "--arm", "warm@bold", "--metric", "errors", "--unchecked", "a trial")
FACTORIAL = ("--factorial", "--treatment", "two", "--metric", "errors", "--unchecked", "a trial")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("TRIMTAB_STORE", "TRIMTAB_OFF", "TRIMTAB_OFF_FILE", "TRIMTAB_TEXT_KEY"):
        monkeypatch.delenv(name, raising=False)
    presets = {"mild": {"warm": 0.5}, "bold": {"warm": 2.0}}
    write_steering(tmp_path / "warm", {"warm": 1.0}, presets=presets)
    write_steering(tmp_path / "two", {"kind": 1.0, "brief": 1.0})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "250")
    return tmp_path


def answered(here: Path, n: int, bad: dict[str, float]) -> None:
    """Answers to new users, of which a share by arm fails."""
    with Store(here) as store:
        release, log = Releases(store).get("tone"), ExposureLog(store)
        arms = [release.arm(f"u{i}") for i in range(n)]
        log.write([
            Exposure(f"r{i}", float(i), "smollm2", arm, f"u{i}", "tone", release.version,
                     finish="error" if i % 100 < 100 * bad[arm] else "stop")
            for i, arm in enumerate(arms)
        ])  # fmt: skip


def test_an_adaptive_release_is_made_adapted_estimated_and_one_arm_kept(here: Path, run: Run) -> None:
    assert run("release", "create", "tone", *ADAPT, "--explore", "0.1", "--half-life", "none")[0] == 0
    assert run("release", "start", "tone")[1] == "release 'tone' is running with 3 arms (version 2)\n"
    answered(here, 300, {"control": 0.5, "mild": 0.5, "bold": 0.05})
    assert "shares after 300 visits" in run("release", "watch", "--once")[1]
    out = run("release", "status", "tone")[1]
    assert "chance to be best" in out
    assert re.search(r"bold +80 %", out)
    assert "errors under bold 100 %, by 300 of 300 visits" in run("release", "estimate", "tone", "--policy", "bold")[1]
    said = json.loads(run("release", "estimate", "tone", "--json")[1])
    assert [one["method"] for one in said["estimates"]] == ["inverse-propensity", "self-normalised", "doubly-robust"]
    assert json.loads(run("release", "status", "tone", "--json")[1])["epoch"]["shares"]["bold"] == pytest.approx(
        0.8, abs=1e-3
    )
    code, _, err = run("release", "estimate", "tone", "--policy", "loud")
    assert code == 2
    assert "there is no arm 'loud'" in err
    assert "--policy" in err
    assert "is finished" in run("release", "finish", "tone", "--keep", "bold")[1]


def test_the_status_of_a_factorial_release_says_which_attribute_moves_what(here: Path, run: Run) -> None:
    assert run("release", "create", "tone", *FACTORIAL)[0] == 0
    run("release", "start", "tone")
    answered(here, 1000, {"control": 0.6, "cell-01": 0.6, "cell-10": 0.2, "cell-11": 0.2})
    out = run("release", "status", "tone")[1]
    assert "kind moves errors down by 0." in out
    assert "brief is not shown to move errors." in out


@pytest.mark.parametrize(("options", "said"), [
    ((*ADAPT, "--stages", "1,100"), "--stages"), ((*ADAPT, "--treatment", "warm"), "never both"),
    ((*ADAPT, "--explore", "0.4"), "--explore"), ((*ADAPT, "--explore", "2"), "--explore"),
    ((*ADAPT, "--half-life", "soon"), "--half-life"), ((*ADAPT, "--epoch-visits", "3"), "--epoch-visits"),
    ((*ADAPT, "--scale", "-1"), "--scale"), ((*ADAPT, "--auto-promote"), "stages"), ((*ADAPT, "--factorial"), "either"),
    (("--adapt", "--metric", "errors"), "--arm"), ((*ADAPT[:3], "--metric", "errors"), "--unchecked"),
    (("--treatment", "warm", "--explore", "0.1"), "--adapt"), (("--metric", "errors"), "--treatment"),
    (("--adapt", "--arm", "warm@mild", "--arm", "warm@mild", "--metric", "errors"), "--arm"),
    (("--adapt", "--arm", "warm@loud", "--metric", "errors"), "loud"),
    (("--adapt", "--arm", "warm@mild", "--unchecked", "x"), "--metric"),
    (("--factorial", "--treatment", "warm", "--metric", "errors"), "2 to 4"),
])  # fmt: skip
def test_what_does_not_go_together_is_refused_with_the_flag(
    here: Path, run: Run, options: tuple[str, ...], said: str
) -> None:
    code, out, err = run("release", "create", "tone", *options)
    assert (code, out) == (2, "")
    assert said in err
    with Store(here) as store:
        assert Releases(store).all() == []
