"""Whenever a process is killed, what is seen afterwards is what was committed, and nothing is counted twice."""

import os
import random
import signal
import subprocess
import sys
from time import sleep

import pytest

from trimtab.operations import Exposure, ExposureLog, Releases, Store, entries, verify

WORK = """
import sys
from itertools import count
from trimtab.operations import *
warm = Arm(name="warm", artifact="a" * 64, strength={"warm": 1.0})
run = sys.argv[2]
with Store(sys.argv[1]) as store:
    releases, log = Releases(store, artifact_now=lambda arm: arm.artifact), ExposureLog(store)
    for number in count():
        name = f"{run}-{number}"
        made = Definition(name=name, model="tiny", treatment=warm, stages=(1, 50, 100), salt=name)
        print("try", name, 1, flush=True)
        release = releases.add(made, by="ada")
        print("did", name, release.version, flush=True)
        for action in ("start", "promote", "promote", "rollback"):
            log.write([Exposure(f"{name}-{release.version}-{i}", 0.0, "tiny", "treatment", "ada", name, 2)
                       for i in range(5)])
            print("try", name, release.version + 1, flush=True)
            release = releases.act(name, action, by="ada")
            print("did", name, release.version, flush=True)
"""
STATES = {1: ("draft", 0), 2: ("running", 1), 3: ("running", 50), 4: ("running", 100), 5: ("rolled-back", 0)}


def killed(place: str, run: int, after: float) -> list[tuple[str, str, int]]:
    """What a process said until it was killed."""
    process = subprocess.Popen([sys.executable, "-c", WORK, place, str(run)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    first = process.stdout.readline()
    sleep(after)
    os.kill(process.pid, signal.SIGKILL)
    rest, _ = process.communicate()
    whole = [line.split() for line in (first + rest).splitlines()]
    return [(what, name, int(version)) for what, name, version in (line for line in whole if len(line) == 3)]


def check(store: Store, said: list[tuple[str, str, int]]) -> None:
    """Every state is one that was tried, none that was done is missing, and each has its entry."""
    done = {name: version for what, name, version in said if what == "did"}
    tried = {name: version for what, name, version in said if what == "try"}
    releases = Releases(store)
    seen = {release.name: release for release in releases.all()}
    for name, version in tried.items():
        if name not in seen:
            assert version == 1
            assert name not in done
            continue
        release = seen[name]
        assert done.get(name, 1) <= release.version <= version
        assert (release.state, release.share) == STATES[release.version]
        steps = releases.history(name)
        assert [step.release.version for step in steps] == list(range(1, release.version + 1))
        assert [step.entry.subject for step in steps] == [name] * len(steps)
    assert verify(store).holds


@pytest.mark.parametrize("runs", [3, pytest.param(200, marks=pytest.mark.slow)])
def test_a_kill_at_any_moment_leaves_what_was_committed(store: Store, runs: int) -> None:
    place = store.url.render_as_string(hide_password=False)
    draw = random.Random(runs)
    log = ExposureLog(store)
    for run in range(runs):
        said = killed(place, run, draw.uniform(0, 0.4))
        check(store, said)
        _, name, _ = said[-1]
        again = [
            Exposure(f"{name}-{v}-{i}", 0.0, "tiny", "treatment", "ada", name, 2) for v in range(1, 5) for i in range(5)
        ]
        before = sum(count.requests for count in log.counts(name))
        assert before % 5 == 0  # a batch is there or not
        assert log.write(again) == 20 - before
        assert sum(count.requests for count in log.counts(name)) == 20
    states = sum(len(Releases(store).history(release.name)) for release in Releases(store).all())
    assert len(list(entries(store))) == states
