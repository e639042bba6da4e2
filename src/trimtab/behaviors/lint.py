"""What is wrong with a behavior's examples, before any model sees them."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from trimtab.behaviors.behavior import Behavior, Example, Side
from trimtab.behaviors.duplicates import normalise
from trimtab.behaviors.likeness import alike, common_opening, repeats, without_frame
from trimtab.behaviors.splits import units

Severity = Literal["error", "warning", "info"]

_SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
_SIDES: tuple[Side, ...] = ("positive", "negative")
_SHOWN = 5  # rows named in a finding
_COMPARED = 5_000  # texts compared with each other; more would take minutes
_LONG = 2_000  # words
_FEW_UNITS = 100
_TEMPLATE = 0.2  # share of the rows that begin alike
_LIKELY = 0.01  # two-sided p below which an imbalance of labels is no chance


@dataclass(frozen=True)
class Finding:
    """One thing found.

    Args:
        code: a stable name, such as `length-words`.
        severity: `error` makes results meaningless, `warning` may bias them, `info` is good to know.
        message: what it is and what to do, in plain words.
        rows: where, the first few.
        n: how many rows or texts it concerns.
        value: the measure behind it, if there is one.
    """

    code: str
    severity: Severity
    message: str
    rows: tuple[str, ...] = ()
    n: int = 0
    value: float | None = None


def lint(behavior: Behavior) -> list[Finding]:
    """Everything worth knowing about the examples, the worst first.

    Duplicates and near-duplicates, texts in both classes, length bias, label and position bias,
    blank, over-long and templated rows, and too few questions. No torch is loaded.

    Args:
        behavior: any; a thousand rows take about a second.

    Returns:
        findings; none if nothing was found.
    """
    findings = [finding for check in _CHECKS for finding in check(behavior)]
    return sorted(findings, key=lambda finding: _SEVERITIES.index(finding.severity))


def _sources(behavior: Behavior, rows: Iterable[int]) -> tuple[str, ...]:
    shown = sorted(set(rows))[:_SHOWN]
    return tuple(behavior.examples[i].source or f"example {i + 1}" for i in shown)


def _verbatim(text: str) -> str:
    """White space aside, the text itself: case and punctuation may be the behavior."""
    return " ".join(text.split())


# --- repeated texts ---


def _wholes(behavior: Behavior) -> list[list[tuple[int, str]]]:
    """Lists of (row, text) to look for repetitions in: rows, or the texts of each class if pairing is random."""
    examples = behavior.examples
    if behavior.bare and behavior.pairing == "random":
        return [[(i, getattr(e, side)) for i, e in enumerate(examples)] for side in _SIDES]
    rows = without_frame([e.prompt for e in examples])
    if behavior.answer_kind == "text":
        rows = [f"{row} {e.positive} {e.negative}" for row, e in zip(rows, examples, strict=True)]
    return [list(enumerate(rows))]


def _duplicates(behavior: Behavior) -> list[Finding]:
    if behavior.bare and behavior.pairing == "random":
        keys = [[normalise(getattr(e, side)) for e in behavior.examples] for side in _SIDES]
        what = "texts repeat an earlier text of their class"
    else:
        keys = [["\0".join(map(normalise, (e.prompt, e.positive, e.negative))) for e in behavior.examples]]
        what = "rows repeat an earlier row"
    repeated = [i for texts in keys for i in repeats(texts)]
    if not repeated:
        return []
    n, total = len(repeated), sum(map(len, keys))
    message = f"{n} of {total} {what} (case and outer punctuation aside); a check drops them"
    return [Finding("duplicate", "warning", message, _sources(behavior, repeated), n, n / total)]


def _near_duplicates(behavior: Behavior) -> list[Finding]:
    rows: list[int] = []
    total = compared = 0
    for whole in _wholes(behavior):
        distinct = list({normalise(text): row for row, text in reversed(whole)}.items())[::-1]
        total += len(distinct)
        distinct = distinct[:_COMPARED]
        compared += len(distinct)
        rows += [distinct[k][1] for k in alike([text for text, _ in distinct])]
    if not rows:
        return []
    scope = f"{compared} of {total} distinct texts" if compared < total else f"{total} distinct texts"
    message = (
        f"{len(rows)} of {scope} share four fifths of their words with another one; if they are variants of "
        "one question, give them the same 'group', so that they do not stand in training and evaluation both"
    )
    return [Finding("near-duplicate", "warning", message, _sources(behavior, rows), len(rows), len(rows) / compared)]


# --- leakage ---


def _same_answers(behavior: Behavior) -> list[Finding]:
    rows = [i for i, e in enumerate(behavior.examples) if _verbatim(e.positive) == _verbatim(e.negative)]
    if not rows:
        return []
    message = f"in {len(rows)} rows the positive and the negative answer are the same text; mend or remove them"
    return [Finding("same-answers", "error", message, _sources(behavior, rows), len(rows))]


def _both_classes(behavior: Behavior) -> list[Finding]:
    rows: dict[Side, dict[tuple[str, str], list[int]]] = {"positive": {}, "negative": {}}
    for i, e in enumerate(behavior.examples):
        if _verbatim(e.positive) != _verbatim(e.negative):
            for side in _SIDES:
                rows[side].setdefault((_verbatim(e.prompt), _verbatim(getattr(e, side))), []).append(i)
    both = rows["positive"].keys() & rows["negative"].keys()
    if not both:
        return []
    where = [i for key in both for side in _SIDES for i in rows[side][key]]
    what = "statements are" if behavior.bare else "answers to the same prompt are"
    message = f"{len(both)} {what} positive in one row and negative in another; keep them in one class only"
    return [Finding("both-classes", "error", message, _sources(behavior, where), len(both))]


def _answer_in_prompt(behavior: Behavior) -> list[Finding]:
    if behavior.bare or behavior.answer_kind == "choice":
        return []
    rows = [i for i, e in enumerate(behavior.examples) if _given_away(e)]
    if not rows:
        return []
    message = f"in {len(rows)} rows the prompt contains an answer word for word, which then is copied rather than given"
    return [
        Finding(
            "answer-in-prompt",
            "warning",
            message,
            _sources(behavior, rows),
            len(rows),
            len(rows) / len(behavior.examples),
        )
    ]


def _given_away(e: Example) -> bool:
    prompt = f" {' '.join(normalise(word) for word in e.prompt.split())} "
    answers = (" ".join(normalise(word) for word in answer.split()) for answer in (e.positive, e.negative))
    return any(f" {answer} " in prompt for answer in answers)


# --- bias ---


def _auroc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """How well one number tells the classes apart: 0.5 not at all, 1 larger for every positive, 0 smaller."""
    from sklearn.metrics import roc_auc_score

    truth = [1] * len(positive) + [0] * len(negative)
    return float(roc_auc_score(truth, [*positive, *negative]))


def _length(behavior: Behavior) -> list[Finding]:
    if behavior.answer_kind == "choice":
        return []
    measures: tuple[tuple[str, Callable[[str], int]], ...] = (
        ("words", lambda text: len(text.split())),
        ("characters", lambda text: len(text.strip())),
    )
    findings = []
    for unit, length in measures:
        value = _auroc([length(e.positive) for e in behavior.examples], [length(e.negative) for e in behavior.examples])
        if 0.45 <= value <= 0.55:
            continue
        strength = "" if 0.3 <= value <= 0.7 else "strongly "
        longer = "longer" if value > 0.5 else "shorter"
        message = (
            f"positive answers are {strength}{longer} in {unit}: length alone tells the classes apart with AUROC "
            f"{value:.2f}, so the steering may learn length; look at the length-matched effect"
        )
        findings.append(Finding(f"length-{unit}", "warning", message, (), len(behavior.examples), value))
    return findings


def _labels(behavior: Behavior) -> list[Finding]:
    """Position bias for letters and digits, token bias for words such as Yes and No."""
    if behavior.answer_kind != "choice" or _one_sided(behavior):
        return []
    pairs = [(normalise(e.positive), normalise(e.negative)) for e in behavior.examples]
    if all(len(label) == 1 for pair in pairs for label in pair):
        code, what = "answer-position", "the first of its two labels"
        hits = [positive < negative for positive, negative in pairs]
    else:
        code, token = "answer-token", "true" if any("true" in pair for pair in pairs) else "yes"
        what = f"{token.title()!r}"
        hits = [positive == token for positive, _ in pairs]
    return _imbalance(code, what, hits)


def _imbalance(code: str, what: str, hits: Sequence[bool]) -> list[Finding]:
    from scipy.stats import binomtest

    n, k = len(hits), sum(hits)
    p = float(binomtest(k, n, 0.5).pvalue)
    if p >= _LIKELY:
        return []
    value = _auroc([float(hit) for hit in hits], [float(not hit) for hit in hits])
    message = (
        f"the matching answer is {what} in {k} of {n} rows ({k / n:.0%}; AUROC {value:.2f}; two-sided binomial "
        f"p {p:.1g}), so the steering may learn the label; swap the choices in some rows"
    )
    return [Finding(code, "warning", message, (), n, value)]


def _one_sided(behavior: Behavior) -> list[Finding]:
    findings = []
    n = len(behavior.examples)
    for side in _SIDES:
        texts = {_verbatim(getattr(e, side)) for e in behavior.examples}
        if n > 1 and len(texts) == 1:
            message = f"all {n} {side} answers are {texts.pop()!r}, so one token tells the classes apart; vary them"
            findings.append(Finding("one-sided", "error", message, _sources(behavior, range(n)), n))
    return findings


# --- odd rows ---


def _blank_prompts(behavior: Behavior) -> list[Finding]:
    rows = [i for i, e in enumerate(behavior.examples) if e.prompt and not e.prompt.strip()]
    if not rows:
        return []
    message = f"{len(rows)} rows have a prompt of white space only; write one, or leave it out in every row"
    return [Finding("blank-prompt", "error", message, _sources(behavior, rows), len(rows))]


def _long_rows(behavior: Behavior) -> list[Finding]:
    words = [
        len(f"{e.prompt} ".split()) + max(len(e.positive.split()), len(e.negative.split())) for e in behavior.examples
    ]
    rows = [i for i, n in enumerate(words) if n > _LONG]
    if not rows:
        return []
    message = (
        f"{len(rows)} rows have more than {_LONG:,} words (up to {max(words):,}) and may not fit the model's context"
    )
    return [Finding("long-row", "warning", message, _sources(behavior, rows), len(rows), float(max(words)))]


def _few_units(behavior: Behavior) -> list[Finding]:
    n = len(set(units(behavior)))
    if n >= _FEW_UNITS:
        return []
    message = f"only {n} different questions; below {_FEW_UNITS} the intervals of a check are wide"
    return [Finding("few-units", "info", message, (), n, float(n))]


def _templates(behavior: Behavior) -> list[Finding]:
    found = []
    if not behavior.bare:
        prompts = [e.prompt.removeprefix("Question:") for e in behavior.examples]
        found += _template(behavior, "template-prompt", "info", "prompts", prompts, 4)
    if behavior.answer_kind == "text":
        for side in _SIDES:
            answers = [getattr(e, side) for e in behavior.examples]
            found += _template(behavior, f"template-{side}", "warning", f"{side} answers", answers, 3)
    return found


def _template(
    behavior: Behavior, code: str, severity: Severity, what: str, texts: Sequence[str], n_words: int
) -> list[Finding]:
    words = [tuple(text.split()) for text in texts]
    counts = Counter(row[:n_words] for row in words if len(row) >= n_words)
    if not counts:
        return []
    opening, n = counts.most_common(1)[0]
    if n < 3 or n <= _TEMPLATE * len(texts):
        return []
    rows = [i for i, row in enumerate(words) if row[:n_words] == opening]
    shared = " ".join(common_opening([words[i] for i in rows]))
    shared = shared if len(shared) <= 80 else shared[:77] + "…"
    message = f"{n} of {len(texts)} {what} begin with {shared!r}; what is measured may hold for that template only"
    return [Finding(code, severity, message, _sources(behavior, rows), n, n / len(texts))]


_CHECKS: tuple[Callable[[Behavior], list[Finding]], ...] = (
    _same_answers,
    _both_classes,
    _one_sided,
    _blank_prompts,
    _duplicates,
    _near_duplicates,
    _answer_in_prompt,
    _length,
    _labels,
    _long_rows,
    _templates,
    _few_units,
)
