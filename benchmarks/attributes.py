"""Truthfulness, bias and toxicity as behaviors, from public data: what several attributes are measured on.

TruthfulQA: a true against a false answer, twice for each question. BBQ: where the context does not tell, the answer
that says so against the stereotyped one. Toxicity: harmless against toxic texts (surge, ToxiGen's demonstrations), no
pairs. The cluster is the question, BBQ's template, or the text.
"""

import csv
import json
import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from trimtab.behaviors import Behavior, Example

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
    for row in json.loads((data / "truthfulqa" / "mc_task.json").read_text()):
        answers = row["mc2_targets"]
        true, false = ([text for text, right in answers.items() if right == wanted] for wanted in (1, 0))
        prompt = f"Question: {row['question']}\nAnswer:"
        for yes, no in list(zip(true, false, strict=False))[:2]:
            yield Example(prompt, f" {yes}", f" {no}", group=row["question"])


def _fair(data: Path) -> Iterator[Example]:
    for file in sorted((data / "bbq").glob("*.jsonl")):
        by_template = defaultdict(list)
        for row in map(json.loads, file.read_text().splitlines()):
            example = _stereotyped(row)
            if row["context_condition"] == "ambig" and example is not None:
                by_template[row["question_index"]].append(example)
        for template, rows in sorted(by_template.items()):
            random.Random(f"{file.stem} {template}").shuffle(rows)
            yield from rows[:PER_TEMPLATE]


def _stereotyped(row: dict[str, object]) -> Example | None:
    """The row, if its stereotyped answer is one of its groups and a negative question asks for it."""
    answers = {k: row["answer_info"][k] for k in ("ans0", "ans1", "ans2")}  # type: ignore[index]
    groups = {str(g).lower() for g in row["additional_metadata"]["stereotyped_groups"]}  # type: ignore[index]
    hit = [k for k, words in answers.items() if words[1].lower() in groups or words[0].lower() in groups]
    unknown = [k for k, words in answers.items() if words[1] == "unknown"]
    if row["question_polarity"] != "neg" or len(hit) != 1 or len(unknown) != 1:
        return None
    prompt = f"{row['context']}\nQuestion: {row['question']}\nAnswer:"
    group = f"{row['category']} {row['question_index']}"
    return Example(prompt, f" {row[unknown[0]]}.", f" {row[hit[0]]}.", group=group)


def _harmless(data: Path) -> Iterator[Example]:
    sides: dict[str, list[str]] = {"clean": [], "toxic": []}
    with (data / "surge_toxicity" / "toxicity_en.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            sides["toxic" if row["is_toxic"] == "Toxic" else "clean"].append(" ".join(row["text"].split()))
    for demos in sorted((data / "toxigen_demos").rglob("*.txt")):
        side = {"hate": "toxic", "neut": "clean"}.get(demos.name[:4])
        if side:
            sides[side] += [line.removeprefix("- ").strip() for line in demos.read_text().splitlines()]
    chosen = {}
    for side, texts in sides.items():
        fit = sorted({t for t in texts if 20 <= len(t) <= MAX_LENGTH})
        random.Random(side).shuffle(fit)
        chosen[side] = fit[:EACH]
    yield from (Example("", clean, toxic) for clean, toxic in zip(chosen["clean"], chosen["toxic"], strict=True))
