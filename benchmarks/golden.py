"""Whether a change of the layout moved anything that is measured: the same small work before and after, compared.

    .venv/bin/python benchmarks/golden.py make out/golden/before --data ../shared/data      # on the commit before
    .venv/bin/python benchmarks/golden.py make out/golden/after --data ../shared/data       # on the commit after
    .venv/bin/python benchmarks/golden.py compare out/golden/before out/golden/after --renamed dose=edit_size_ratio

Commands of the command line in processes of their own, with small sizes and fixed seeds; whatever JSON they write is
kept. Times, versions and commands are left out of the comparison, and keys that were renamed are named. Figures are
equal to the last digit on one machine with one number of threads, and nowhere else.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from shutil import rmtree
from typing import Any

SIZES = ("--train", "40", "--eval", "40")
MAT = ("--set", "epochs=5", "--set", "batch=8", "--set", "sample=64")
PERSONA = "mwe/persona/believes-in-gun-rights.jsonl"
FITTED = ("mean-difference", "probe-gated", "mat-steer")
VARIES = frozenset({"seconds", "trimtab", "torch", "transformers", "command", "created", "versions", "out", "page"})


def commands(data: Path, out: Path, site: int) -> Iterator[tuple[str, list[str]]]:
    """What is run, by name."""
    persona, here = str(data / PERSONA), ["--site", str(site)]
    one = [*here, "--strength", "1"]
    yield "check-sentiment", ["check", "sentiment", *SIZES, "--thorough"]
    yield "check-sentiment-default", ["check", "sentiment", *SIZES]
    yield "check-null", ["check", "null", *SIZES, *one, "--thorough"]
    for view in ("statements", "choice"):
        yield (
            f"check-{view}",
            ["check", persona, "--view", view, *SIZES, *one, "--prompt-type", "prefilled", "--thorough"],
        )
    for method in FITTED:
        more = MAT if method == "mat-steer" else ()
        two = ["formality", "refusal"] if method == "mat-steer" else ["sentiment"]
        checked = [] if method == "mean-difference" else ["--no-check"]
        yield f"fit-{method}", ["fit", *two, "--method", method, *SIZES, *one, *more, *checked]
    yield "check-steering", ["check", "sentiment", *SIZES, "--steering", str(out / "fit-mean-difference")]
    yield "predict", ["predict", "sentiment", "null", "--train", "40", *here]
    few = ["--prompt-type", "prefilled", "--prompt-type", "instruction", "--train", "12", "--eval", "16"]
    yield "study", ["study", "sentiment", "formality", "null", *here, *few]


def make(out: Path, data: Path, model: str, site: int) -> None:
    """Run what is not there yet; a command that fails ends it."""
    for name, command in commands(data, out, site):
        home, file = out / name, out / f"{name}.json"
        if file.is_file():
            continue
        rmtree(home, ignore_errors=True)
        out.mkdir(parents=True, exist_ok=True)
        saves = [] if command[0] == "predict" else ["--out", str(home)]
        line = [sys.executable, "-m", "trimtab", *command, *saves, "--model", model, "--json"]
        run = subprocess.run(line, capture_output=True, text=True)
        if run.returncode:
            raise SystemExit(f"{name} ended with {run.returncode}:\n{run.stderr[-2000:]}")
        file.write_text(run.stdout)
        print(name, flush=True)


def leaves(value: Any, path: str, renamed: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """Every figure and text of a document, by its path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in VARIES:
                yield from leaves(inner, f"{path}/{renamed.get(key, key)}", renamed)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from leaves(inner, f"{path}/{i}", renamed)
    else:
        yield path, value


def read(folder: Path, renamed: Mapping[str, str]) -> dict[str, Any]:
    """All that a folder's JSON documents say."""
    result: dict[str, Any] = {}
    for file in sorted(folder.rglob("*.json")):
        where = str(file.relative_to(folder))
        if "/." in f"/{where}":  # left by an interrupted command
            continue
        result |= dict(leaves(json.loads(file.read_text()), where, renamed))
    return result


def compare(before: Path, after: Path, renamed: Mapping[str, str]) -> list[str]:
    """What differs, a line each."""
    old, new = read(before, renamed), read(after, {})
    if not old:
        raise SystemExit(f"{before} holds no JSON; run `make` on the commit before")
    lines = [f"- {path}: {old[path]!r}" for path in old.keys() - new.keys()]
    lines += [f"+ {path}: {new[path]!r}" for path in new.keys() - old.keys()]
    lines += [f"! {path}: {old[path]!r} -> {new[path]!r}" for path in old.keys() & new.keys() if old[path] != new[path]]
    return sorted(lines, key=lambda line: line[2:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    maker = verbs.add_parser("make")
    maker.add_argument("out", type=Path)
    maker.add_argument("--data", type=Path, required=True)
    maker.add_argument("--model", default="smollm2", help="a tiny random one takes a minute instead of half an hour")
    maker.add_argument("--site", type=int, default=14, help="block, where one is given")
    comparer = verbs.add_parser("compare")
    comparer.add_argument("before", type=Path)
    comparer.add_argument("after", type=Path)
    comparer.add_argument("--renamed", nargs="*", default=[], metavar="OLD=NEW")
    args = parser.parse_args()
    if args.verb == "make":
        make(args.out, args.data, args.model, args.site)
        return
    lines = compare(args.before, args.after, dict(pair.split("=", 1) for pair in args.renamed))
    print("\n".join(lines) or "nothing measured moved")
    raise SystemExit(1 if lines else 0)


if __name__ == "__main__":
    main()
