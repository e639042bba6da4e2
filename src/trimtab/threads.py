"""How many threads compute and how they wait for each other; imports no torch, which reads it when it is imported."""

import os

_BLAS = "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"  # read when the libraries are loaded


def sleep_while_waiting() -> None:
    """Let threads that wait sleep, so that other work on the machine goes on, unless OMP_WAIT_POLICY says otherwise.

    By default GNU's OpenMP lets them spin for some milliseconds, for which they keep a core: two processes with as many
    threads each as there are cores then wait for threads that are not running (docs/results/shared.md).
    Called before torch is imported, in this process or in those that it starts.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def compute_with(threads: int) -> None:
    """Compute with so many threads: torch, and the BLAS of NumPy and of SciPy, which each have a pool of their own.

    Two workers on two cores, each with two threads of SciPy's, wait for each other more than they compute.

    Args:
        threads: at least 1; libraries that are loaded later, and processes that begin later, have as many. Those of
            BLAS that the environment holds to fewer keep to that.
    """
    import torch
    from threadpoolctl import threadpool_info, threadpool_limits

    for library in _BLAS:
        given = os.environ.get(library, "")
        os.environ[library] = str(min(threads, int(given) if given.isdecimal() and int(given) else threads))
    pools = [{**pool, "num_threads": min(threads, pool["num_threads"])} for pool in threadpool_info()]
    threadpool_limits(pools)
    torch.set_num_threads(threads)
