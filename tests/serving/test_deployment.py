"""The systemd unit: systemd finds no fault in it, it gives away little, and its command is one that there is."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import typer

from trimtab.cli import app
from trimtab.serving.listening import GRACE

UNIT = Path(__file__).parents[2] / "deploy" / "trimtab.service"
EXPOSURE = 20  # tenths, as `systemd-analyze security` counts; it calls up to 20 safe


def settings() -> dict[str, str]:
    """The unit's settings; of one that is named twice, the last."""
    lines = [line for line in UNIT.read_text(encoding="utf-8").splitlines() if line and line[0] not in "#["]
    return dict(line.split("=", 1) for line in lines)


@pytest.fixture
def analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("there is no systemd-analyze")
    return found


def test_systemd_finds_no_fault_in_the_unit(analyze: str, tmp_path: Path) -> None:
    installed = tmp_path / UNIT.name  # with a program that is there
    command = shlex.split(settings()["ExecStart"])[0]
    installed.write_text(UNIT.read_text(encoding="utf-8").replace(command, "/bin/true"), encoding="utf-8")
    done = subprocess.run([analyze, "verify", "--man=no", str(installed)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_gives_the_process_little(analyze: str) -> None:
    command = [analyze, "security", "--offline=true", f"--threshold={EXPOSURE}", str(UNIT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout[-300:]


def test_the_command_of_the_unit_has_options_that_there_are_and_time_to_finish_answers() -> None:
    found = settings()
    _, verb, *options = shlex.split(found["ExecStart"])
    serve = typer.main.get_command(app).commands[verb]  # type: ignore[attr-defined]
    known = {name for parameter in serve.params for name in parameter.opts}
    assert {option for option in options if option.startswith("--")} <= known
    assert found["KillMode"] == "mixed"
    assert int(found["TimeoutStopSec"]) > GRACE + 10
