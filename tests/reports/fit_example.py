"""A synthetic fit that looks like a real one, and its odd relatives."""

from collections.abc import Callable
from typing import Any

import numpy as np
from tests.reports.conftest import HOSTILE

from trimtab.results.fit import Fit
from trimtab.results.report import ModelRecord

TERMS = ("loss", "alignment", "positives", "sparsity", "orthogonality", "shrinkage")
NAMES = ("warmth", "formality", "brevity")


def tokens(n: int, gate: float, edit: float) -> dict[str, float]:
    return {"n": n, "gate": gate, "edit_size_ratio": edit, "touched": min(1.0, 9 * edit), "touched_per_text": 90 * edit}


def gate(own: float, kept: float, others: float | None) -> dict[str, Any]:
    others_tokens = None if others is None else tokens(800, others, 0.01)
    return {"positive": tokens(400, kept, 0.01), "negative": tokens(410, own, 0.08), "others": others_tokens,
            "auroc": 0.9, "mmd2_before": 0.006, "mmd2_after": 0.001}  # fmt: skip


def text(names: tuple[str, ...], attribute: str, side: str, words: tuple[str, ...], seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    gates = {name: rng.uniform(0, 1, len(words)).round(3).tolist() for name in names}
    edits = {name: [0.04 * g for g in values] for name, values in gates.items()}
    return {"attribute": attribute, "side": side, "pieces": words, "answer_from": len(words) // 2, "seen": gates,
            "edits": edits, "left_out": (12, 1)}  # fmt: skip


def build(
    names: tuple[str, ...] = NAMES, words: tuple[str, ...] = ("<s>", "The", " tram", " was", " late", ".")
) -> Fit:
    """A fit by MAT-Steer: the first attribute's gates are good, the second's open everywhere."""
    falling = [1.0 / (1 + i) for i in range(12)]
    curves = {name: falling if name != "shrinkage" else [0.0] * 12 for name in TERMS}
    dev = {name: [*values, values[-1]] for name, values in curves.items()}
    gates = {name: gate(*((0.6, 0.05, 0.03) if i != 1 else (0.05, 0.2, 0.4))) for i, name in enumerate(names)}
    settings = {"share": 0.3, "tokens": "response", "keep_norm": True, "sites": ["14"]}
    candidates = [
        {"settings": {**settings, "share": share}, "factor": 1.5, "effect": dict.fromkeys(names, share), "score": share,
         "chosen": share == 0.4}
        for share in (0.2, 0.4)
    ]  # fmt: skip
    texts = [
        text(names, name, side, words, 10 * i + j)
        for i, name in enumerate(names)
        for j, side in enumerate(("positive", "negative"))
    ]
    verdict = {
        "decision": "go",
        "sentence": f"Steering “{names[0]}” moves answers.",
        "report": "checks/a%23b/report.html",
    }
    attributes = {
        name: {"strength": 1.5, "description": f"To be {name}.", "data": "d" * 64, "n_train": 40, "n_dev": 16,
               "verdict": verdict if i == 0 else None}
        for i, name in enumerate(names)
    }  # fmt: skip
    return Fit.model_validate({
        "trimtab": "0.1.0", "torch": "2.13.0", "transformers": "5.19.0", "command": "trimtab fit warmth formality",
        "seconds": 61.2, "seed": 0, "method": "mat-steer", "source": "MAT-Steer, Nguyen et al. 2502.12446.",
        "hyperparameters": settings, "prompt_type": "prefilled", "max_kl": 0.1, "id": "a" * 64,
        "model": ModelRecord(id="smollm2", revision=None, digest="b" * 64, architecture="LlamaForCausalLM",
                             n_blocks=30, d_model=576),
        "dtype": "float32", "sites": {"14": ("gated",)}, "attributes": attributes,
        "training": {
            "sites": {"14": {"train": curves, "dev": dev, "best_epoch": 7, "gates": gates}},
            "candidates": candidates, "texts": texts, "texts_site": "14",
        },
        "notes": ("block 14 chosen on dev",),
    })  # fmt: skip


def alone() -> Fit:
    """One attribute."""
    fit = build(NAMES[:1])
    site = fit.training.sites["14"]
    gates = {name: own.model_copy(update={"others": None}) for name, own in site.gates.items()}
    sites = {"14": site.model_copy(update={"gates": gates, "dev": None})}
    return fit.model_copy(update={"training": fit.training.model_copy(update={"sites": sites, "candidates": ()})})


def untrained() -> Fit:
    """A method that asks: no sites, no training."""
    attributes = {
        name: a.model_copy(update={"prompt_prefix": "Be brief.\n\n"}) for name, a in build().attributes.items()
    }
    update = {"method": "instruction", "hyperparameters": {}, "sites": {}, "attributes": attributes, "training": {}}
    return Fit.model_validate({**build().model_dump(), **update})


def hostile() -> Fit:
    """Nasty texts wherever a text may come from outside."""
    fit = build((HOSTILE[0], HOSTILE[3], HOSTILE[7]), HOSTILE)
    attributes = {name: a.model_copy(update={"prompt_prefix": HOSTILE[1], "description": HOSTILE[0]})
                  for name, a in fit.attributes.items()}  # fmt: skip
    model = fit.model.model_copy(update={"id": HOSTILE[6], "architecture": HOSTILE[0], "revision": HOSTILE[1]})
    settings = {HOSTILE[1]: HOSTILE[0], "x": [HOSTILE[2]]}
    return fit.model_copy(update={
        "attributes": attributes, "model": model, "notes": HOSTILE, "command": HOSTILE[0], "source": HOSTILE[1],
        "hyperparameters": settings, "dtype": HOSTILE[0], "method": HOSTILE[0], "sites": {HOSTILE[0]: (HOSTILE[1],)},
    })  # fmt: skip


VARIANTS: dict[str, Callable[[], Fit]] = {"plain": build, "alone": alone, "untrained": untrained, "hostile": hostile}
