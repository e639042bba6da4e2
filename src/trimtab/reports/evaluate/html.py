"""The page of a comparison, as one HTML file that needs nothing else."""

from collections.abc import Mapping

from trimtab.languages import ENGLISH, Language
from trimtab.phrases import Phrase
from trimtab.reports.evaluate.curves import gain_against_damage
from trimtab.reports.evaluate.statements import contender, statements
from trimtab.reports.evaluate.tables import (
    BETTER,
    WORDS,
    chosen_lines,
    contrast_lines,
    lines,
    settings_text,
    side_effects,
)
from trimtab.reports.html import document
from trimtab.results.evaluation import Evaluation

Meanings = Mapping[tuple[str, str], tuple[str, str]]


def evaluation_page(found: Evaluation, meanings: Meanings, language: Language = ENGLISH) -> str:
    """The comparison as a self-contained HTML page.

    Args:
        found: what came out.
        meanings: by task and figure, the figure's meaning and which way is better.
        language: of all but names, commands and the texts of data sets.

    Returns:
        The whole document. It makes no request, works without a network, and follows the reader's colour scheme.
    """
    names, effects = side_effects(found, meanings)
    return document(
        "evaluation.html",
        {"curves": gain_against_damage(found)},
        language=language,
        found=found,
        protocol=found.protocol,
        fitted=[t for t in found.protocol.tasks if t.fitted],
        statements=statements(found),
        tables=[(budget, lines(found, budget)) for budget in found.protocol.damages],
        contrasts=contrast_lines(found),
        names=names,
        effects=effects,
        candidates=list(chosen_lines(found)),
        settings=settings_text,
        samples=_samples(found),
        contender=contender,
        better=BETTER,
        words=WORDS,
    )


def _samples(found: Evaluation) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """By task and prompt, what each contender wrote."""
    texts: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for name, samples in found.samples.items():
        for s in samples:
            texts.setdefault((s.task, s.prompt), []).append(
                (name, s.text.strip() or Phrase("(nothing but white space)"))
            )
    return [(task, prompt, written) for (task, prompt), written in texts.items()]
