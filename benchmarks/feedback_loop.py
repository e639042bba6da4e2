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
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx2
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
    """The steps, each timed and noted.

    Args:
        work: folder of everything.
        args: of the command line.
    """

    def __init__(self, work: Path, args: argparse.Namespace) -> None:
        self.work, self.args = work, args
        self.store, self.steerings = work / "operations.db", work / "steerings"
        self.seconds: dict[str, float] = {}
        self.said: dict[str, str] = {}
        self._began = time.perf_counter()

    def step(self, name: str, text: str = "") -> None:
        """Note that a step is done, and what it said."""
        now = time.perf_counter()
        self.seconds[name], self._began = now - self._began, now
        self.said[name] = text.strip()
        print(f"{name}: {self.seconds[name]:.0f} s", file=sys.stderr, flush=True)

    def serve(self) -> Any:
        """The server, with what lies in the folder of steerings now."""
        options = ["--steerings", self.steerings, "--store", self.store, "--store-text", "--dtype", "bfloat16"]
        return started(trimtab_serve(*options, "--no-auth", "--no-playground"), our_url)

    def run(self) -> Row:
        """The whole loop."""
        self.first_release()
        with self.serve() as server:
            ratings = users(server.url, self.args.seed)
            self.step("users ask and judge")
            server.stop()
        exported = self.examples()
        against = self.next_steering()
        with self.serve() as server:
            compared = self.compared(server.url)
            self.second_release(server.url)
            server.stop()
        return compared | exported | {"ratings": ratings, "against": against}

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
        self.step("a weak steering goes live")

    def examples(self) -> Row:
        """What users said, as contrast examples."""
        pairs = self.work / "pairs.jsonl"
        _, said = trimtab(
            "feedback", "export", "--out", pairs, "--metric", "rated", "--store", self.store, "--by", "ada"
        )
        self.step("feedback export", said)
        found = parted(pairs, self.work / "fit.jsonl", self.work / "judge.jsonl")
        _, said = trimtab("lint", pairs, allowed=(0, 3))
        self.step("lint", said)
        return found

    def next_steering(self) -> int:
        """Both steerings, judged by rows that neither has seen; the exit code of the comparison."""
        judge, former = self.work / "judge.jsonl", self.work / "checks" / "former"
        shared = ["--dtype", "bfloat16"]
        trimtab("check", judge, "--steering", self.steerings / "former", "--out", former, *shared)
        self.step("check of the former")
        _, said = trimtab(
            "fit", self.work / "fit.jsonl", "--site", SITE, "--no-check", "--out", self.steerings / "refitted", *shared
        )
        self.step("fit", said)
        status, said = trimtab(
            "check", judge, "--steering", self.steerings / "refitted", "--out", self.work / "checks" / "refitted",
            "--against", former / "report.json", *shared, allowed=(0, 3),
        )  # fmt: skip
        self.step("check --against", said)
        return status

    def compared(self, url: str) -> Row:
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
        found = {arm: answers(url, body, samples, self.args.seed) for arm, body in arms.items()}
        self.step("held-out prompts")
        preferred = {
            arm: preference(found["refitted"], one, samples) for arm, one in found.items() if arm != "refitted"
        }
        shown = {arm: one[0] for arm, one in found.items()}
        return {"preferred": preferred, "lengths": lengths, "strength": equal, "shown": shown}

    def second_release(self, url: str) -> None:
        """The new steering against the former, live for half."""
        _, said = trimtab(
            "release", "create", "refitted", "--treatment", self.steerings / "refitted", "--control",
            self.steerings / "former", "--stages", "50,100", "--check", self.work / "checks" / "refitted", "--check",
            self.work / "checks" / "former", "--metric", "rated", "--no-chat-template", "--unchecked",
            "judged by pairs of users' answers, few of them", "--store", self.store, "--by", "ada",
        )  # fmt: skip
        trimtab("release", "start", "refitted", "--store", self.store, "--by", "ada")
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:  # the server sees it within a second
            body = {"model": "smollm2", "prompt": "The day was", "max_tokens": 1, "user": "ada"}
            got = httpx2.post(f"{url}/completions", json=body, timeout=60).raise_for_status().json()["trimtab"]
            if got["release"] == "refitted":
                break
        assert got["release"] == "refitted", got
        self.step("a new release", said)


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
    better = main["low"] > 0.5
    ratings = found["ratings"]
    return _PAGE.format(
        machine=machine(), minutes=sum(loop.seconds.values()) / 60, n_users=len(ratings),
        mean=sum(ratings) / len(ratings), same=sum(r == 0 for r in ratings) / len(ratings), rows=found["rows"],
        judging=found["judging"], exported=loop.said["feedback export"], lint=_brief(loop.said["lint"]),
        against=found["against"], judged=table(["steering", "verdict", "effect, nats/token", "n"], judged),
        lengths=found["lengths"], strength=found["strength"], weak=loop.args.weak,
        preferred=table(["refitted against", "preferred", "pairs", "ties", "warm less cold words an answer"], rows),
        verdict="is preferred, with an interval off one half" if better else "is not shown to be preferred",
        seconds=table(["step", "seconds"], [(name, f"{s:.0f}") for name, s in loop.seconds.items()]),
        shown=table(["arm", "first answer"], [(a, _line(t)) for a, t in found["shown"].items()]),
        first=prompts(HELD_OUT)[0], samples=loop.args.samples, tokens=TOKENS,
    )  # fmt: skip


def _effect(effect: Any) -> str:
    return "–" if effect is None else f"{effect.mean:+.3f} [{effect.low:+.3f}, {effect.high:+.3f}]"


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "/")


def _brief(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if line.strip())[:1500]


_PAGE: Final = """# From feedback to a better steering

    .venv/bin/python benchmarks/feedback_loop.py --out docs/results/feedback.md

{machine}; {minutes:.0f} minutes with everything. SmolLM2-135M-Instruct (embedded) in bfloat16, answers of {tokens}
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
the former as long by strength {strength:.2f} instead of {weak:g}.

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

The effect is in likelihood on the judging rows, desired less undesired answer.

## Time

{seconds}
"""


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weak", type=float, default=0.2, help="strength of the former steering")
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
