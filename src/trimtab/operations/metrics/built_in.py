"""Definitions of the outcomes that every answer has, so that releases can name them without a file."""

from collections.abc import Mapping
from typing import Final

from trimtab.operations.metrics.metric import Metric, Outcome

_SECONDS: Final = (0.0, 600.0)
_SHARE: Final = (0.0, 1.0)


def _of(outcome: Outcome, description: str, bounds: tuple[float, float]) -> Metric:
    return Metric(name=outcome, outcome=outcome, description=description, bounds=bounds, direction="lower")


_ALL: Final = (
    Metric(
        name="requests", outcome="requests", description="1 for every answer: the denominator of rates",
        bounds=(0.0, 1.0),
    ),
    _of("length", "tokens of an answer that came to its end; shorter is cheaper", (0.0, 4096.0)),
    _of("latency", "seconds from the request to the end of its answer", _SECONDS),
    _of("first_token_latency", "seconds from the request to the first token", _SECONDS),
    _of("errors", "1 where the answer failed, else 0", _SHARE),
    _of("cancelled", "1 where the reader hung up before the end, else 0", _SHARE),
    _of("repetition", "share of 3-grams of words that occur earlier in the answer", _SHARE),
    _of("refusal", "1 where the answer opens by declining, by a fixed list of phrases", _SHARE),
    _of("degenerate", "1 where the answer broke down: empty, gaps, one sign or the same words without end", _SHARE),
    _of("edit_distance", "how much of the answer users changed: edits of characters over the longer text", _SHARE),
)  # fmt: skip
BUILT_IN: Final[Mapping[str, Metric]] = {metric.name: metric for metric in _ALL}
"""By name; nobody else's metrics may have these names."""
