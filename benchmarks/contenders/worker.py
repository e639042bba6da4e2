"""A contender's side of `harness.py`: standard library only, because it runs in the environments of other libraries.

    if __name__ == "__main__":
        serve({"ours": ours, "theirs": theirs})

The job comes as one line of JSON; its `name` picks one of the jobs, which prepares and returns `(result, run)`. The
result goes back as `{"result": …}`. Then every line on standard input is answered by one call of `run` and
`{"seconds": …}`; a dict that `run` returns is added (its own `seconds`, if it has them, stand).
"""

import gc
import json
import os
import sys
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, TextIO

Run = Callable[[], Any]
Job = Callable[[dict[str, Any]], tuple[Any, Run]]


def serve(jobs: Mapping[str, Job]) -> None:
    """Do one job until standard input ends."""
    answers = _own_stdout()
    job = json.loads(sys.stdin.readline())
    result, run = jobs[job["name"]](job)
    _say(answers, {"result": result})
    for _ in sys.stdin:
        gc.collect()  # so that no run pays for another's litter
        start = perf_counter()
        more = run()
        seconds = perf_counter() - start
        _say(answers, {"seconds": seconds, **(more if isinstance(more, dict) else {})})


def _own_stdout() -> TextIO:
    """The pipe to the harness; whatever the contender prints goes to standard error instead."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return answers


def _say(answers: TextIO, words: dict[str, Any]) -> None:
    print(json.dumps(words), file=answers, flush=True)
