"""How threads that compute together wait for each other; knows no torch, which reads it when it is imported."""

import os


def sleep_while_waiting() -> None:
    """Let threads that wait sleep, so that other work on the machine goes on, unless OMP_WAIT_POLICY says otherwise.

    By default GNU's OpenMP lets them spin for some milliseconds, for which they keep a core: two processes with as many
    threads each as there are cores then wait for threads that are not running (docs/results/shared.md).
    Called before torch is imported, in this process or in those that it starts.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
