"""One environment per library that trimtab is measured against, made on first use.

    .venv/bin/python benchmarks/environments.py [--environments FOLDER] [PEER …]

makes them all (or those named); the benchmarks make what they need themselves. A folder `FOLDER/PEER` with
`bin/python` counts as ready. Versions are pinned; torch and transformers are those of constraints.txt where the peer
can work with them.
"""

import argparse
import shutil
import subprocess
import sys
import venv
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
DEFAULT_ROOT = REPOSITORY / ".bench"

# A bare name is pinned as in constraints.txt. steering-vectors refuses transformers 5; nnsight imports accelerate
# without asking for it.
PEERS = {
    "steering-vectors": ["steering-vectors==0.12.2", "transformers==4.57.6"],
    "repeng": ["repeng==0.4.0", "transformers"],
    "nnsight": ["nnsight==0.8.1", "transformers", "accelerate"],
    "transformer-lens": ["transformer-lens==4.3.0", "transformers"],
    "pyvene": ["pyvene==0.1.8", "transformers", "accelerate"],
    "hidden-directions": ["hidden-directions==0.1.6", "transformers"],
    # The bindings' own libllama asks for a newer libc than many machines have; xllamacpp ships one of the same week.
    "llama-cpp": ["llama-cpp-py-sync==0.11548", "xllamacpp==2026.10.11549", "gguf", "numpy"],
}
WITHOUT_TORCH = {"llama-cpp"}


def python_of(peer: str, root: Path = DEFAULT_ROOT) -> str:
    """Interpreter of a peer's environment under `root`, which is made if it is not there.

    Raises:
        SystemExit: an unknown peer, or its packages could not be installed.
    """
    if peer not in PEERS:
        raise SystemExit(f"unknown peer {peer!r}; one of {', '.join(PEERS)}")
    folder = root.absolute() / peer
    python = folder / "bin" / "python"
    if not python.exists():
        print(f"making an environment for {peer} …", file=sys.stderr, flush=True)
        try:
            _make(folder, python, peer)
        except BaseException:  # half an environment would count as ready next time
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return str(python)


def options(description: str | None) -> argparse.ArgumentParser:
    """What every benchmark against peers takes: `--json FILE` and `--environments FOLDER`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="JSON lines, one per row, kept between runs")
    add_option(parser)
    return parser


def add_option(parser: argparse.ArgumentParser) -> None:
    """`--environments FOLDER`."""
    parser.add_argument(
        "--environments",
        type=Path,
        default=DEFAULT_ROOT,
        metavar="FOLDER",
        help="where the peers' environments are, or are made (default: .bench in the repository)",
    )


def _make(folder: Path, python: Path, peer: str) -> None:
    venv.create(folder, with_pip=True, clear=True)
    torch = [] if peer in WITHOUT_TORCH else [_pinned("torch")]
    if torch:
        _install(python, torch)  # first and alone: a peer would pull another build of it
    _install(python, [*torch, *(_pinned(package) for package in PEERS[peer])])


def _pinned(package: str) -> str:
    """The package as it stands, or with its version in constraints.txt if it names none."""
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    return package if "==" in package else next(line for line in lines if line.startswith(f"{package}=="))


def _install(python: Path, packages: list[str]) -> None:
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    done = subprocess.run(command, stdout=sys.stderr)
    if done.returncode:
        raise SystemExit(f"pip could not install {' '.join(packages)}; its message stands above")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", nargs="*", metavar="PEER", help="all of them by default")
    add_option(parser)
    arguments = parser.parse_args()
    for peer in arguments.peers or PEERS:
        print(peer, python_of(peer, arguments.environments))


if __name__ == "__main__":
    main()
