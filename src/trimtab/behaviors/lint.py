"""Faults of a behavior's examples, found before any model reads them."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from trimtab.behaviors import lint_answers, lint_prompts, wording
from trimtab.behaviors.behavior import Behavior
from trimtab.behaviors.duplicates import aligned, deduplicate, normalise, resemblances
from trimtab.behaviors.findings import IN_WORDS, SEVERITIES, SIDES, Finding, Severity, sources
from trimtab.behaviors.likeness import MAX_COMPARED, common_opening, repeats
from trimtab.behaviors.splits import clusters
from trimtab.behaviors.words import count_words, words
from trimtab.errors import InputError
from trimtab.phrases import Phrase

_MAX_WORDS = 2_000
_MIN_CLUSTERS = 100
_MAX_TEMPLATE = 0.2  # share of the rows that begin alike


def lint(behavior: Behavior) -> list[Finding]:
    """Faults of the examples and traits that may bias results, the worst first.

    Checks for duplicates and near-duplicates, texts in both classes, length bias, label and position bias,
    blank, over-long and templated rows, too few questions, derived instructions. No torch is loaded.

    Args:
        behavior: any; a thousand rows take about a second.

    Returns:
        the findings; empty if there are none.

    Example:
        >>> import trimtab as tt
        >>> rows = [tt.Example(f"Is {k} even?", " Yes, it certainly is.", " No.") for k in range(9)]
        >>> findings = tt.lint(tt.Behavior("agreement", rows))
        >>> [finding.code for finding in findings if finding.severity == "error"]
        ['one-sided', 'one-sided']
    """
    findings = [_as_expected(finding, behavior) for check in _CHECKS for finding in check(behavior)]
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def _as_expected(finding: Finding, behavior: Behavior) -> Finding:
    """A finding that is the very point of the set is reported as information."""
    if finding.code not in behavior.expected:
        return finding
    return replace(finding, severity="info", message=Phrase("on purpose: {message}", message=finding.message))


# --- repeated texts ---


def _duplicates(behavior: Behavior) -> list[Finding]:
    if behavior.bare and behavior.pairing == "random":
        keys = [[normalise(getattr(e, side)) for e in behavior.examples] for side in SIDES]
        what = Phrase("texts repeat an earlier text of their class")
        if _only_reused(behavior):
            return []
    else:
        keys = [["\0".join(map(normalise, (e.prompt, e.positive, e.negative))) for e in behavior.examples]]
        what = Phrase("rows repeat an earlier row")
    repeated = [i for texts in keys for i in repeats(texts)]
    if not repeated:
        return []
    n, total = len(repeated), sum(map(len, keys))
    message = Phrase(
        "{n} of {total} {what} (case and outer punctuation aside); a check drops them", n=n, total=total, what=what
    )
    return [Finding("duplicate", "warning", message, sources(behavior, repeated), n, n / total)]


def _only_reused(behavior: Behavior) -> bool:
    """Whether texts of unpaired lists repeat only because the other list is longer."""
    try:
        return deduplicate(behavior)[1] == 0
    except InputError:
        return False


def _near_duplicates(behavior: Behavior) -> list[Finding]:
    try:
        distinct, _ = deduplicate(behavior)
    except InputError:
        return []  # nothing but duplicates, which are reported already
    repeated = [np.flatnonzero(np.bincount(first)[first] > 1) for first in resemblances(distinct)]
    random = behavior.bare and behavior.pairing == "random"
    rows = np.concatenate(repeated) if random else np.unique(np.concatenate([*repeated, np.empty(0, dtype=np.intp)]))
    if not len(rows):
        return []
    n = 2 * len(distinct.examples) if random else len(distinct.examples)
    if len(distinct.examples) > MAX_COMPARED:
        most = f"{MAX_COMPARED:,}"
        of = (
            Phrase("{n} texts, of which the first {most} were compared", n=n, most=most)
            if random
            else Phrase("{n} rows, of which the first {most} were compared", n=n, most=most)
        )
    else:
        of = Phrase("{n} texts", n=n) if random else Phrase("{n} rows", n=n)
    message = Phrase(
        "{n} of {of} nearly repeat another one (at least half of their distinctive words are the same): a check keeps "
        "them together and counts {questions} independent questions; add other examples, not more variants",
        n=len(rows), of=of, questions=len(set(clusters(aligned(distinct)))),
    )  # fmt: skip
    return [Finding("near-duplicate", "warning", message, sources(distinct, rows.tolist()), len(rows), len(rows) / n)]


# --- rows and questions ---


def _blank_prompts(behavior: Behavior) -> list[Finding]:
    rows = [i for i, e in enumerate(behavior.examples) if e.prompt and not e.prompt.strip()]
    if not rows:
        return []
    message = Phrase("{n} rows have a prompt of white space only; write one, or omit it in every row", n=len(rows))
    return [Finding("blank-prompt", "error", message, sources(behavior, rows), len(rows))]


def _long_rows(behavior: Behavior) -> list[Finding]:
    lengths = [count_words(e.prompt) + max(count_words(e.positive), count_words(e.negative)) for e in behavior.examples]
    rows = [i for i, n in enumerate(lengths) if n > _MAX_WORDS]
    if not rows:
        return []
    message = Phrase(
        "{n} rows have more than {most} words (up to {longest}) and may not fit into the model's context; shorten them",
        n=len(rows),
        most=f"{_MAX_WORDS:,}",
        longest=f"{max(lengths):,}",
    )
    return [Finding("long-row", "warning", message, sources(behavior, rows), len(rows), float(max(lengths)))]


def _few_clusters(behavior: Behavior) -> list[Finding]:
    n = len(set(clusters(behavior)))
    if n >= _MIN_CLUSTERS:
        return []
    message = Phrase(
        "only {n} different questions; below {least} the intervals of a check are wide",
        n=n,
        least=_MIN_CLUSTERS,
    )
    return [Finding("few-clusters", "info", message, (), n, float(n))]


def _templates(behavior: Behavior) -> list[Finding]:
    findings = []
    if not behavior.bare:
        prompts = [e.prompt.removeprefix("Question:") for e in behavior.examples]
        findings += _template(behavior, "template-prompt", "info", Phrase("prompts"), prompts, 4)
    if behavior.answer_kind == "text":
        for side in SIDES:
            answers = [getattr(e, side) for e in behavior.examples]
            findings += _template(
                behavior, f"template-{side}", "warning", Phrase("{side} answers", side=IN_WORDS[side]), answers, 3
            )
    return findings


def _template(
    behavior: Behavior, code: str, severity: Severity, what: Phrase, texts: Sequence[str], n_words: int
) -> list[Finding]:
    split = [tuple(words(text)) for text in texts]
    counts = Counter(row[:n_words] for row in split if len(row) >= n_words)
    if not counts:
        return []
    opening, n = counts.most_common(1)[0]
    if n < 3 or n <= _MAX_TEMPLATE * len(texts):
        return []
    rows = [i for i, row in enumerate(split) if row[:n_words] == opening]
    shared = _opening([texts[i] for i in rows])
    shared = shared if len(shared) <= 80 else shared[:77] + "…"
    message = Phrase(
        "{n} of {total} {what} begin with {opening}; results may hold for that template only",
        n=n,
        total=len(texts),
        what=what,
        opening=repr(shared),
    )
    return [Finding(code, severity, message, sources(behavior, rows), n, n / len(texts))]


def _opening(texts: Sequence[str]) -> str:
    """What the texts begin with, in whole words where spaces separate them."""
    whole_words = " ".join(common_opening([text.split(" ") for text in texts]))
    shared = whole_words or "".join(common_opening(texts))
    return shared.strip()


def _derived_instructions(behavior: Behavior) -> list[Finding]:
    if not behavior.instructions_derived:
        return []
    message = Phrase(
        "no instructions were given, so they are derived from the name: {positive} and "
        "{negative}; if they do not say what is meant, give positive_instruction and "
        "negative_instruction in the file's header, or as arguments",
        positive=repr(behavior.instruction("positive")),
        negative=repr(behavior.instruction("negative")),
    )
    return [Finding("derived-instructions", "info", message)]


_CHECKS: tuple[Callable[[Behavior], list[Finding]], ...] = (
    lint_answers.same_answers,
    lint_answers.both_classes,
    lint_answers.one_sided,
    lint_prompts.prompt_in_answer,
    lint_prompts.chat_in_answer,
    wording.one_sentence,
    _blank_prompts,
    _duplicates,
    _near_duplicates,
    lint_answers.answer_in_prompt,
    lint_answers.length,
    lint_answers.labels,
    wording.one_word,
    _long_rows,
    _templates,
    _few_clusters,
    _derived_instructions,
)
