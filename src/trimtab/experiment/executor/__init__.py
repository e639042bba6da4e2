"""Tasks on models, carried out one after another, by several processes, or on a Ray cluster: one interface."""

from typing import Final
from urllib.parse import parse_qsl, urlsplit

from trimtab.errors import InputError
from trimtab.experiment.executor.processes import Processes as Processes
from trimtab.experiment.executor.work import Executor as Executor
from trimtab.experiment.executor.work import Models as Models
from trimtab.experiment.executor.work import Work as Work
from trimtab.experiment.executor.work import check_workers as check_workers

LOCAL: Final = "local"
_FORMS: Final = "local, ray (a cluster of this machine), ray:auto (the running one) or ray://HOST:PORT"


def executor_named(name: str, workers: int | None) -> Executor:
    """The executor of a name.

    Args:
        name: `local` for processes of this machine; `ray` for a Ray cluster of this machine, which ends with the work;
            `ray:auto` for the one that RAY_ADDRESS names or that was started on this machine; `ray://HOST:PORT` for the
            client server of another one. `?gpus=1` behind it gives each Ray worker a GPU, or a part of one.
        workers: None for this process alone; Ray needs a number, since how many fit depends on the cluster's memory.

    Raises:
        InputError: no such executor, an option that there is none of, no or too few workers, Ray is not installed.

    Example:
        >>> from trimtab.experiment.executor import executor_named
        >>> executor_named("local", 3).workers
        3
    """
    if name == LOCAL:
        return Processes(1 if workers is None else workers)
    address, _, options = name.partition("?")
    if address not in ("ray", "ray:auto") and not _is_server(address):
        raise InputError(f"executor {name!r}: give {_FORMS}", code="unknown-choice", field="executor")
    if workers is None:
        raise InputError(
            "with Ray, give the number of workers: each loads the model, and how many fit depends on its memory",
            code="missing-value",
            field="workers",
        )
    from trimtab.experiment.executor.ray_cluster import LOCAL as OWN
    from trimtab.experiment.executor.ray_cluster import RUNNING, Ray

    own = {"ray": OWN, "ray:auto": RUNNING}.get(address, address)
    return Ray(own, workers, _gpus(name, options))


def _is_server(address: str) -> bool:
    parts = urlsplit(address)
    try:
        return parts.scheme == "ray" and bool(parts.hostname) and parts.port is not None
    except ValueError:  # a port that is no number
        return False


def _gpus(name: str, options: str) -> float:
    """GPUs of each worker."""
    given = dict(parse_qsl(options, keep_blank_values=True))
    try:
        gpus = float(given.pop("gpus", "0"))
    except ValueError:
        gpus = -1.0
    if given or gpus < 0:
        raise InputError(
            f"executor {name!r}: the only option is gpus, a number of at least 0", code="out-of-range", field="executor"
        )
    return gpus
