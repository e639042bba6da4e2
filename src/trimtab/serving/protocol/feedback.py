"""The bodies of feedback."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from trimtab.operations.metrics.metric import NAME, Source
from trimtab.operations.outcomes.outcome import MAX_COMMENT, MAX_LABEL, MAX_TEXT
from trimtab.serving.protocol.answers import Answered
from trimtab.serving.protocol.requests import Asked, Text

Id = Annotated[Text, Field(min_length=1, max_length=200, pattern=r"\S")]
MetricName = Annotated[str, Field(pattern=f"^{NAME.pattern}$")]


class FeedbackRequest(Asked):
    """The body of `POST /v1/feedback`: a score or a label, for a request or a user; or a corrected text.

    Args:
        request_id: of the answer, as its field `trimtab` and its header `x-request-id` say it.
        user: instead: id of the unit; the feedback is about the last answer that it got.
        metric: what is said of it, such as `thumbs`; needed beside a score or label.
        score: a number.
        label: a word, such as `up`.
        comment: in words; kept only where the server keeps texts, else refused.
        corrected_text: what the answer should have been; likewise.
        consent: whether the texts of this request may become training examples.
    """

    request_id: Id | None = None
    user: Id | None = None
    metric: MetricName | None = None
    score: float | None = None
    label: Annotated[Text, Field(min_length=1, max_length=MAX_LABEL, pattern=r"\S")] | None = None
    comment: Annotated[Text, Field(min_length=1, max_length=MAX_COMMENT, pattern=r"\S")] | None = None
    corrected_text: Annotated[Text, Field(min_length=1, max_length=MAX_TEXT, pattern=r"\S")] | None = None
    consent: bool = False

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.request_id is None) == (self.user is None):
            raise ValueError("give request_id or user, and not both")
        if self.score is not None and self.label is not None:
            raise ValueError("give score or label, and not both")
        if (self.metric is None) != (self.score is None and self.label is None):
            raise ValueError("metric and a score or label belong together; give both")
        if self.metric is None and self.corrected_text is None:
            raise ValueError("give metric with a score or label, or corrected_text")
        return self


class FeedbackCard(Answered):
    """The answer of `POST /v1/feedback`.

    Args:
        id: of two for the same request and metric the one with the higher id counts; both are kept.
        request_id: that the feedback belongs to.
        recorded: false while the record of that request is not written; the feedback counts once it is.
        repeated: whether this call came before, by its idempotency key, and was not kept again.
    """

    object: Literal["feedback"] = "feedback"
    id: int
    request_id: str
    recorded: bool
    repeated: bool


class FeedbackItem(Answered):
    """An entry of `GET /v1/feedback`.

    Args:
        id: of two for the same request, metric and source the one with the higher id counts.
        request_id: that it is about.
        metric: what is said.
        score, label: a number or a word.
        source: `user`, `system` (the distance of a corrected text), `classifier` or `judge`.
        by: name of the key that gave it, or of the classifier or judge.
        by_user: whether it was given for a user, and so for the last answer to that user.
        consent: whether the texts may become training examples.
        words: whether a comment or corrected text is kept with it; these are read from the store alone.
        happened, came: seconds since 1970.
        release, version, arm: of the answer; null while its record is not written, or where no release decided.
    """

    id: int
    request_id: str
    metric: str
    score: float | None
    label: str | None
    source: Source
    by: str
    by_user: bool
    consent: bool
    words: bool
    happened: float
    came: float
    release: str | None
    version: int | None
    arm: str | None


class FeedbackList(Answered):
    """The answer of `GET /v1/feedback`.

    Args:
        data: the newest first.
        next: to be given as `before` for the next page; null after the last one.
    """

    object: Literal["list"] = "list"
    data: list[FeedbackItem]
    next: int | None
