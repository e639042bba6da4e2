"""A server's guardrails act by themselves: the release is taken back, logged, counted and told."""

import hashlib
import hmac
import json
from time import time
from typing import Any

import pytest
from tests.clients.test_webhook import KEY, Hooked
from tests.serving.asking import error, sent
from tests.serving.live.conftest import MakeOperated, Operated, until
from tests.serving.live.test_releases import PILOT, asked

from trimtab.clients.webhook import Webhook
from trimtab.errors import TrimtabError
from trimtab.operations import Adapt, Exposure, ExposureLog, Releases, arm_of, planned


def fail(operated: Operated, name: str = "first", n: int = 100) -> None:
    """Every answer of treatment fails, as another server might have written it down."""
    given: dict[str, Any] = {"release": name, "version": 2, "time": time()}
    ends = {"control": "stop", "treatment": "error"}
    ExposureLog(operated.store).write(
        [
            Exposure(f"{arm}{i}", model="tiny", arm=arm, unit=f"{arm}{i}", finish=end, **given)  # type: ignore[arg-type]
            for arm, end in ends.items()
            for i in range(n)
        ]
    )


def logged(operated: Operated, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in operated.server.log.getvalue().splitlines()]
    return [line for line in lines if line["event"] == event]


def test_harm_is_taken_back_logged_counted_and_told(operate: MakeOperated) -> None:
    there = Hooked([200])
    operated = operate(watch_every=0.1, webhook=Webhook(there.url, KEY))
    operated.release(stages=(50, 100), **planned(None, ["errors:0.1:rollback"]))
    fail(operated)
    until(lambda: operated.releases.get("first").state == "rolled-back")
    operated.seen()
    until(lambda: bool(there.came) and bool(logged(operated, "release_decided")))
    there.server.shutdown()
    there.server.server_close()
    [line] = logged(operated, "release_decided")
    assert (line["release"], line["action"], line["by"]) == ("first", "rollback", "watch")
    assert line["figures"]["metrics"]["errors"]["treatment"] == 1
    [(headers, body)] = there.came
    told = json.loads(body)
    assert (told["event"], told["release"], told["state"]) == ("release.rollback", "first", "rolled-back")
    assert "harm of more than 0.1 is shown" in told["why"]
    signed = hmac.new(KEY.encode(), headers["x-trimtab-timestamp"].encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["x-trimtab-signature"] == f"sha256={signed}"
    page = sent(operated.server, "GET", "/metrics", "read").text
    assert 'trimtab_release_decisions_total{action="rollback",release="first"} 1.0' in page


def test_the_experiment_is_told_in_figures_and_in_words(operate: MakeOperated) -> None:
    operated = operate(watch_every=0)
    operated.release(stages=(50, 100), **planned("length", ["errors:0.1"]))
    fail(operated)
    said = asked(operated, "/first/experiment", scope="read")
    assert (said["release"], said["version"], said["state"]) == ("first", 2, "running")
    assert [one["metric"] for one in said["findings"]] == ["length", "errors"]
    length, errors = said["findings"]
    assert (length["state"], length["units"], length["treatment"]) == ("inconclusive", [100, 0], None)
    assert (errors["state"], errors["harm"], errors["treatment"]) == ("worse", True, 1.0)
    assert "harm of more than 0.1 is shown" in errors["meaning"]
    assert said["decision"]["action"] == "pause"
    assert operated.releases.get("first").state == "running"  # nobody watches
    assert error(sent(operated.server, "GET", "/v1/releases/none/experiment", "read"), 404)["param"] == "name"
    assert sent(operated.server, "GET", "/v1/releases/first/experiment", "infer").status_code == 403


def test_states_of_metrics_are_figures(operate: MakeOperated) -> None:
    operated = operate(watch_every=0.1)
    operated.release(stages=(50, 100), **planned("length", ["errors:0.1"]))
    until(lambda: "first" in operated.operations.watching.looks)
    page = sent(operated.server, "GET", "/metrics", "read").text
    assert (
        'trimtab_release_metric_state{arm="treatment",metric="errors",release="first",state="inconclusive"} 1.0' in page
    )
    assert 'trimtab_release_share_mismatch{release="first"} 0.0' in page


def test_a_release_is_made_with_what_it_is_judged_by(operated: Operated) -> None:
    judged = {"metric": "length:5", "guardrails": ["errors:0.1:rollback"], "on_harm": "pause", "auto_promote": True}
    plan = asked(operated, body=PILOT | judged | {"alpha": 0.01, "min_units": 50})["definition"]["plan"]
    assert (plan["effect"], plan["alpha"], plan["min_units"], plan["auto_promote"]) == (5, 0.01, 50, True)
    assert plan["guardrails"] == [{"metric": "errors", "margin": 0.1, "action": "rollback"}]
    refused = sent(
        operated.server, "POST", "/v1/releases", "operate", json=PILOT | {"name": "b", "guardrails": ["errors:x"]}
    )  # fmt: skip
    assert error(refused, 400)["param"] == "guardrails"


def alarm_about(operated: Operated, **changes: Any) -> dict[str, Any]:
    arm = operated.releases.get("first").definition.treatment
    own = {"artifact": arm.artifact, "strength": dict(arm.strength), "scope": arm.scope, "releases": ["first"]}
    return own | {"effect": -0.4} | changes


@pytest.mark.parametrize("kind", ["canary", "shadow"])
@pytest.mark.parametrize(
    ("on_alarm", "state"), [("nothing", "running"), ("pause", "paused"), ("rollback", "rolled-back")]
)
def test_an_alarm_about_the_treatment_does_what_the_release_says(
    operate: MakeOperated, kind: str, on_alarm: str, state: str
) -> None:
    operated = operate(watch_every=0)
    operated.release(stages=(50, 100), on_alarm=on_alarm)
    operated.operations.watching.alarmed(kind, "worse than checked", alarm_about(operated))
    assert operated.releases.get("first").state == state
    if on_alarm == "nothing":
        return
    [line] = logged(operated, "release_decided")
    assert (line["action"], line["why"], line["by"]) == (on_alarm, f"{kind}: worse than checked", "watch")
    last = operated.releases.history("first")[-1].entry
    assert (last.who, last.why) == ("watch", f"{kind}: worse than checked")
    assert '"effect": -0.4' in json.dumps(last.record)
    operated.operations.watching.alarmed(kind, "again", alarm_about(operated))
    assert operated.releases.get("first").version == 3, "what is taken back already is left alone"


@pytest.mark.parametrize(
    ("kind", "changes"),
    [("drift", {}), ("unlike-check", {}), ("canary", {"releases": []}), ("canary", {"artifact": "0" * 64}),
     ("canary", {"strength": {"warm": 9.0}}), ("canary", {"scope": "prompt"})],
)  # fmt: skip
def test_other_alarms_change_nothing(operate: MakeOperated, kind: str, changes: dict[str, Any]) -> None:
    operated = operate(watch_every=0)
    operated.release(stages=(50, 100))
    operated.operations.watching.alarmed(kind, "moved", alarm_about(operated, **changes))
    assert operated.releases.get("first").state == "running"


def test_an_alarm_about_an_arm_that_is_out_leaves_the_others_alone(operate: MakeOperated) -> None:
    operated = operate(watch_every=0)
    warm = arm_of(operated.steerings / "warm")[0]
    arms = {"warm": warm, "brief": arm_of(operated.steerings / "brief")[0]}
    operated.release(arms=arms, adapt=Adapt(), metric="errors")
    shares = {"control": 0.5, "warm": 0.0, "brief": 0.5}
    operated.releases.adapt("first", shares, {"warm": "it shouts"}, by="ada", expected=2)
    alarmed, about = operated.operations.watching.alarmed, alarm_about(operated)
    alarmed("canary", "worse than checked", about)
    assert operated.releases.get("first").state == "running"
    served = {
        "artifact": arms["brief"].artifact,
        "strength": dict(arms["brief"].strength),
        "scope": arms["brief"].scope,
    }
    alarmed("canary", "worse than checked", about | served)
    assert operated.releases.get("first").state == "paused"


def test_an_alarm_while_the_store_is_lost_is_acted_on_later(
    operate: MakeOperated, monkeypatch: pytest.MonkeyPatch
) -> None:
    operated = operate(watch_every=0)
    operated.release(stages=(50, 100))
    told, watching = alarm_about(operated), operated.operations.watching

    def lost(*_: object, **__: object) -> None:
        raise TrimtabError("the store does not answer")

    with monkeypatch.context() as broken:
        broken.setattr(Releases, "get", lost)
        watching.alarmed("canary", "worse than checked", told)
        watching.watch()
    assert operated.releases.get("first").state == "running"
    watching.watch()
    assert operated.releases.get("first").state == "paused"


def test_a_lost_store_is_logged_once_and_the_watch_goes_on(operate: MakeOperated) -> None:
    operated = operate(watch_every=0.05)
    watching: Any = operated.operations.watching
    real, lost = watching._watch.once, [0]

    def broken() -> Any:
        lost[0] += 1
        if lost[0] <= 5:
            raise TrimtabError("the store does not answer")
        return real()

    watching._watch.once = broken
    until(lambda: lost[0] > 6)
    assert len(logged(operated, "watch_failed")) == 1
