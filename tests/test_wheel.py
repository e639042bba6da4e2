"""The wheel that is built from this tree works by itself, where the tree is not."""

import importlib.util
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from tests.conftest import _missing

from trimtab.behaviors import builtin_names
from trimtab.version import __version__

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as pip builds it, without a look at the network."""
    if importlib.util.find_spec("hatchling") is None:
        _missing("wheel", "hatchling is not installed (make install)")
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (made,) = out.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def fresh(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment that has the wheel, and of the present one only what it depends on."""
    place = tmp_path_factory.mktemp("fresh") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    scripts = place / ("Scripts" if os.name == "nt" else "bin")
    install = ["install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", str(wheel)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(scripts / "python"), *install], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (packages,) = place.rglob("site-packages")
    present = dict.fromkeys(sysconfig.get_paths()[kind] for kind in ("purelib", "platlib"))
    (packages / "present.pth").write_text("\n".join(present) + "\n")  # after the wheel; its own .pth files do not count
    return scripts


def run(fresh: Path, cwd: Path, *command: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(fresh / command[0]), *command[1:]], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    source = ROOT / "src"
    files = {p.relative_to(source).as_posix() for p in (source / "trimtab").rglob("*") if p.is_file()}
    files = {name for name in files if "__pycache__" not in name}
    held = set(zipfile.ZipFile(wheel).namelist())
    assert files - held == set()
    assert {name for name in held if ".dist-info/" not in name} == files
    assert wheel.name == f"trimtab-{__version__}-py3-none-any.whl"


def test_it_works_in_a_fresh_environment(fresh: Path, tmp_path: Path) -> None:
    given = run(fresh, tmp_path, "trimtab", "--help")
    assert "check" in given
    assert run(fresh, tmp_path, "trimtab", "--version").strip() == f"trimtab {__version__}"
    code = (
        "import sys, importlib.metadata, trimtab\n"
        "from trimtab.behaviors import Probe\n"
        "from trimtab.results.calibration_files import shipped\n"
        "from trimtab.verdict.error_rates import ErrorRates\n"
        f"for name in {builtin_names()!r}: trimtab.Behavior.builtin(name)\n"
        "for name in ('capability', 'neutral', 'over-refusal'): Probe.builtin(name)\n"
        "shipped(), ErrorRates.shipped(True)\n"
        "assert importlib.metadata.version('trimtab') == trimtab.__version__\n"
        "print(trimtab.__file__)"
    )
    place = run(fresh, tmp_path, "python", "-c", code).strip()
    assert Path(place).is_relative_to(fresh.parent)
    assert "sentiment" in run(fresh, tmp_path, "trimtab", "check", "--list")
