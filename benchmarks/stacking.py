"""Steering on top of fine-tuning: what MAT-Steer adds to adapters trained on the same examples of three tasks.

    .venv/bin/python benchmarks/stacking.py --data ../shared/data --work out/stacking --out docs/results/stacking.md

Each seed deals TruthfulQA, BBQ and toxic texts anew, as `trimtab evaluate` does. On the training examples of all three
together two LoRA adapters are trained with PEFT: `sft` (likelihood of the desired answers) and `dpo` (desired over
undesired answers, β = 0.1); rank 8, AdamW at 2e-4, 120 steps of four examples. MAT-Steer is fitted to the plain model
and to each tuned one by the same protocol: candidates chosen on dev, all at the same damage *to the model it steers*,
one measurement on test. Gains are over the plain model, so a row of a tuned model holds what tuning and steering do
together, and the contrasts say what steering adds. Text in front of prompts is stacked by `trimtab evaluate` itself
(docs/evaluate.md).

Adapters and finished cells lie in --work; what is there is not made again.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
import transformers
from adapters import trained
from harness import machine, publish, shown, table

import trimtab as tt
from trimtab.evaluation.tasks import Task
from trimtab.experiment.executor import Models
from trimtab.experiment.progress import Silent
from trimtab.experiment.task_parts import Sizes, deal_all, experiment_of
from trimtab.model_source import ModelSource
from trimtab.models import Encoded
from trimtab.results.evaluation import UNSTEERED, Cell, Contrast, MethodPlan, Protocol
from trimtab.storage.steps import Ledger
from trimtab.workflows.evaluate.cell_task import CellTask
from trimtab.workflows.evaluate.cells import measure
from trimtab.workflows.evaluate.protocol import loaded, protocol_of
from trimtab.workflows.evaluate.specs import MethodSpec, TaskSpec
from trimtab.workflows.evaluate.summary import Summary

METHOD: Final = "mat-steer"
LOSSES: Final = ("sft", "dpo")
TASKS: Final = (
    "truthfulqa:{}/truthfulqa/mc_task.json?prompt=plain", "bbq:{}/bbq", "toxicity:{}/surge_toxicity/toxicity_en.csv",
)  # fmt: skip
ROWS: Final = (METHOD, *(row for loss in LOSSES for row in (loss, f"{loss}, {METHOD}")))
COMMAND: Final = ".venv/bin/python benchmarks/stacking.py --data ../shared/data"
Tasks = Mapping[str, Task[Any]]


def adapter(args: argparse.Namespace, tasks: Tasks, loss: str, seed: int) -> Path:
    """Folder of the adapter of a seed, trained if it is not there yet."""
    folder: Path = args.work / f"adapter-{loss}-{seed}-{args.train}-{args.steps}"
    if not (folder / "adapter_config.json").is_file():
        model, sizes = tt.load(args.model, dtype="float32"), sizes_of(args)
        parts = deal_all(tasks, seed, sizes)
        up: list[Encoded] = []
        down: list[Encoded] = []
        for label, own in parts.items():
            on = experiment_of(model, label, own, seed, sizes)
            both = on.instrument.bare(on.splits.train.examples)
            up, down = [*up, *both[0]], [*down, *both[1]]
        trained(model, up, down, loss, args.steps, seed, folder)
    return folder


def sizes_of(args: argparse.Namespace) -> Sizes:
    return Sizes(args.train, args.dev, args.test)


def planned(args: argparse.Namespace, specs: Sequence[TaskSpec], tasks: Tasks, source: ModelSource, models: Models) -> (
    Protocol
):  # fmt: skip
    """The protocol on one model."""
    return protocol_of(
        models(source), specs, tasks, [MethodSpec.parse(METHOD)], seeds=args.seeds, damages=(args.damage,),
        trials=args.trials, sizes=sizes_of(args), site=None, contrasts=None, damage_texts=args.damage_texts,
        chat_template=False,
    )  # fmt: skip


def cells(args: argparse.Namespace, specs: Sequence[TaskSpec], tasks: Tasks) -> Iterator[tuple[Cell, Protocol]]:
    """Every row in every seed, named as in the tables."""
    for seed in range(1, args.seeds + 1):
        for loss in ("", *LOSSES):
            path = str(adapter(args, tasks, loss, seed)) if loss else None
            source, models = ModelSource(args.model, args.model, dtype=args.dtype, adapter=path), Models()
            protocol, home = planned(args, specs, tasks, source, models), args.work / f"{loss or 'plain'}-{seed}"
            home.mkdir(parents=True, exist_ok=True)
            ledger = Ledger(home, json.dumps([protocol.digest, torch.__version__, transformers.__version__]))
            for contender in (UNSTEERED, METHOD):
                task = CellTask(source, protocol, tasks, contender, seed, "test", home, ledger)
                if task.kept() is None:
                    measure(task, Silent(), models)
                cell = task.kept()
                assert cell is not None
                name = ", ".join(part for part in (loss, contender if contender != UNSTEERED else "") if part)
                yield cell.model_copy(update={"contender": name or UNSTEERED}), protocol
            ledger.close()


def together(plain: Protocol) -> Protocol:
    """The plain model's protocol with a method for each row of the tables, and what steering adds as contrasts."""
    plans = tuple(MethodPlan(label=row, method=METHOD, settings=({},)) for row in ROWS)
    pairs = ((METHOD, UNSTEERED), *((f"{loss}, {METHOD}", loss) for loss in LOSSES))
    return plain.model_copy(update={"methods": plans, "contrasts": (*pairs, *((METHOD, loss) for loss in LOSSES))})


def page(args: argparse.Namespace, protocol: Protocol, tasks: Tasks, found: Sequence[Cell]) -> str:
    """docs/results/stacking.md."""
    summary, labels = Summary(protocol, tasks, found), [t.label for t in protocol.tasks]
    by_row = {row.contender: row for row in summary.overall()}
    figures = {(f.contender, f.task, f.figure): f for f in summary.figures()}

    def each() -> Iterator[Sequence[object]]:
        for name in (UNSTEERED, *ROWS):
            row = by_row[name]
            own = [figures.get((name, t.label, t.figure)) for t in protocol.tasks]
            means = (shown(None if f is None else f.mean) for f in own)
            yield (
                name, "–" if name == UNSTEERED else shown(row.gain, "+"), *means,
                "–" if row.damage is None else f"{row.damage:.2f}", row.n_seeds, row.failed or "",
            )  # fmt: skip

    header = ("model", "gain, mean over tasks", *(f"{t.label}: {t.figure}" for t in protocol.tasks),
              "damage of the steering", "seeds", "")  # fmt: skip
    seconds = sum(cell.seconds for cell in found)
    return "\n".join(
        [
            "# Steering on top of fine-tuning", "", "```",
            f"{COMMAND} --work out/stacking --out docs/results/stacking.md",
            "```", "",
            f"{machine()}; {seconds / 60:.0f} minutes besides training. {protocol.model.id} in {protocol.dtype}; "
            f"{len(protocol.seeds)} seeds; {protocol.train} training examples, {protocol.dev} dev and {protocol.test} "
            "test units of each task at most.", "", str(__doc__).split("\n\n", 2)[2].strip(), "",
            "## What each model answers", "", table(header, each()), "",
            "## What is added", "", contrasts(summary.contrasts(), labels), "",
        ]
    )  # fmt: skip


def contrasts(found: Sequence[Contrast], labels: Sequence[str]) -> str:
    rows = (
        (
            f"{c.first} − {c.second}", shown(c.difference, "+"), *(shown(c.by_task[label], "+") for label in labels),
            "–" if c.p_holm is None else f"{c.p_holm:.2g}",
        )
        for c in found
    )  # fmt: skip
    return table(("difference", "mean over tasks", *labels, "p (Holm)"), rows)


def main() -> None:
    """Train, measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--tasks", nargs="+", default=TASKS, metavar="TASK", help="as trimtab evaluate takes them")
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--dtype", default="bfloat16", help="that is measured in; training is in float32")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=120, help="of either training")
    parser.add_argument("--damage", type=float, default=0.1)
    parser.add_argument("--trials", type=int, default=2)
    parser.add_argument("--train", type=int, default=150)
    parser.add_argument("--dev", type=int, default=16)
    parser.add_argument("--test", type=int, default=100)
    parser.add_argument("--damage-texts", type=int, default=8)
    parser.add_argument("--work", type=Path, default=Path("out/stacking"))
    parser.add_argument("--out", type=Path, help="page to write")
    args = parser.parse_args()
    specs = [TaskSpec.parse(text.format(args.data)) for text in args.tasks]
    tasks = loaded(specs)
    found = list(cells(args, specs, tasks))
    publish(page(args, together(found[0][1]), tasks, [cell for cell, _ in found]), args.out)


if __name__ == "__main__":
    main()
