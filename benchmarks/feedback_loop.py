"""From what users say to a better steering: a weak one is live, users judge, the next one is made of what they said.

    .venv/bin/python benchmarks/feedback_loop.py --out docs/results/feedback.md

Everything goes through the commands and routes that people use: `fit`, `release`, `serve` (a process of its own, the
embedded model in bfloat16, a store in SQLite with texts), `/v1/feedback`, `feedback export`, `lint`, `check
--against`, `fit` and a second release. The users are simulated and what they want is known: answers with more of the
words of `WARM` and fewer of `COLD`. The words are the users' own; neither steering nor check sees the list, only
ratings and corrections. The exported rows are parted by the subject of their prompts: two thirds make the new
steering, one third judges it. Then both steerings continue prompts about subjects that no user asked about, and the
users' rule says which answer of each pair they prefer. A third arm is the former steering, made as strong as the new
one: is it the direction or the size?
"""

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx2
import torch
from harness import machine, publish, table
from served import our_url, started, trimtab, trimtab_serve
from simulated_users import ASKED, HELD_OUT, TOKENS, answers, preference, prompts, users

import trimtab as tt

SITE: Final = 17
METRICS: Final = '[rated]\nfeedback = "rating"\n'
Row = dict[str, Any]


def parted(pairs: Path, fit: Path, judge: Path) -> Row:
    """The exported rows: those about every third subject judge, the others make the steering."""
    header, *rows = (json.loads(line) for line in pairs.read_text(encoding="utf-8").splitlines())
    apart = set(prompts(ASKED[::3]))
    for file, held in ((fit, False), (judge, True)):
        kept = [row for row in rows if (row["prompt"] in apart) == held]
        file.write_text("".join(json.dumps(row) + "\n" for row in (header, *kept)), encoding="utf-8")
    return {"rows": len(rows), "judging": sum(row["prompt"] in apart for row in rows)}


class Loop:
    """The steps, each done once: what came of them is kept in the folder, so that the loop goes on where it stopped.

    Args:
        work: folder of everything.
        args: of the command line.
    """

    def __init__(self, work: Path, args: argparse.Namespace) -> None:
        self.work, self.args = work, args
        self.store, self.steerings = work / "operations.db", work / "steerings"
        self._file = work / "steps.json"
        self._done: Row = json.loads(self._file.read_text(encoding="utf-8")) if self._file.is_file() else {}

    def once(self, name: str, act: Callable[[], Any]) -> Any:
        """What came of a step, now or before."""
        if name not in self._done:
            began = time.perf_counter()
            self._done[name] = act()
            self._file.with_suffix(".new").write_text(json.dumps(self._done), encoding="utf-8")
            self._file.with_suffix(".new").rename(self._file)
            print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
        return self._done[name]

    def serve(self) -> Any:
        """The server, with what lies in the folder of steerings now."""
        options = ["--steerings", self.steerings, "--store", self.store, "--store-text", "--dtype", "bfloat16"]
        return started(trimtab_serve(*options, "--no-auth", "--no-playground"), our_url)

    def run(self) -> Row:
        """The whole loop."""
        self.once("a weak steering goes live", self.first_release)
        ratings = self.once("users ask and judge", self.asked)
        exported = self.once("feedback export", self.examples)
        lint = self.once("lint", lambda: trimtab("lint", self.work / "pairs.jsonl", allowed=(0, 3))[1].strip())
        against = self.next_steering()
        compared = self.once("held-out prompts", self.compared)
        self.once("a new release", self.second_release)
        return {**compared, **exported, "ratings": ratings, "lint": lint, "against": against}

    def first_release(self) -> None:
        """A weak steering, from few examples, goes live for all."""
        former = self.steerings / "former"
        trimtab(
            "fit", "sentiment", "--site", SITE, "--train", 8, "--strength", self.args.weak, "--dtype", "bfloat16",
            "--no-check", "--out", former,
        )  # fmt: skip
        (self.work / "metrics.toml").write_text(METRICS)
        trimtab("store", "migrate", "--store", self.store)
        trimtab("metrics", "import", self.work / "metrics.toml", "--store", self.store, "--by", "ada")
        trimtab(
            "release", "create", "former", "--treatment", former, "--stages", "100", "--dtype", "bfloat16",
            "--no-chat-template", "--unchecked", "a first try on eight examples", "--store", self.store, "--by", "ada",
        )  # fmt: skip
        trimtab("release", "start", "former", "--store", self.store, "--by", "ada")

    def asked(self) -> list[int]:
        """Users ask, rate and correct; their ratings."""
        with self.serve() as server:
            ratings = users(server.url, self.args.seed, self.args.users)
            server.stop()
        return ratings

    def examples(self) -> Row:
        """What users said, as contrast examples."""
        pairs = self.work / "pairs.jsonl"
        _, said = trimtab(
            "feedback", "export", "--out", pairs, "--metric", "rated", "--store", self.store, "--by", "ada"
        )
        return parted(pairs, self.work / "fit.jsonl", self.work / "judge.jsonl") | {"exported": said.strip()}

    def next_steering(self) -> int:
        """Both steerings, judged by rows that neither has seen; the exit code of the comparison."""
        judge, checks = self.work / "judge.jsonl", self.work / "checks"
        shared = ["--dtype", "bfloat16"]
        check = ["check", judge, *shared, "--steering"]
        former = [*check, self.steerings / "former", "--out", checks / "former"]
        self.once("check of the former", lambda: trimtab(*former)[0])
        refitted = self.steerings / "refitted"
        fit = ["fit", self.work / "fit.jsonl", "--site", SITE, "--no-check", "--out", refitted, *shared]
        self.once("fit", lambda: trimtab(*fit)[0])
        against = [*check, refitted, "--out", checks / "refitted", "--against", checks / "former" / "report.json"]
        return int(self.once("check --against", lambda: trimtab(*against, allowed=(0, 3))[0]))

    def compared(self) -> Row:
        """Held-out prompts, continued by all."""
        old, refitted = (tt.Steering.load(self.steerings / name) for name in ("former", "refitted"))
        lengths = [float(s.vector(tt.Site(SITE)).norm()) * next(iter(s.attributes.values())) for s in (old, refitted)]
        (name, strength), *_ = old.attributes.items()
        equal = strength * lengths[1] / lengths[0]
        stronger = {"name": "former", "strength": {name: equal}}
        arms: dict[str, Row] = {
            "former": {"model": "smollm2@former"},
            "former, as strong as the new one": {"steering": stronger},
            "refitted": {"model": "smollm2@refitted"},
        }
        samples = self.args.samples
        with self.serve() as server:
            found = {arm: answers(server.url, body, samples, self.args.seed) for arm, body in arms.items()}
            server.stop()
        preferred = {
            arm: preference(found["refitted"], one, samples) for arm, one in found.items() if arm != "refitted"
        }
        shown = {arm: one[0] for arm, one in found.items()}
        return {
            "preferred": preferred, "lengths": lengths, "strength": equal, "shown": shown,
            "cosines": self.cosines([old, refitted]),
        }  # fmt: skip

    def cosines(self, made: Sequence[tt.Steering]) -> list[float]:
        """Of steerings with the direction of all examples of `sentiment`, which neither was made of."""
        whole = self.steerings.parent / "whole"
        if not whole.is_dir():
            trimtab("fit", "sentiment", "--site", SITE, "--dtype", "bfloat16", "--no-check", "--out", whole)
        wanted = tt.Steering.load(whole).vector(tt.Site(SITE))
        return [float(torch.cosine_similarity(s.vector(tt.Site(SITE)), wanted, dim=0)) for s in made]

    def second_release(self) -> str:
        """The former stays for all, and the new one is tried against it on half of the traffic."""
        who = ["--store", self.store, "--by", "ada"]
        with self.serve() as server:
            trimtab("release", "finish", "former", "--keep", "treatment", "--why", "there is a better one", *who)
            trimtab(
                "release", "create", "refitted", "--treatment", self.steerings / "refitted", "--control",
                self.steerings / "former", "--stages", "50,100", "--check", self.work / "checks" / "refitted",
                "--check", self.work / "checks" / "former", "--metric", "rated", "--no-chat-template", "--unchecked",
                "judged by pairs of users' answers, few of them", *who,
            )  # fmt: skip
            trimtab("release", "start", "refitted", *who)
            got = _seen(server.url, "refitted")
            server.stop()
        return got


def _seen(url: str, release: str) -> str:
    """The release that an answer names: the server sees a new one within a second."""
    deadline, got = time.monotonic() + 5, ""
    while got != release and time.monotonic() < deadline:
        body = {"model": "smollm2", "prompt": "The day was", "max_tokens": 1, "user": "ada"}
        answer = httpx2.post(f"{url}/completions", json=body, timeout=60).raise_for_status().json()
        got = str(answer["trimtab"]["release"])
    assert got == release, got
    return got


def page(found: Row, loop: Loop) -> str:
    """The page."""
    rows = [
        (arm, f"{one['share']:.0%} [{one['low']:.0%}, {one['high']:.0%}]", one["n"], one["ties"],
         f"{one['means'][0]:+.2f} against {one['means'][1]:+.2f}") for arm, one in found["preferred"].items()
    ]  # fmt: skip
    reports = [tt.Report.load(loop.work / "checks" / name) for name in ("former", "refitted")]
    effects = [next(iter(report.prompt_types.values())).effect for report in reports]
    judged = [
        (
            name,
            report.verdict.decision,
            _effect(e),
            report.n_eval,
        )
        for name, report, e in zip(("former", "refitted"), reports, effects, strict=True)
    ]
    main = found["preferred"]["former"]
    undecided = all(report.verdict.decision == "inconclusive" for report in reports)
    better = main["low"] > 0.5
    ratings = found["ratings"]
    return _PAGE.format(
        machine=machine(), n_users=len(ratings),
        mean=sum(ratings) / len(ratings), same=sum(r == 0 for r in ratings) / len(ratings), rows=found["rows"],
        judging=found["judging"], exported=_brief(found["exported"]), lint=_brief(found["lint"]),
        against=found["against"], judged=table(["steering", "verdict", "effect, nats/token", "n"], judged),
        lengths=found["lengths"], strength=found["strength"], weak=loop.args.weak,
        preferred=table(["refitted against", "preferred", "pairs", "ties", "warm less cold words an answer"], rows),
        verdict="is preferred, with an interval off one half" if better else "is not shown to be preferred",
        shown=table(["arm", "first answer"], [(a, _line(t)) for a, t in found["shown"].items()]),
        cosines=found["cosines"], why=_WHY if found["cosines"][1] < found["cosines"][0] and not better else "",
        command=f".venv/bin/python benchmarks/feedback_loop.py --users {loop.args.users} --samples {loop.args.samples}",
        held=_HELD if undecided else "", first=prompts(HELD_OUT)[0], samples=loop.args.samples, tokens=TOKENS,
    )  # fmt: skip


def _effect(effect: Any) -> str:
    return "–" if effect is None else f"{effect.mean:+.3f} [{effect.low:+.3f}, {effect.high:+.3f}]"


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "/")


def _brief(text: str) -> str:
    """Without the folder that the files happened to lie in."""
    text = re.sub(r"[\w./-]*/(\w+\.jsonl)", r"\1", text)
    return "\n".join(line for line in text.splitlines() if line.strip())[:1500]


_HELD: Final = (
    " So few rows leave both verdicts open: without `--unchecked` the second release would not have begun, and "
    "nothing that held-out prompts show speaks against waiting for more feedback."
)

_WHY: Final = """

**Why not.** The answers that users prefer and reject are samples of one model to one prompt: they differ by a word or
two that the users care about, and by everything else that sampling changes. So many such rows point less toward warm
texts than the eight written pairs that made the former, whose two answers were written to differ in that. Pairs that
somebody writes are worth more than many ratings; ratings are better spent on judging a steering than on making one."""

_PAGE: Final = """# From feedback to a better steering

    {command} --out docs/results/feedback.md

{machine}. SmolLM2-135M-Instruct (embedded) in bfloat16, answers of {tokens}
tokens sampled at temperature 0.9. Everything goes through the commands and routes that people use; the users are
simulated, and what they want is known: more words of one list, fewer of another. Only their ratings and
corrections are seen.

**The steering that was made of what users said {verdict}.**

## Held-out prompts

20 subjects that no user asked about, two prompts of each, {samples} pairs of answers to each prompt with the same
seeds. The share of pairs in which the users' rule prefers the refitted steering, ties half, with a 95 % interval over
subjects:

{preferred}

The edit of the refitted steering is {lengths[1]:.1f} long, that of the former {lengths[0]:.1f}; the second row makes
the former as long by strength {strength:.2f} instead of {weak:g}. What warm texts have in common is told best by all
examples of the built-in behavior `sentiment`, of which the loop sees but the eight that made the former: the cosine
with their direction is {cosines[0]:.2f} for the former and {cosines[1]:.2f} for the refitted steering.{why}

Answers to *{first}* …

{shown}

## What users said

{n_users} users ask about 30 subjects, {same:.0%} of their ratings are 0, the mean is {mean:+.2f}. All agreed:

```
$ trimtab feedback export --out pairs.jsonl --metric rated
{exported}
$ trimtab lint pairs.jsonl
{lint}
```

{judging} of the {rows} rows, about every third subject, judge; the others make the steering, by the mean difference of
preferred and rejected answers at block 17, at the strength that its dev split chose.

## What the check says

`trimtab check judge.jsonl --steering refitted --against checks/former/report.json` ends with exit code {against}
(3: worse).

{judged}

The effect is in likelihood on the judging rows, desired less undesired answer.{held}
"""


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weak", type=float, default=0.2, help="strength of the former steering")
    parser.add_argument("--users", type=int, default=4, help="who ask the same")
    parser.add_argument("--samples", type=int, default=3, help="answers to each held-out prompt")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, metavar="DIR", help="keep everything there; by default nothing is kept")
    parser.add_argument("--out", type=Path, metavar="FILE", help="page to write")
    return parser.parse_args()


def main() -> None:
    args = parsed()
    with TemporaryDirectory() as folder:
        work = args.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        loop = Loop(work, args)
        text = page(loop.run(), loop)
    publish(text, args.out)


if __name__ == "__main__":
    main()
