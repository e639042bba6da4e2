"""What is wrong with a behavior's examples, before any model sees them."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from trimtab.behaviors import lint_answers, lint_prompts
from trimtab.behaviors.behavior import Behavior
from trimtab.behaviors.duplicates import normalise
from trimtab.behaviors.findings import SEVERITIES, SIDES, Finding, Severity, sources
from trimtab.behaviors.likeness import alike, common_opening, repeats, without_frame
from trimtab.behaviors.splits import units

_COMPARED = 5_000  # texts compared with each other; more would take minutes
_LONG = 2_000  # words
_FEW_UNITS = 100
_TEMPLATE = 0.2  # share of the rows that begin alike


def lint(behavior: Behavior) -> list[Finding]:
    """Everything worth knowing about the examples, the worst first.

    Duplicates and near-duplicates, texts in both classes, length bias, label and position bias,
    blank, over-long and templated rows, too few questions, derived instructions. No torch is loaded.

    Args:
        behavior: any; a thousand rows take about a second.

    Returns:
        findings; none if nothing was found.
    """
    findings = [_as_expected(finding, behavior) for check in _CHECKS for finding in check(behavior)]
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def _as_expected(finding: Finding, behavior: Behavior) -> Finding:
    """What a set is about is no fault of it, but good to know."""
    if finding.code not in behavior.expected:
        return finding
    return replace(finding, severity="info", message=f"on purpose: {finding.message}")


# --- repeated texts ---


def _wholes(behavior: Behavior) -> list[list[tuple[int, str]]]:
    """Lists of (row, text) to look for repetitions in: rows, or the texts of each class if pairing is random."""
    examples = behavior.examples
    if behavior.bare and behavior.pairing == "random":
        return [[(i, getattr(e, side)) for i, e in enumerate(examples)] for side in SIDES]
    rows = without_frame([e.prompt for e in examples])
    if behavior.answer_kind == "text":
        rows = [f"{row} {e.positive} {e.negative}" for row, e in zip(rows, examples, strict=True)]
    return [list(enumerate(rows))]


def _duplicates(behavior: Behavior) -> list[Finding]:
    if behavior.bare and behavior.pairing == "random":
        keys = [[normalise(getattr(e, side)) for e in behavior.examples] for side in SIDES]
        what = "texts repeat an earlier text of their class"
    else:
        keys = [["\0".join(map(normalise, (e.prompt, e.positive, e.negative))) for e in behavior.examples]]
        what = "rows repeat an earlier row"
    repeated = [i for texts in keys for i in repeats(texts)]
    if not repeated:
        return []
    n, total = len(repeated), sum(map(len, keys))
    message = f"{n} of {total} {what} (case and outer punctuation aside); a check drops them"
    return [Finding("duplicate", "warning", message, sources(behavior, repeated), n, n / total)]


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
    return [Finding("near-duplicate", "warning", message, sources(behavior, rows), len(rows), len(rows) / compared)]


# --- odd rows ---


def _blank_prompts(behavior: Behavior) -> list[Finding]:
    rows = [i for i, e in enumerate(behavior.examples) if e.prompt and not e.prompt.strip()]
    if not rows:
        return []
    message = f"{len(rows)} rows have a prompt of white space only; write one, or leave it out in every row"
    return [Finding("blank-prompt", "error", message, sources(behavior, rows), len(rows))]


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
    return [Finding("long-row", "warning", message, sources(behavior, rows), len(rows), float(max(words)))]


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
        for side in SIDES:
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
    return [Finding(code, severity, message, sources(behavior, rows), n, n / len(texts))]


def _derived_instructions(behavior: Behavior) -> list[Finding]:
    if not behavior.instructions_derived:
        return []
    message = (
        f"no instructions were given, so they are derived from the name: {behavior.instruction('positive')!r} and "
        f"{behavior.instruction('negative')!r}; if they do not say what is meant, give positive_instruction and "
        "negative_instruction in the file's header, or --positive-instruction and --negative-instruction"
    )
    return [Finding("derived-instructions", "info", message)]


_CHECKS: tuple[Callable[[Behavior], list[Finding]], ...] = (
    lint_answers.same_answers,
    lint_answers.both_classes,
    lint_answers.one_sided,
    lint_prompts.prompt_in_answer,
    lint_prompts.chat_in_answer,
    _blank_prompts,
    _duplicates,
    _near_duplicates,
    lint_answers.answer_in_prompt,
    lint_answers.length,
    lint_answers.labels,
    _long_rows,
    _templates,
    _few_units,
    _derived_instructions,
)
