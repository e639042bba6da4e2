"""Mean-difference vectors at one middle block: trimtab against other libraries, each in its own environment.

    .venv/bin/python benchmarks/extraction.py --pairs 200 --repeats 5 \\
        --peer steering-vectors=PYTHON --peer repeng=PYTHON --peer nnsight=PYTHON

A peer's PYTHON is the interpreter of an environment with torch and that library (nnsight needs accelerate too). Every
contender loads the embedded model and computes the same vector (cosine > 0.999 with ours is asserted before anything is
timed); runs alternate; the table gives ratios of medians. Peers run at their default batch size and at the best of 8,
16 and 32; `plain` is a transformers loop in this environment.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
import torch

import trimtab as tt
from trimtab.models.gguf import converted
from trimtab.models.loading import embedded_file

DEFAULT_BATCH = {"steering-vectors": 1, "repeng": 32, "nnsight": 1, "plain": 1}
BATCHES = (8, 16, 32)


class Contender:
    """A process that computes the vector whenever it is told to."""

    def __init__(self, python: str, name: str, folder: Path, texts: Path, dtype: str, batch: int) -> None:
        script = Path(__file__).with_name("contenders.py")
        self.process = subprocess.Popen(
            [python, str(script), name, str(folder), str(texts), dtype, str(batch)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.batch = batch
        line = self._read()
        assert line, f"{name} ended before it gave a vector"
        self.vector = np.array(json.loads(line))

    def seconds(self) -> float:
        """One run."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return float(self._read())

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()

    def _read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


def ratios(ours: Contender, theirs: Contender, repeats: int) -> float:
    """Median of theirs over median of ours, in alternating runs."""
    cosine = ours.vector @ theirs.vector / np.linalg.norm(ours.vector) / np.linalg.norm(theirs.vector)
    assert cosine > 0.999, f"the vectors differ: cosine {cosine}"
    runs = [(ours.seconds(), theirs.seconds()) for _ in range(repeats)]
    return median(t for _, t in runs) / median(o for o, _ in runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    arguments = parser.parse_args()
    file = embedded_file()
    assert file is not None, "the embedded model is not installed; run make install"
    folder = converted(file)
    first = tt.load(folder).tokenizer.bos_token
    examples = tt.Behavior.builtin("sentiment").examples[: arguments.pairs]
    sides = [[first + e.prompt + getattr(e, side) for e in examples] for side in ("positive", "negative")]
    peers = {"plain": sys.executable, **dict(p.split("=", 1) for p in arguments.peer)}
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, {len(examples)} pairs")
    print("| dtype | peer | trimtab over its default batch | its best batch | trimtab over its best batch |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        texts = Path(name) / "texts.json"
        texts.write_text(json.dumps(sides))
        for dtype in ("float32", "bfloat16"):
            ours = Contender(sys.executable, "trimtab", folder, texts, dtype, 0)
            for peer, python in peers.items():
                print(row(ours, peer, python, folder, texts, dtype, arguments.repeats), flush=True)
            ours.stop()


def row(ours: Contender, peer: str, python: str, folder: Path, texts: Path, dtype: str, repeats: int) -> str:
    """One line of the table."""
    found = {}
    for batch in sorted({DEFAULT_BATCH[peer], *BATCHES}):
        theirs = Contender(python, peer, folder, texts, dtype, batch)
        found[batch] = ratios(ours, theirs, repeats)
        theirs.stop()
    best = min(found, key=lambda batch: found[batch])
    return f"| {dtype} | {peer} | {found[DEFAULT_BATCH[peer]]:.1f}× | {best} | {found[best]:.1f}× |"


if __name__ == "__main__":
    main()
