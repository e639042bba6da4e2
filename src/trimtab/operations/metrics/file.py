"""Definitions of metrics in a file that people write: TOML, one table a metric.

[liked]
feedback = "thumbs"
labels = { up = 1, down = 0 }
bounds = [0, 1]
"""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from trimtab.errors import InputError
from trimtab.nearest import meant
from trimtab.operations.metrics.built_in import BUILT_IN
from trimtab.operations.metrics.metric import Metric
from trimtab.texts import shown


def read_metrics(file: str | Path) -> list[Metric]:
    """The metrics of a file, in its order.

    Args:
        file: TOML; a table's name is the metric's, and its keys are the fields of `Metric`.

    Raises:
        InputError: it cannot be read, a definition does not fit, or has the name of a built-in one; names the metric.

    Example:
        >>> from pathlib import Path
        >>> from trimtab.operations import read_metrics
        >>> _ = Path("metrics.toml").write_text('[slow]\\noutcome = "latency"\\nkind = "quantile"\\nq = 0.95\\n')
        >>> [(metric.name, metric.q) for metric in read_metrics("metrics.toml")]
        [('slow', 0.95)]
    """
    try:
        tables = tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"there is no file {file}", code="no-such-file", field="file") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{file} cannot be read as TOML: {why}", code="unreadable-file", field="file") from error
    if not tables:
        raise InputError(f"{file} defines no metric", code="missing-value", field="file")
    return [_metric(name, table, file) for name, table in tables.items()]


def check_parts(metrics: Iterable[Metric], known: Mapping[str, Metric]) -> None:
    """The parts of ratios are there, and are means.

    Raises:
        InputError: one is not.
    """
    for metric in metrics:
        for part in metric.parts:
            if part not in known:
                raise unknown(part, known, f"metric {metric.name!r}: ")
            if known[part].kind != "mean":
                raise InputError(
                    f"metric {metric.name!r}: {part!r} is a {known[part].kind}; a ratio is of two metrics of the kind "
                    "mean",
                    field=metric.name,
                )


def unknown(name: str, known: Iterable[str], where: str = "", field: str = "metric") -> InputError:
    """An error that names what there is."""
    names = sorted(known)
    return InputError(
        f"{where}there is no metric {shown(name, 80)!r}; {meant(name, names)}there is "
        f"{shown(', '.join(names), 600)}; define others "
        "in a file, and import it (trimtab metrics import)",
        code="unknown-choice",
        field=field,
    )


def _metric(name: str, table: object, file: str | Path) -> Metric:
    if not isinstance(table, Mapping):
        raise InputError(f"{file}: {name!r} is no table; write [{name}] and its fields below", field=name)
    if "name" in table:
        raise InputError(f"{file}: metric {name!r}: the table's name is the metric's; leave name out", field=name)
    if name in BUILT_IN:
        raise InputError(
            f"{file}: {name!r} is built in and cannot be redefined; choose another name",
            code="repeated-name",
            field=name,
        )
    try:
        return Metric.made(name=name, **table)
    except InputError as error:
        raise InputError(f"{file}: {error}", code=error.code, field=f"{name}.{error.field}") from None
