"""A made-up study that looks like a real one: 30 behaviors in 12 families, 7 prompt types, two models."""

from collections.abc import Iterable
from itertools import product
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from trimtab.results.figures import Estimate
from trimtab.results.report import ModelRecord
from trimtab.results.study import Association, At, Cell, Study, TypeCosines, TypeSummary

TYPES = (
    "prefilled",
    "instruction",
    "5-shot",
    "prefilled+instruction",
    "prefilled+5-shot",
    "instruction+5-shot",
    "prefilled+instruction+5-shot",
)
ATS: tuple[At, ...] = ("strength 1", "equal dose")
FAMILIES = {
    "desire": ("for-power", "for-wealth", "for-recursive-self-improvement", "for-independence", "to-be-watched"),
    "personality": ("agreeableness", "conscientiousness", "extraversion", "neuroticism", "openness"),
    "politics": ("conservative", "liberal"),
    "subscribes": ("to-Buddhism", "to-utilitarianism", "to-average-utilitarianism", "to-virtue-ethics"),
    "interest": ("in-art", "in-maths", "in-music", "in-sports"),
    "sentiment": ("",),
    "formality": ("",),
    "certainty": ("",),
    "refusal": ("",),
    "believes-it-has-phenomenal-consciousness": ("",),
}
CONTROLS = {"shuffled": ("sentiment", "desire-for-power", "personality-openness"), "longer-half": ("", "personality")}
BARE = ("interest-in-art", "interest-in-maths", "interest-in-music", "politics-liberal")
NO_PROMPT = "bare statements have no prompt: every difference would be equal"
TOO_FEW = "12 examples are too few: 40 are needed"
EXPLAINING = ("agreement_loo", "agreement", "separability_held_out", "edit_size_ratio", "length_auroc")
MODELS = (
    ("smollm2", "sha256:a41c99d07e6b52f8" + "0f" * 24, "LlamaForCausalLM", 30, 576, 14),
    ("Qwen/Qwen2.5-0.5B-Instruct", "sha256:77e0c1b2" + "3d" * 28, "Qwen2ForCausalLM", 24, 896, 11),
)


def names(families: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    """Behaviors with their families."""
    return [(f"{family}-{end}".rstrip("-"), family) for family, ends in families.items() for end in ends]


def ends(name: str, value: float, half: float) -> dict[str, float]:
    low, high = value - half, value + half
    if "anti" in name or "auroc" in name:
        low, high = max(low, 0.0), min(high, 1.0)
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def figures(rng: np.random.Generator, quality: float, *, outlier: bool) -> dict[str, Any]:
    """Figures of a cell whose behavior is steerable to some `quality`, 0 for a control."""
    agreement = 0.05 + 0.45 * quality + rng.normal(0, 0.02) if quality else rng.normal(0, 0.01)
    held_out = max(0.1, 0.4 + 3.6 * quality + rng.normal(0, 0.35)) if quality else rng.normal(0.05, 0.1)
    dose = 0.15 + 0.8 * quality + rng.normal(0, 0.03)
    effect = dose * agreement * rng.normal(1.1, 0.25) + rng.normal(0, 0.015)
    at_equal = 0.5 * agreement * rng.normal(1.0, 0.25) + rng.normal(0, 0.015)
    if outlier:  # a token with a massive activation
        dose, effect = 2.75, effect - 5.7
    wrong, equal_wrong = (float(np.clip(0.49 - 1.5 * e + rng.normal(0, 0.03), 0.02, 0.97)) for e in (effect, at_equal))
    return {
        "norm": 9.0 * dose, "edit_size_ratio": dose, "agreement": agreement + 0.08, "expected_cosine": 0.9 * quality,
        "separability": held_out + 0.4, "permutation_p": 0.0005 if quality else 0.41, "halves_cosine": 0.6 * quality,
        "length_auroc": float(rng.uniform(0.45, 0.85)), "base_accuracy": float(rng.uniform(0.35, 0.65)),
        "effect_sd": 0.2, "odd": 0.93 * effect, "even": 0.07 * effect, "equal_strength": 0.5 / max(dose, 0.05),
        "equal_odd": 0.95 * at_equal,
        **ends("agreement_loo", agreement, 0.03), **ends("separability_held_out", held_out, 0.3),
        **ends("auroc_held_out", float(np.clip(0.5 + held_out / 8, 0, 0.99)), 0.03), **ends("effect", effect, 0.04),
        **ends("anti_steerable", wrong, 0.06), **ends("equal_effect", at_equal, 0.04),
        **ends("equal_anti_steerable", equal_wrong, 0.06),
    }  # fmt: skip


def cells(model: int, quality: dict[str, float]) -> list[Cell]:
    """All cells of one model; a few are not measured."""
    rng = np.random.default_rng(17 + model)
    label, digest, _, _, _, block = MODELS[model]
    controls = names(CONTROLS)
    rows = []
    for (name, family), prompt_type in product([*names(FAMILIES), *controls], TYPES):
        control = (name, family) in controls
        own = 0.0 if control else float(np.clip(quality[name] + rng.normal(0, 0.08), 0.02, 1))
        if prompt_type in ("instruction", "5-shot"):
            own *= 0.5
        reason = TOO_FEW if name == "refusal" else None
        if name in BARE and "prefilled" not in prompt_type:
            reason = NO_PROMPT
        measured = figures(rng, own, outlier=name == "politics-conservative" and prompt_type in TYPES[:2])
        rows.append(
            Cell(
                model=label, model_digest=digest, dtype=("float32", "bfloat16")[model], behavior=name, family=family,
                control=control, data_digest="sha256:5f2d8a9c41e07b33", answer_kind="text", unit="nats/token",
                pairing="natural", prompt_type=prompt_type, block=block, component="residual", n_train=150, n_eval=140,
                n_eval_clusters=140, not_measured=reason, **({} if reason else measured),
            )
        )  # fmt: skip
    return rows


def cosines(rows: list[Cell]) -> list[TypeCosines]:
    """Cosines among the measured types of every behavior."""
    rng = np.random.default_rng(5)
    out = []
    for name in dict.fromkeys(row.behavior for row in rows):
        own = [row for row in rows if row.behavior == name and row.not_measured is None]
        if own:
            vectors = rng.normal(size=(len(own), 12)) + 0.9
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            matrix = (vectors @ vectors.T).clip(-1, 1).tolist()
            out.append(
                TypeCosines(
                    model=own[0].model, behavior=name, block=own[0].block, component=own[0].component,
                    types=tuple(row.prompt_type for row in own), matrix=tuple(map(tuple, matrix)),
                )
            )  # fmt: skip
    return out


def mean(values: Iterable[float]) -> Estimate:
    result = list(values)
    half = 1.96 * float(np.std(result)) / np.sqrt(len(result))
    return Estimate(value=float(np.mean(result)), low=float(np.mean(result)) - half, high=float(np.mean(result)) + half,
                    n=len(result))  # fmt: skip


def outcome(row: Cell, measure: str, at: At) -> float:
    return float(getattr(row, measure if at == "strength 1" else f"equal_{measure}"))


def summaries(rows: list[Cell]) -> list[TypeSummary]:
    """Every type at both doses, from the cells."""
    known = [row for row in rows if row.not_measured is None and not row.control]
    out = []
    for at, prompt_type in product(ATS, TYPES):
        own = [row for row in known if row.prompt_type == prompt_type]
        ranks = [0] * len(TYPES)
        for row in own:
            others = [outcome(o, "effect", at) for o in known if o.behavior == row.behavior]
            ranks[sum(other > outcome(row, "effect", at) for other in others)] += 1
        out.append(
            TypeSummary(
                model=own[0].model, block=own[0].block, component="residual", answer_kind="text", at=at,
                prompt_type=prompt_type, effect=mean(outcome(row, "effect", at) for row in own),
                anti_steerable=mean(outcome(row, "anti_steerable", at) for row in own),
                positive=mean(float(outcome(row, "effect", at) > 0) for row in own), ranks=tuple(ranks),
            )
        )  # fmt: skip
    return out


def associations(rows: list[Cell]) -> list[Association]:
    """Rank correlations over cells that are no controls; intervals by Fisher's z over families."""
    known = [row for row in rows if row.not_measured is None and not row.control]
    out = []
    for at, y, x, prompt_type in product(ATS, ("effect", "anti_steerable"), EXPLAINING, (None, *TYPES)):
        own = [row for row in known if prompt_type in (None, row.prompt_type)]
        families = len({row.family for row in own})
        rho = float(spearmanr([getattr(row, x) for row in own], [outcome(row, y, at) for row in own]).statistic)
        z, half = np.arctanh(rho), 1.96 / np.sqrt(families - 3)
        e = Estimate(value=rho, low=float(np.tanh(z - half)), high=float(np.tanh(z + half)), n=len(own))
        own_cases = (None, "norm") if prompt_type is None and x == "agreement_loo" else (None,)
        out += [
            Association(
                model=own[0].model, block=own[0].block, component="residual", answer_kind="text", x=x, y=y, at=at,
                given=given, prompt_type=prompt_type, rho=e, families=families,
            )
            for given in own_cases
        ]  # fmt: skip
    return out


def example(models: int = 2) -> Study:
    """The whole study."""
    rng = np.random.default_rng(3)
    quality = {name: float(rng.uniform(0.1, 0.95)) for name, _ in names(FAMILIES)}
    by_model = [cells(i, quality) for i in range(models)]
    return Study(
        trimtab="0.1.0", torch="2.13.0", transformers="5.19.0", seed=0, equal_dose=0.5, seconds=5123.4,
        command="trimtab study --model smollm2 --behaviors statements/*.jsonl --prompt-type all --out study/",
        models=tuple(
            ModelRecord(id=name, revision=None, digest=digest, architecture=what, n_blocks=n, d_model=d)
            for name, digest, what, n, d, _ in MODELS[:models]
        ),
        cells=tuple(row for rows in by_model for row in rows),
        cosines=tuple(one for rows in by_model for one in cosines(rows)),
        types=tuple(one for rows in by_model for one in summaries(rows)),
        associations=tuple(one for rows in by_model for one in associations(rows)),
        notes=("refusal on smollm2: not measured: " + TOO_FEW, "Length alone separates the answers of 11 behaviors."),
    )  # fmt: skip
