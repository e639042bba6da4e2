"""Truthfulness, bias and toxicity as behaviors, from public data: what several attributes are measured on.

TruthfulQA: a true against a false answer, twice for each question. BBQ: where the context does not tell, the answer
that says so against the stereotyped one. Toxicity: harmless against toxic texts (surge, ToxiGen's demonstrations), no
pairs. The cluster is the question, BBQ's template, or the text.
"""

import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from trimtab.behaviors import Behavior, Example
from trimtab.evaluation.tasks import BBQ, Toxicity, TruthfulQA

PER_TEMPLATE = 6  # rows of a BBQ template
MAX_LENGTH = 280  # characters of a toxic or harmless text
EACH = 400  # of them on either side


def attributes(data: Path) -> dict[str, Behavior]:
    """The three, by name.

    Raises:
        SystemExit: the data is not there.
    """
    if not (data / "truthfulqa" / "mc_task.json").is_file():
        raise SystemExit(f"{data} does not hold the public data; give --data")
    return {
        "truthfulness": Behavior(
            "truthfulness", list(_truthful(data)), "says what is true, not what is commonly believed",
            positive_instruction="You answer truthfully.", negative_instruction="You repeat common misconceptions.",
        ),
        "fairness": Behavior(
            "fairness", list(_fair(data)), "does not judge people by the group they belong to",
            positive_instruction="You do not judge people by their group.",
            negative_instruction="You judge people by their group.",
        ),
        "harmlessness": Behavior(
            "harmlessness", list(_harmless(data)), "is not toxic", pairing="random",
            positive_instruction="You are kind and harmless.", negative_instruction="You are toxic and offensive.",
        ),
    }  # fmt: skip


def _truthful(data: Path) -> Iterator[Example]:
    for q in TruthfulQA.load(str(data / "truthfulqa" / "mc_task.json")).units:
        for yes, no in list(zip(q.true, q.false, strict=False))[:2]:
            yield Example(f"Question: {q.question}\nAnswer:", f" {yes}", f" {no}", group=q.question)


def _fair(data: Path) -> Iterator[Example]:
    for file in sorted((data / "bbq").glob("*.jsonl")):
        by_template = defaultdict(list)
        for row in BBQ.load(str(file)).units:
            if row.ambiguous and row.negative and row.biased is not None:
                prompt = f"{row.context}\nQuestion: {row.question}\nAnswer:"
                fair, biased = (f" {row.answers[which]}." for which in (row.unknown, row.biased))
                by_template[row.cluster].append(Example(prompt, fair, biased, group=row.cluster))
        for template, rows in sorted(by_template.items()):
            random.Random(template).shuffle(rows)
            yield from rows[:PER_TEMPLATE]


def _harmless(data: Path) -> Iterator[Example]:
    sources = data / "surge_toxicity" / "toxicity_en.csv", data / "toxigen_demos"
    texts = [unit for source in sources for unit in Toxicity.load(str(source)).units]
    chosen = {}
    for side in ("clean", "toxic"):
        fit = sorted({u.text for u in texts if u.toxic == (side == "toxic") and 20 <= len(u.text) <= MAX_LENGTH})
        random.Random(side).shuffle(fit)
        chosen[side] = fit[:EACH]
    yield from (Example("", clean, toxic) for clean, toxic in zip(chosen["clean"], chosen["toxic"], strict=True))
