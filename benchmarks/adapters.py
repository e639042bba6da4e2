"""Adapters as rivals: a LoRA trained on the same examples as the vector, at the same damage, alone and with the vector.

    .venv/bin/python benchmarks/adapters.py --json out/bench/adapters.jsonl --out docs/results/adapters.md

For every behavior a mean difference is fitted as `trimtab fit` does (site and strength chosen on dev within the bound
on divergence), and two LoRA adapters are trained with PEFT on the same training examples by one fixed recipe: `sft`
(likelihood of the desired answers) and `dpo` (Direct Preference Optimization, Rafailov et al. 2305.18290, of desired
over undesired answers, β = 0.1). Rank 8 on all linear layers of the blocks, AdamW at 2e-4, 40 steps of four examples
drawn without replacement: a couple of minutes on a CPU core.

An adapter's dose is the scale of its update (1 is as trained), a stack's one factor on the scale and on the vector's
strength. Both are chosen on dev as the vector's strength is: of those whose divergence from the plain model on neutral
texts and on other prompts stays below the bound with its whole interval, the one with the largest lower bound of the
effect; the smallest where none does. The instruction has no dose. What is reported is of the evaluation examples and of
neutral texts that nothing was chosen by. Rows are kept in the file of --json and adapters beside it; what is there is
not measured or trained again.
"""

import argparse
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import numpy as np
import torch
from harness import kept, known, machine, publish, table
from torch import Tensor

import trimtab as tt
from trimtab.behaviors import Behavior, PromptType, builtin_names
from trimtab.behaviors.controls import CONTROLS
from trimtab.experiment.experiment import Experiment, Split
from trimtab.experiment.instrument import Instrument
from trimtab.experiment.preparation import prepare
from trimtab.experiment.progress import Silent
from trimtab.measurements.divergence import NEUTRAL_ROWS, SCREENING_ROWS, Drift, NeutralDrift, PromptsDrift
from trimtab.measurements.effects import PLAIN, sweep
from trimtab.models import Encoded, Model
from trimtab.statistics import bootstrap_mean
from trimtab.statistics.contrast import Contrast
from trimtab.steering import Steering
from trimtab.storage.steps import Ledger
from trimtab.workflows.fit.fit import fit

MAX_KL: Final = 0.1  # nats per token
RANK, ALPHA, RATE, BATCH, BETA = 8, 16, 2e-4, 4, 0.1
DOSES: Final = (2.0, 1.5, 1.0, 0.75, 0.5, 0.25, 0.125)
LOSSES: Final = ("sft", "dpo")
WAYS: Final = ("vector", "instruction", *LOSSES, *(f"{loss} and vector" for loss in LOSSES))
Row = dict[str, Any]


# ---- Training --------------------------------------------------------------------------------------------------------


def padded(rows: Sequence[Encoded]) -> tuple[Tensor, Tensor, Tensor]:
    """Token ids `[n, T]`, their attention mask, and `[n, T - 1]` whether the next token belongs to the answer."""
    longest = max(len(row.ids) for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    real, answer = torch.zeros_like(ids), torch.zeros(len(rows), longest, dtype=torch.bool)
    for i, row in enumerate(rows):
        n = len(row.ids)
        ids[i, :n], real[i, :n] = torch.tensor(row.ids), 1
        answer[i, max(row.prompt_len, 1) : n] = True
    return ids, real, answer[:, 1:]


def log_probs(hf: Any, rows: Sequence[Encoded]) -> tuple[Tensor, Tensor]:
    """`[n]` log-probabilities of answers, summed over their tokens, nats; and `[n]` how many these are."""
    ids, real, answer = padded(rows)
    logits = hf(input_ids=ids, attention_mask=real).logits[:, :-1].float()
    each = logits.log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0]
    return (each * answer).sum(1), answer.sum(1)


def sft_loss(hf: Any, up: Sequence[Encoded], down: Sequence[Encoded], reference: Tensor) -> Tensor:
    """Mean negative log-likelihood of a desired answer's token; the others are not looked at."""
    total, n = log_probs(hf, up)
    return -total.sum() / n.sum()


def dpo_loss(hf: Any, up: Sequence[Encoded], down: Sequence[Encoded], reference: Tensor) -> Tensor:
    """-log σ(β (m - m₀)), with m the log-odds of the desired over the undesired answer, m₀ the same before training."""
    margin = log_probs(hf, up)[0] - log_probs(hf, down)[0]
    return -torch.nn.functional.logsigmoid(BETA * (margin - reference)).mean()


def trained(
    base: Model, up: Sequence[Encoded], down: Sequence[Encoded], loss: str, steps: int, seed: int, folder: Path
) -> None:
    """Train an adapter of a model on desired and undesired answers, and save it."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    reference = torch.zeros(len(up))
    if loss == "dpo":
        with torch.no_grad():
            for i, (p, n) in enumerate(zip(up, down, strict=True)):
                reference[i] = log_probs(base.hf, [p])[0] - log_probs(base.hf, [n])[0]
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM")
    tuned = get_peft_model(base.hf, config)
    of_loss: Callable[..., Tensor] = {"sft": sft_loss, "dpo": dpo_loss}[loss]
    optimiser = torch.optim.AdamW([p for p in tuned.parameters() if p.requires_grad], lr=RATE)
    drawn = torch.Generator().manual_seed(seed)
    order = torch.cat([torch.randperm(len(up), generator=drawn) for _ in range(math.ceil(steps * BATCH / len(up)))])
    tuned.train()
    for step in range(steps):
        some = order[step * BATCH : (step + 1) * BATCH].tolist()
        optimiser.zero_grad()
        loss_of_step = of_loss(tuned, [up[i] for i in some], [down[i] for i in some], reference[some])
        torch.autograd.backward(loss_of_step)
        optimiser.step()
    tuned.save_pretrained(str(folder))


def scaled(model: Model, dose: float) -> None:
    """Set the scale of a loaded adapter; 1 is as trained."""
    from peft.tuners.lora import LoraLayer

    for module in model.hf.modules():
        if isinstance(module, LoraLayer):
            for name in module.scaling:
                module.set_scale(name, dose)


# ---- Measuring -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Treated:
    """A model that may have an adapter, under a steering that may be none.

    Args:
        model: with the adapter.
        adapted: whether it has one.
        steering: besides it.
        strength: of the steering, where the dose is 1.
    """

    model: Model
    adapted: bool = False
    steering: Steering | None = None
    strength: float = 0.0

    def at(self, dose: float) -> "Treated":
        """At a dose of both."""
        if self.adapted:
            scaled(self.model, dose)
        return replace(self, strength=dose * self.strength)

    def effect(self, on: Experiment, part: Split) -> Contrast:
        """What it does to the examples of a part, against the plain model of the experiment."""
        (base,) = sweep(on, part, [PLAIN])
        instrument, own = replace(on.instrument, model=self.model), Ledger(None, "")  # an adapter's scale is in no key
        (after,) = sweep(replace(on, instrument=instrument, ledger=own), part, [(self.steering, self.strength)])
        return on.contrast_of(on.part(part)).change(base, after)

    def drift(self, on: Experiment, step: NeutralDrift | PromptsDrift) -> Drift:
        """Divergence of what it predicts from what the plain model does, text by text."""
        if self.adapted:
            return self.divergence(on.model, step.rows(on))
        assert self.steering is not None
        (drift,) = replace(step, steering=self.steering, strengths=(self.strength,)).drifts(on)
        return drift

    def divergence(self, plain: Model, rows: Sequence[Encoded]) -> Drift:
        """The same of two models: mean over tokens of KL(plain ‖ treated), nats per token."""
        found = []
        with torch.no_grad():
            for row in rows:
                p = _predicted(plain, row)
                with nullcontext() if self.steering is None else self.model.steered(self.steering, self.strength):
                    q = _predicted(self.model, row)
                found.append(float((p.exp() * (p - q)).sum(-1).mean()))
        return Drift(np.array(found), np.zeros(len(found)))


def _predicted(model: Model, row: Encoded) -> Tensor:
    """`[T - 1, vocabulary]` log-probabilities of the tokens after the first."""
    logits: Tensor = model.hf(torch.tensor([row.ids])).logits[0, :-1]
    return logits.float().log_softmax(-1)


@dataclass(frozen=True)
class Sizes:
    """How much is measured and trained.

    Args:
        train, evaluation: examples; None for a check's.
        steps: of the training.
        documents: neutral texts of the evaluation; a third of them on dev for each dose.
        doses: to choose from.
    """

    train: int | None
    evaluation: int | None
    steps: int
    documents: int
    doses: tuple[float, ...] = DOSES


def screened(whole: Treated, on: Experiment, sizes: Sizes) -> float:
    """The dose of the largest lower bound of the effect on dev, of those whose divergence stays below the bound."""
    vector = Steering({}, {on.behavior.name: 0.0})  # stands in a step whose texts alone are asked for
    n = -(-sizes.documents // 3)
    steps = NeutralDrift(vector, (1.0,), min(n, SCREENING_ROWS), "dev"), PromptsDrift(vector, (1.0,), (), "dev")
    lows: dict[float, float] = {}
    for dose in sizes.doses:
        treated = whole.at(dose)
        if all((treated.drift(on, step).divergence(on.seed).high or 0.0) < MAX_KL for step in steps):
            lows[dose] = treated.effect(on, "dev").mean().low
    return max(lows, key=lambda dose: lows[dose], default=min(sizes.doses))


def figures(treated: Treated, on: Experiment, sizes: Sizes) -> Row:
    """On evaluation examples and on neutral texts that nothing was chosen by."""
    effect = treated.effect(on, "eval")
    drift = treated.drift(on, NeutralDrift(Steering({}, {on.behavior.name: 0.0}), (1.0,), sizes.documents))
    kl = bootstrap_mean(drift.kl, seed=on.seed)
    return {
        "n": effect.n_clusters, "unit": str(on.instrument.unit), "effect": asdict(effect.mean()),
        "wrong": asdict(effect.below_zero()), "desired": asdict(effect.side("positive")), "kl": asdict(kl),
    }  # fmt: skip


class Rivals:
    """What is made for one behavior: the vector, the instruction, the adapters.

    Args:
        source: the model's name.
        behavior: to steer toward.
        sizes: how much is measured.
        home: where adapters are kept.
    """

    def __init__(self, source: str, behavior: Behavior, sizes: Sizes, home: Path) -> None:
        self.source, self.behavior, self.sizes, self.home = source, behavior, sizes, home
        self.model = tt.load(source, dtype="float32")
        instrument = Instrument(self.model, behavior, False, "mean")
        instrument, splits, _, _ = prepare(instrument, sizes.train, sizes.evaluation, 0)
        types = PromptType.named(["prefilled"])
        self.on = Experiment(instrument, splits, types, 1.0, "all", 0, Ledger(None, ""), Silent())

    def measured(self, way: str) -> Row:
        """A way to steer, with its dose, on evaluation examples."""
        start = perf_counter()
        whole, dose = self._treated(way), 1.0
        if whole.adapted:
            dose = screened(whole, self.on, self.sizes)
        row = figures(whole.at(dose), self.on, self.sizes)
        return {**row, "dose": dose, "strength": whole.strength, "seconds": perf_counter() - start}

    def _treated(self, way: str) -> Treated:
        """At a dose of 1."""
        if way == "instruction":
            return Treated(self.model, steering=self._fitted("instruction"), strength=1.0)
        loss, _, beside = way.partition(" and ")
        vector, strength = self._vector() if "vector" in (way, beside) else (None, 0.0)
        if way == "vector":
            return Treated(self.model, steering=vector, strength=strength)
        return Treated(self._adapted(loss), True, vector, strength)

    def _fitted(self, method: str) -> Steering:
        s = self.sizes
        return fit(
            self.model, [self.behavior], method=method, train=s.train, evaluation=s.evaluation, verify=False,
            max_kl=MAX_KL,
        ).steering  # fmt: skip

    def _vector(self) -> tuple[Steering, float]:
        """The vector, which steers any weights, and its strength."""
        folder = self.home / "vector"
        if not folder.is_dir():
            self._fitted("mean-difference").save(folder)
        made = Steering.load(folder)
        ((site, _),), ((name, strength),) = made.edits.items(), made.attributes.items()
        return Steering.from_vector(site, made.vector(site), name), strength

    def _adapted(self, loss: str) -> Model:
        """The model with the adapter, which is trained if it is not there yet."""
        folder = self.home / loss
        if not (folder / "adapter_config.json").is_file():
            up, down = self.on.instrument.bare(self.on.splits.train.examples)
            trained(tt.load(self.source, dtype="float32"), up, down, loss, self.sizes.steps, self.on.seed, folder)
        return tt.load(self.source, dtype="float32", adapter=str(folder))


# ---- The page --------------------------------------------------------------------------------------------------------


def page(rows: Sequence[Row]) -> str:
    """docs/results/adapters.md."""
    names = list(dict.fromkeys(r["settings"]["name"] for r in rows))
    command = ".venv/bin/python benchmarks/adapters.py --json out/bench/adapters.jsonl --out docs/results/adapters.md"
    text = [
        "# Adapters beside vectors", "", "```", command, "```", "",
        f"{machine()}; {sum(r['seconds'] for r in rows) / 3600:.1f} hours.", "",
        str(__doc__).split("\n\n", 2)[2].strip(), "",
        "## Means over behaviors", "", _together(rows), "",
    ]  # fmt: skip
    for name in names:
        text += [f"## {name}", "", _of_set([r for r in rows if r["settings"]["name"] == name]), ""]
    return "\n".join(text)


def _together(rows: Sequence[Row]) -> str:
    lines = []
    for way in WAYS:
        some = [r for r in rows if r["settings"]["way"] == way]
        if some:
            means = [np.mean([r[figure]["value"] for r in some]) for figure in ("effect", "wrong", "desired", "kl")]
            lines.append((way, len(some), *(f"{m:.1%}" if k == 1 else f"{m:.3f}" for k, m in enumerate(means))))
    header = ("way", "behaviors", "mean effect", "pushed the wrong way", "desired answers, Δ+", "KL, neutral text")
    return table(header, lines)


def _of_set(rows: Iterable[Row]) -> str:
    def line(r: Row) -> tuple[object, ...]:
        wrong = "{value:.0%} [{low:.0%}, {high:.0%}]".format(**r["wrong"])
        figures = ["{value:.3f} [{low:.3f}, {high:.3f}]".format(**r[name]) for name in ("effect", "desired", "kl")]
        return r["settings"]["way"], f"{r['dose']:g}", r["n"], figures[0], wrong, *figures[1:]

    header = ("way", "dose", "n", "mean effect", "pushed the wrong way", "desired answers, Δ+", "KL, neutral text")
    return table(header, map(line, rows))


def _measured(rivals: Callable[[], Rivals], way: str) -> Row:
    return rivals().measured(way)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--sets", nargs="+", default=[n for n in builtin_names() if n not in CONTROLS], metavar="SET")
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS, metavar="WAY")
    parser.add_argument("--train", type=int, help="examples; as many as a check takes if not given")
    parser.add_argument("--eval", type=int, dest="evaluation", help="likewise")
    parser.add_argument("--steps", type=int, default=40, help="of either training")
    parser.add_argument("--documents", type=int, default=NEUTRAL_ROWS, help="neutral texts")
    parser.add_argument("--doses", type=float, nargs="+", default=DOSES, help="of adapters, to choose from on dev")
    parser.add_argument("--json", type=Path, default=Path("out/bench/adapters.jsonl"))
    parser.add_argument("--out", type=Path, help="write the page here")
    parser.add_argument("--table", action="store_true", help="of the rows that are there; measure nothing")
    args = parser.parse_args()
    sizes = Sizes(args.train, args.evaluation, args.steps, args.documents, tuple(args.doses))
    for name in () if args.table else args.sets:
        home = args.json.with_suffix("") / f"{Path(args.model).name}-{name}-{args.train}-{args.evaluation}-{args.steps}"
        rivals = cache(partial(Rivals, args.model, Behavior.load(name), sizes, home))
        for way in args.ways:
            settings = {"model": args.model, "name": name, "way": way, **asdict(sizes), "doses": list(sizes.doses)}
            kept(args.json, settings, partial(_measured, rivals, way))
    publish(page(known(args.json)), args.out)


if __name__ == "__main__":
    main()
