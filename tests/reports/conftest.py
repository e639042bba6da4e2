"""A synthetic report that looks like a real one, and its odd relatives."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from trimtab.results import consequences as con
from trimtab.results import report as rec
from trimtab.results.figures import Estimate
from trimtab.results.report import PromptTypeResult, Report

TYPES = (
    "prefilled",
    "instruction",
    "5-shot",
    "prefilled+instruction",
    "prefilled+5-shot",
    "instruction+5-shot",
    "prefilled+instruction+5-shot",
)
CHOSEN = "prefilled+instruction"
SUBJECTS = (
    "The harvest festival",
    "My neighbour's advice",
    "A long walk by the river",
    "The new tram line",
    "Her speech",
)
POSITIVE = ("was a quiet joy from the first minute to the last", "made everyone a little kinder than before")
NEGATIVE = ("was a waste of an afternoon and of good shoes", "left nobody better off, and several people worse")
HOSTILE = (
    "</script><img src=x onerror=alert(1)>",
    "<svg/onload=alert(2)> & \u2028 \u2029 %{x} {{ 7 * 7 }} ${8*8}",
    "w" * 700,
    "مرحبا بالعالم، هذا نص من اليمين إلى اليسار",
    "方向を変える小さな羽根が大きな船を動かす。" * 6,
    "🚢🧭 steering 👩‍🚀",
    "‮txt.exe\x1b[31m red",
    '" onmouseover="alert(3)',
)


def estimate(value: float, half: float, n: int = 140) -> Estimate:
    return Estimate(value=value, low=value - half, high=value + half, n=n)


def slope(mean: float, half: float, n: int) -> rec.Slope:
    return rec.Slope(mean=mean, low=mean - half, high=mean + half, n=n)


def prompt_type(rng: np.random.Generator, mean: float, n: int, *, chosen: bool) -> PromptTypeResult:
    """One type's figures, computed from drawn effects where that is simple."""
    effects = rng.normal(mean, 0.14, n) + rng.exponential(0.05, n) - 0.05
    half = (1.96 if chosen else 2.7) * effects.std() / np.sqrt(n)
    share = float((effects < 0).mean())
    wide = (1.96 if chosen else 2.7) * np.sqrt(max(share * (1 - share), 0.01) / n)
    return PromptTypeResult(
        n=n,
        level=0.95 if chosen else 0.993,
        exploratory=not chosen,
        directional_agreement=0.30 + mean,
        directional_agreement_loo=estimate(0.27 + mean, 0.03, n),
        separability=2.31 + mean,
        separability_held_out=estimate(1.9 + mean, 0.32, n),
        auroc_held_out=estimate(0.9, 0.03, n),
        effect=rec.Effect(
            mean=float(effects.mean()),
            low=float(effects.mean() - half),
            high=float(effects.mean() + half),
            sd=float(effects.std()),
            odd=float(effects.mean() * 0.93),
            even=float(effects.mean() * 0.07 - 0.002),
            odd_low=float(effects.mean() * 0.93 - half),
            odd_high=float(effects.mean() * 0.93 + half),
            even_low=float(effects.mean() * 0.07 - 0.002 - half / 2),
            even_high=float(effects.mean() * 0.07 - 0.002 + half / 2),
            n=n,
            positive=estimate(float(effects.mean()) * 0.3, half / 2, n),
            negative=estimate(float(effects.mean()) * -0.7, half / 2, n),
            positive_fell=estimate(0.17, 0.06, n),
        ),
        edit_size_ratio=0.412,
        anti_steerable=rec.AntiSteerable(
            share=share, low=max(0.0, share - wide), high=share + wide, undecided=0.0071, n=n
        ),
        steerability=slope(float(effects.mean()) * 0.97, half, n)
        if chosen
        else rec.Slope(reason="measured for the chosen prompt type only"),
        n_massive=1 if chosen else 0,
        effects=tuple(effects.tolist()),
    )


def texts(rng: np.random.Generator, effects: tuple[float, ...]) -> tuple[rec.Text, ...]:
    rows = []
    for i, effect in enumerate(effects):
        base = float(rng.normal(-0.1, 0.4) - 0.3 * effect)
        subject = SUBJECTS[i % len(SUBJECTS)]
        rows.append(
            rec.Text(
                prompt=f"Question: What do you say about this? {subject} (no. {i}).\n\nAnswer:",
                positive=f" {subject} {POSITIVE[i % 2]}.",
                negative=f" {subject} {NEGATIVE[i % 2]}.",
                base=base,
                steered=base + effect,
                effect=effect,
                source=f"statements.jsonl:{i + 1}",
            )
        )
    return tuple(rows)


def bounds(result: PromptTypeResult, unit: str, n: int) -> tuple[rec.Bound, ...]:
    assert result.effect is not None
    assert result.anti_steerable is not None
    effect, wrong = result.effect, result.anti_steerable

    def bound(name: str, value: float, low: float, high: float, threshold: float, **rest: Any) -> rec.Bound:
        return rec.Bound(name=name, value=value, low=low, high=high, threshold=threshold, n=n, **rest)

    return (
        bound("mean effect above zero", effect.mean, effect.low, effect.high, 0.0,
              direction="above", holds=True, unit=unit),
        bound("odd part above that of random directions", effect.odd, effect.odd_low, effect.odd_high, 0.021,
              direction="above", holds=True, unit=unit),
        bound("few anti-steerable examples", wrong.share, wrong.low, wrong.high, 0.1, direction="below", holds=None,
              unit="share"),
        bound("perplexity of neutral text", 1.31, 1.26, 1.37, 1.1, direction="below", holds=False, unit="ratio"),
    )  # fmt: skip


def continuations() -> tuple[rec.Continuation, ...]:
    return tuple(
        rec.Continuation(
            prompt=f"{SUBJECTS[i % 5]} was",
            base=" a long affair, and most of us were home before it ended. The rain did not help much either."
            * (1 + i % 2),
            steered=" a delight: the lanterns, the singing, and the old friends who had come so far to be there.",
        )
        for i in range(10)
    )


def cosines(rng: np.random.Generator, types: tuple[str, ...]) -> rec.Cosines:
    vectors = rng.normal(size=(len(types), 12)) + 0.9
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return rec.Cosines(types=types, matrix=tuple(tuple(row) for row in (vectors @ vectors.T).clip(-1, 1).tolist()))


def example_rows(report: dict[str, Any]) -> tuple[rec.ExampleRow, ...]:
    return tuple(
        rec.ExampleRow(
            example=i, source=text.source, cluster=text.source, prompt=text.prompt, positive=text.positive,
            negative=text.negative, prompt_type=CHOSEN, strength=1.0, base=text.base, steered=text.steered,
            effect=text.effect, effect_positive=text.effect / 2, effect_negative=-text.effect / 2,
            total_base=9 * text.base, total_steered=9 * text.steered,
        )
        for i, text in enumerate(report["examples"])
    )  # fmt: skip


def curve_point(s: float, n: int) -> con.CurvePoint:
    """Gain grows with strength, damage with its square."""
    return con.CurvePoint(
        strength=s, edit_size_ratio=0.3 * abs(s), sigmas=1.7 * abs(s), overdosed=abs(s) > 1.2,
        effect=estimate(0.2 * s - 0.015 * s**2, 0.012 + 0.01 * abs(s), n),
        kl=con.Divergence(value=0.08 * s**2, low=0.07 * s**2, high=0.09 * s**2, n_documents=60),
        perplexity_ratio=Estimate(value=1 + 0.1 * s**2, low=1 + 0.08 * s**2, high=1 + 0.13 * s**2, n=60),
    )  # fmt: skip


def side_effects() -> con.SideEffects:
    """Moderate damage; one kind of capability without headroom."""
    return con.SideEffects(
        kl=con.Divergence(value=0.083, low=0.071, high=0.096, n_documents=60),
        perplexity_ratio=Estimate(value=1.31, low=1.26, high=1.37, n=60),
        kl_prompts=con.Divergence(value=0.052, low=0.044, high=0.061, n_documents=84),
        capability=(
            con.Capability(
                kind="grammar", n=200, base=0.94, base_low=0.9, base_high=0.97, steered=0.9, gained=3, lost=11,
                change=Estimate(value=-0.04, low=-0.08, high=0.0, n=200), p_value=0.057,
            ),
            con.Capability(
                kind="facts", n=200, base=0.52, base_low=0.45, base_high=0.59, steered=0.5, gained=10, lost=14,
                change=Estimate(reason="no headroom: the unsteered model has 52% right"), p_value=0.54,
            ),
            con.Capability(
                kind="all", n=400, base=0.73, base_low=0.68, base_high=0.77, steered=0.7, gained=13, lost=25,
                change=Estimate(value=-0.03, low=-0.06, high=0.0, n=400), p_value=0.073,
            ),
        ),
        over_refusal=estimate(-0.02, 0.015, 120),
        others=(con.OtherEffect(behavior="gloom", unit="nats/token", effect=estimate(-0.08, 0.03, 60)),),
    )  # fmt: skip


def build(seed: int = 0, n: int = 140, unit: str = "nats/token", **changes: Any) -> Report:
    """A report on an invented behavior; `changes` replace fields."""
    rng = np.random.default_rng(seed)
    means = (0.16, 0.05, 0.03, 0.21, 0.12, 0.09, 0.14)
    types = {t: prompt_type(rng, m, n, chosen=t == CHOSEN) for t, m in zip(TYPES, means, strict=True)}
    strengths = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5)
    curve = [curve_point(s, n) for s in strengths]
    fields: dict[str, Any] = {
        "trimtab": "0.1.0", "torch": "2.13.0", "transformers": "5.19.0",
        "command": "trimtab check --model smollm2 cheerfulness.jsonl --site auto --prompt-type all --out report/",
        "seconds": 312.4, "seed": seed, "dtype": "float32", "device": "cpu", "threads": 2, "chat_template": False,
        "first_token": "<|endoftext|>", "read": "mean", "scope": "all", "behavior": "cheerfulness",
        "description": "Speaks of ordinary things with good cheer.",
        "instructions": ("You are a cheerful person.", "You are not a cheerful person."),
        "answer_kind": "text", "unit": unit, "data_digest": "sha256:5f2d8a9c41e07b33", "pairing": "natural",
        "model": rec.ModelRecord(id="smollm2", revision=None, digest="sha256:a41c99d07e6b52f8",
                             architecture="LlamaForCausalLM", n_blocks=30, d_model=576),
        "site": rec.SiteRecord(block=14, component="residual"), "site_chosen": "dev", "prompt_type_chosen": "dev",
        "strength_chosen": "dev", "dev_strengths": tuple(curve_point(s, 60) for s in (0.5, 1.0, 2.0)),
        "n_train": 150, "n_dev": 60, "n_eval": n, "n_eval_clusters": n, "n_replication": 140, "n_dropped": 3,
        "strengths": strengths, "thresholds": {"min_effect": 0.05, "max_anti_steerable": 0.1, "max_kl": 0.1},
        "verdict": rec.Verdict(
            decision="caution",
            sentence="Steering toward cheerfulness works on average, but it may push more than a tenth of the examples "
                     "the wrong way.",
            reasons=("The mean effect is above zero, and above that of 20 random directions.",
                     "The interval of the anti-steerable share includes 10 %."),
            prompt_type=CHOSEN, strength=1.0, bounds=bounds(types[CHOSEN], unit, n),
            reservations=("Length alone tells the answers apart (AUROC 0.74).",),
            error_rate_reason="fewer than 20 behaviors have been replicated on this model",
        ),
        "base": rec.Base(propensity={"mean": -0.112, "sd": 0.418}, n=n, accuracy=0.43,
                         accuracy_low=0.35, accuracy_high=0.51),
        "noise": rec.Noise(value=2.4e-6, maximum=3.1e-6, n=32), "prompt_types": types,
        "prompt_type_cosine": cosines(rng, TYPES),
        "curve": con.Curve(points=tuple(curve), spearman=0.964, r_squared=0.981, n=n),
        "blocks": tuple(
            rec.BlockRow(block=b, agreement=estimate(0.18 + 0.3 * np.exp(-((b - 15) / 9) ** 2), 0.03, 150),
                     effect=estimate(0.22 * np.exp(-((b - 13) / 5) ** 2) - 0.01, 0.03, 60), standardised=0.9)
            for b in range(0, 30, 2)),
        "projections": rec.Projections(prompt_type=CHOSEN, positive=tuple(rng.normal(0.93, 0.8, n).tolist()),
                                   negative=tuple(rng.normal(-0.9, 0.9, n).tolist())),
        "convergence": rec.Convergence(expected_cosine=0.913, pairs_for_95=272, n=150),
        "length_auroc": Estimate(value=0.74, low=0.68, high=0.79, n=140),
        "length_matched_effect": Estimate(value=0.2, low=0.1, high=0.3, n=51),
        "lint": (rec.Lint(severity="warning", code="length-words", message="the positive answers are longer"),),
        "direction": con.Direction(
            p_value=0.0005, halves_cosine=0.61, halves_expected=0.83, halves_p_value=0.012,
            grouping=con.Grouping(p_value=0.006, groups=(
                con.ExampleGroup(share=0.7, n_train=105, cosine=0.94, effect=estimate(0.31, 0.05, 98),
                                 anti_steerable=estimate(0.08, 0.05, 98), prompts=("How was the <b>film</b>?",)),
                con.ExampleGroup(share=0.3, n_train=45, cosine=-0.12, effect=estimate(-0.06, 0.08, 42),
                                 anti_steerable=Estimate(reason="fewer than two evaluation examples are like these"),
                                 prompts=("A letter to the bank",)),
            )),
        ),
        "random_directions": con.RandomDirectionBaseline(odd=(0.01, -0.03, 0.02), percentile_95=0.029, n=40),
        "training_variability": con.TrainingVariability(effect=estimate(0.21, 0.06, n), n_refits=6),
        "answer_bias": con.AnswerBias(
            shift=Estimate(reason="the answers are free text, without a label to shift to"),
            adjusted=Estimate(reason="the answers are free text, without a label to shift to"),
        ),
        "prompting_baseline": con.PromptingBaseline(
            instruction="You are a cheerful person.", effect=estimate(0.11, 0.03, n),
            beats=estimate(0.1, 0.04, n), adds=estimate(0.17, 0.03, n)),
        "side_effects": side_effects(),
        "generated": con.Generated(
            n=40, auroc=estimate(0.91, 0.04, n), shift=estimate(1.2, 0.5, 40), fell=estimate(0.2, 0.1, 40),
            repeated=estimate(0.01, 0.02, 40), perplexity_ratio=estimate(1.4, 0.2, 40), judge="judge-1 at https://host/v1",
            win_rate=estimate(0.7, 0.12, 38), inconsistent=estimate(0.1, 0.08, 38),
        ),
        "examples": texts(rng, types[CHOSEN].effects), "continuations": continuations(),
        "next_steps": (
            rec.NextStep(code="read-reservations", what="Read the reservation first."),
            rec.NextStep(code="make", what="Make it.", command="trimtab fit pairs.jsonl --out " + 20 * "long-"),
        ),
        "notes": ("One token with a massive activation was left out of the means.", "3 duplicates were dropped."),
    }  # fmt: skip
    fields |= changes
    return Report(**fields, rows=fields.get("rows") or example_rows(fields))


def _unmeasured(report: Report) -> Report:
    """A choice behavior of which little could be measured."""
    why = "bare statements have no prompt: every difference would be equal"
    types = {t: PromptTypeResult.without(why) if "prefilled" not in t else r for t, r in report.prompt_types.items()}
    types["prefilled"] = types["prefilled"].model_copy(
        update={"steerability": rec.Slope(reason="one strength"), "edit_size_ratio": None, "separability": None}
    )
    return report.model_copy(
        update={
            "answer_kind": "choice", "unit": "logits", "prompt_types": types, "blocks": (), "site_chosen": "given",
            "notes": (), "side_effects": con.SideEffects(kl=con.Divergence(reason="--quick was given")),
            "continuations": (),
            "strength_chosen": "given", "dev_strengths": (),
            "generated": con.Generated(reason="--generate was not given"),
            "direction": con.Direction(reason="not with so few examples"),
            "random_directions": con.RandomDirectionBaseline(reason="the steering has several sites"),
            "training_variability": con.TrainingVariability(effect=Estimate(reason="too few training clusters")),
            "answer_bias": con.AnswerBias(
                label="Yes", shift=estimate(0.4, 0.1, 140), adjusted=Estimate(reason="one label only")
            ),
            "prompting_baseline": con.PromptingBaseline(),
            "length_auroc": Estimate(reason="choices are equally long"), "lint": (),
            "length_matched_effect": Estimate(reason="choices are equally long"),
            "convergence": rec.Convergence(expected_cosine=0.02, pairs_for_95=None, n=150),
            "projections": rec.Projections(prompt_type=CHOSEN, positive=(), negative=()), "description": "",
            "prompt_type_cosine": rec.Cosines(types=(), matrix=()),
            "curve": con.Curve(points=(), spearman=None, r_squared=None, n=140),
            "verdict": report.verdict.model_copy(update={"decision": "inconclusive", "bounds": (), "reservations": ()}),
        }
    )  # fmt: skip


ERROR_RATE = rec.ErrorRate(
    value=0.04, low=0.01, high=0.14, n=50, kind="“go” or “caution”",
    data="69 sets of statements", model="smollm2 in bfloat16",
    wrong="missed a bound on the half of the examples that was kept back",
    reservations=("this model has not been measured",),
)  # fmt: skip


def _random(report: Report) -> Report:
    bare = tuple(text.model_copy(update={"prompt": ""}) for text in report.examples)
    go = report.verdict.model_copy(update={"decision": "go", "error_rate": ERROR_RATE, "reservations": ()})
    return report.model_copy(update={"pairing": "random", "examples": bare, "verdict": go})


def _hostile(report: Report) -> Report:
    """Nasty texts wherever a text may come from outside."""
    bad = HOSTILE[0]
    mean = [
        text.model_copy(update={
            "prompt": HOSTILE[i % len(HOSTILE)], "positive": HOSTILE[(i + 1) % len(HOSTILE)],
            "negative": HOSTILE[(i + 3) % len(HOSTILE)], "source": bad, "effect": text.effect - 0.2,
        })
        for i, text in enumerate(report.examples)
    ]  # fmt: skip
    verdict = report.verdict.model_copy(
        update={
            "decision": "no-go", "sentence": HOSTILE[1], "reasons": HOSTILE, "reservations": (bad,),
            "error_rate": ERROR_RATE.model_copy(
                update={"model": bad, "data": bad, "wrong": bad, "reservations": (bad,)}),
            "bounds": tuple(b.model_copy(update={"name": bad}) for b in report.verdict.bounds),
        }
    )  # fmt: skip
    types = {
        **report.prompt_types,
        bad: PromptTypeResult(not_measured=bad),
        "<b>x</b>": report.prompt_types["prefilled"],
    }
    return report.model_copy(
        update={
            "behavior": bad, "description": HOSTILE[4], "instructions": HOSTILE[:2],
            "examples": tuple(mean),
            "model": report.model.model_copy(update={"id": HOSTILE[6], "revision": bad, "architecture": bad}),
            "continuations": tuple(rec.Continuation(prompt=t, base=t, steered=t) for t in HOSTILE),
            "prompt_types": types,
            "notes": HOSTILE, "command": bad, "first_token": bad, "data_digest": bad, "verdict": verdict, "dtype": bad,
            "prompt_type_cosine": rec.Cosines(types=(bad, HOSTILE[2]), matrix=((1.0, -0.3), (-0.3, 1.0))),
            "side_effects": report.side_effects.model_copy(update={
                "kl": con.Divergence(reason=bad),
                "capability": tuple(c.model_copy(update={"kind": bad}) for c in report.side_effects.capability),
                "others": (con.OtherEffect(behavior=bad, unit=bad, effect=Estimate(reason=bad)),),
            }),
            "prompting_baseline": report.prompting_baseline.model_copy(update={"instruction": bad}),
            "answer_bias": con.AnswerBias(label=bad, shift=Estimate(reason=bad), adjusted=Estimate(reason=bad)),
            "thresholds": {bad: 0.1}, "unit": HOSTILE[7],
            "next_steps": tuple(rec.NextStep(code=t, what=t, command=t) for t in HOSTILE),
        }
    )  # fmt: skip


VARIANTS: dict[str, Callable[[Report], Report]] = {
    "plain": lambda report: report,
    "unmeasured": _unmeasured,
    "random": _random,
    "hostile": _hostile,
}


@pytest.fixture(scope="session")
def report() -> Report:
    """A check of an invented behavior: caution."""
    return build()


@pytest.fixture(scope="session", params=list(VARIANTS))
def any_report(request: pytest.FixtureRequest, report: Report) -> Report:
    """Every variant in turn."""
    return VARIANTS[request.param](report)


@pytest.fixture(scope="session")
def variant(report: Report) -> Callable[[str], Report]:
    """A variant by name: plain, unmeasured, random, hostile."""
    return lambda name: VARIANTS[name](report)
