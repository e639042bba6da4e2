"""Faults of a behavior's answers: texts in both classes, and traits that tell the classes apart."""

from collections.abc import Callable, Sequence

from trimtab.behaviors.behavior import Behavior, Example, Side
from trimtab.behaviors.duplicates import normalise
from trimtab.behaviors.findings import IN_WORDS, SIDES, Finding, sources, verbatim
from trimtab.behaviors.words import count_words, words
from trimtab.phrases import Phrase, untranslated

_UNITS = {"words": Phrase("words"), "characters": Phrase("characters")}
_ALPHA = 0.01  # two-sided p below which an imbalance of labels is reported


# --- leakage ---


def same_answers(behavior: Behavior) -> list[Finding]:
    """Rows whose two answers are one text."""
    rows = [i for i, e in enumerate(behavior.examples) if verbatim(e.positive) == verbatim(e.negative)]
    if not rows:
        return []
    message = Phrase(
        "in {n} rows the positive and the negative answer are the same text; fix or remove them", n=len(rows)
    )
    return [Finding("same-answers", "error", message, sources(behavior, rows), len(rows))]


def both_classes(behavior: Behavior) -> list[Finding]:
    """Texts that are positive in one row and negative in another."""
    rows: dict[Side, dict[tuple[str, str], list[int]]] = {"positive": {}, "negative": {}}
    for i, e in enumerate(behavior.examples):
        if verbatim(e.positive) != verbatim(e.negative):
            for side in SIDES:
                rows[side].setdefault((verbatim(e.prompt), verbatim(getattr(e, side))), []).append(i)
    both = rows["positive"].keys() & rows["negative"].keys()
    if not both:
        return []
    where = [i for key in both for side in SIDES for i in rows[side][key]]
    n = len(both)
    message = (
        Phrase("{n} statements are positive in one row and negative in another; keep them in one class only", n=n)
        if behavior.bare
        else Phrase(
            "{n} answers to the same prompt are positive in one row and negative in another; keep them in one class "
            "only",
            n=n,
        )
    )
    return [Finding("both-classes", "error", message, sources(behavior, where), len(both))]


def answer_in_prompt(behavior: Behavior) -> list[Finding]:
    """Prompts that contain an answer."""
    if behavior.bare or behavior.answer_kind == "choice":
        return []
    rows = [i for i, e in enumerate(behavior.examples) if _contains_answer(e)]
    if not rows:
        return []
    message = Phrase(
        "in {n} rows the prompt contains an answer word for word, so that the model may just copy "
        "it; rewrite the prompt or remove the row",
        n=len(rows),
    )
    return [
        Finding(
            "answer-in-prompt",
            "warning",
            message,
            sources(behavior, rows),
            len(rows),
            len(rows) / len(behavior.examples),
        )
    ]


def _contains_answer(e: Example) -> bool:
    prompt = f" {' '.join(words(e.prompt))} "
    answers = (" ".join(words(answer)) for answer in (e.positive, e.negative))
    return any(f" {answer} " in prompt for answer in answers if answer)


# --- bias ---


def _auroc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """How well one number tells the classes apart: 0.5 not at all, 1 larger for every positive, 0 smaller."""
    from sklearn.metrics import roc_auc_score

    truth = [1] * len(positive) + [0] * len(negative)
    return float(roc_auc_score(truth, [*positive, *negative]))


def length(behavior: Behavior) -> list[Finding]:
    """Answers whose length alone tells the classes apart."""
    if behavior.answer_kind == "choice":
        return []
    measures: tuple[tuple[str, Callable[[str], int]], ...] = (
        ("words", count_words),
        ("characters", lambda text: len(text.strip())),
    )
    findings = []
    for unit, length in measures:
        value = _auroc([length(e.positive) for e in behavior.examples], [length(e.negative) for e in behavior.examples])
        if 0.45 <= value <= 0.55:
            continue
        if value > 0.5:
            longer = Phrase("longer") if value <= 0.7 else Phrase("strongly longer")
        else:
            longer = Phrase("shorter") if value >= 0.3 else Phrase("strongly shorter")
        message = Phrase(
            "positive answers are {longer} in {unit}: length alone tells the classes apart "
            "with AUROC {value}, so the steering may learn length; balance the lengths or match the "
            "pairs by length, and see the length AUROC in the report of a check",
            longer=longer,
            unit=_UNITS[unit],
            value=f"{value:.2f}",
        )
        findings.append(Finding(f"length-{unit}", "warning", message, (), len(behavior.examples), value))
    return findings


def labels(behavior: Behavior) -> list[Finding]:
    """Position bias for letters and digits, token bias for words such as Yes and No."""
    if behavior.answer_kind != "choice" or one_sided(behavior):
        return []
    pairs = [(normalise(e.positive), normalise(e.negative)) for e in behavior.examples]
    if all(len(label) == 1 for pair in pairs for label in pair):
        code, what = "answer-position", Phrase("the first of its two labels")
        hits = [positive < negative for positive, negative in pairs]
    else:
        code, token = "answer-token", "true" if any("true" in pair for pair in pairs) else "yes"
        what = untranslated(repr(token.title()))
        hits = [positive == token for positive, _ in pairs]
    return _imbalance(code, what, hits)


def _imbalance(code: str, what: Phrase, hits: Sequence[bool]) -> list[Finding]:
    from scipy.stats import binomtest

    n, k = len(hits), sum(hits)
    p = float(binomtest(k, n, 0.5).pvalue)
    if p >= _ALPHA:
        return []
    value = _auroc([float(hit) for hit in hits], [float(not hit) for hit in hits])
    message = Phrase(
        "the matching answer is {what} in {k} of {n} rows ({share}; AUROC {value}; two-sided binomial p "
        "{p}), so the steering may learn the label; swap the choices in some rows",
        what=what,
        k=k,
        n=n,
        share=f"{k / n:.0%}",
        value=f"{value:.2f}",
        p=f"{p:.1g}",
    )
    return [Finding(code, "warning", message, (), n, value)]


def one_sided(behavior: Behavior) -> list[Finding]:
    """A class with the same answer in every row."""
    findings = []
    n = len(behavior.examples)
    for side in SIDES:
        texts = {verbatim(getattr(e, side)) for e in behavior.examples}
        if n > 1 and len(texts) == 1:
            message = Phrase(
                "all {n} {side} answers are {text}, so one token tells the classes apart; vary them",
                n=n,
                side=IN_WORDS[side],
                text=repr(texts.pop()),
            )
            findings.append(Finding("one-sided", "error", message, sources(behavior, range(n)), n))
    return findings
