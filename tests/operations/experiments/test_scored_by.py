"""What a classifier or judge scored is shown with who scored it; what people said is not."""

from typing import Any

import pytest
from tests.operations.experiments.conftest import Launch

from trimtab.operations import ExposureLog, Outcome, OutcomeLog
from trimtab.operations.outcomes import feedback_counts

WHO = "classifier of 'kind': AUROC 0.93 [0.90, 0.95] on 200 unseen answers"


@pytest.mark.parametrize(
    ("metric", "source", "feedback"), [("kindness", "classifier", "classified.kind"), ("taste", "judge", "judged")]
)
def test_the_newest_value_on_an_answer_of_the_release_says_who(
    launch: Launch, metric: str, source: Any, feedback: str
) -> None:
    other, live = launch("other"), launch("first", metric, ("errors", "liked"))
    assert live.experiment.look().scored_by == {}
    exposures = [live.exposure(f"user {i}") for i in range(3)]
    elsewhere = other.exposure("user 1")
    ExposureLog(live.store).write([*exposures, elsewhere])
    log = OutcomeLog(live.store)
    for request, who in (
        (exposures[0].request, "an older one"),
        (exposures[1].request, WHO),
        (elsewhere.request, "that of another server"),
    ):
        log.write([Outcome(feedback, request, value=0.5, source=source, who=who)])
    log.write([Outcome("thumbs", exposures[2].request, label="up", who="the page")])
    look = live.experiment.look()
    assert look.scored_by == {metric: WHO}
    assert look.record["scored_by"] == {metric: WHO}
    said = {(one.source, one.by, one.arm): one.requests for one in feedback_counts(live.store, "first")}
    arms = [one.arm for one in exposures]
    assert said == {
        (source, "an older one", arms[0]): 1,
        (source, WHO, arms[1]): 1,
        ("user", "", arms[2]): 1,
    }
