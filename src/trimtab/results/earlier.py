"""Reports of earlier schemas, as records of the present one: what was renamed; what is new says that it is missing."""

from collections.abc import Mapping
from typing import Any, Final

# Of schema 1, by the place in the report where they stand.
_REPORT: Final = {
    "asking": "prompting_baseline",
    "generality": "training_variability",
    "n_eval_units": "n_eval_clusters",
    "reference": "random_directions",
}
_STRENGTH: Final = {"dose": "edit_size_ratio"}
_VERDICT: Final = {"caveats": "reservations"}
_ROW: Final = {"unit": "cluster"}


def present(record: Mapping[str, Any]) -> dict[str, Any]:
    """A report's record, with its rows, in the words of the present schema.

    Args:
        record: as it was read; of schema 1, or of any other, which is left as it is.

    Raises:
        KeyError, TypeError, AttributeError: parts of a record of schema 1 are missing, or no records.
    """
    if record.get("schema") != 1:
        return dict(record)
    report = _renamed(record, _REPORT)
    verdict = _renamed(report["verdict"], _VERDICT)
    if verdict.get("error_rate") is not None:
        verdict["error_rate"] = _renamed(verdict["error_rate"], _VERDICT)
    curve = {**report["curve"], "points": [_renamed(point, _STRENGTH) for point in report["curve"]["points"]]}
    return report | {
        "schema": 2,
        "verdict": verdict,
        "curve": curve,
        "dev_strengths": [_renamed(one, _STRENGTH) for one in report["dev_strengths"]],
        "prompt_types": {name: _renamed(one, _STRENGTH) for name, one in report["prompt_types"].items()},
        "rows": [_renamed(row, _ROW) for row in report["rows"]],
    }


def _renamed(record: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The same record under other names."""
    return {names.get(key, key): value for key, value in record.items()}
