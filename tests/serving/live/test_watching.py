"""A server's guardrails act by themselves: the release is taken back, logged, counted and told."""

import hashlib
import hmac
import json
from time import time
from typing import Any

from tests.clients.test_webhook import KEY, Hooked
from tests.serving.asking import error, sent
from tests.serving.live.conftest import MakeOperated, Operated, until
from tests.serving.live.test_releases import PILOT, asked

from trimtab.clients.webhook import Webhook
from trimtab.operations import Exposure, ExposureLog, planned


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
    assert 'trimtab_release_metric_state{metric="errors",release="first",state="inconclusive"} 1.0' in page
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


def test_a_lost_store_is_logged_once_and_the_watch_goes_on(operate: MakeOperated) -> None:
    from trimtab.errors import TrimtabError

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
