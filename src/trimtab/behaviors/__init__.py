"""What to steer toward: examples, the seven prompt types, readers, splits, lint. Nothing here loads torch."""

from trimtab.behaviors.behavior import AnswerKind, Behavior, Example, Pairing, Side
from trimtab.behaviors.controls import by_length, shuffled
from trimtab.behaviors.duplicates import deduplicate, normalise
from trimtab.behaviors.findings import Finding
from trimtab.behaviors.lint import lint
from trimtab.behaviors.probe import Probe
from trimtab.behaviors.prompt_types import PromptType, not_measured, render, render_bare, shared_statement
from trimtab.behaviors.readers import builtin, builtin_names, load
from trimtab.behaviors.splits import Part, Splits, clusters, split

__all__ = [
    "AnswerKind",
    "Behavior",
    "Example",
    "Finding",
    "Pairing",
    "Part",
    "Probe",
    "PromptType",
    "Side",
    "Splits",
    "builtin",
    "builtin_names",
    "by_length",
    "clusters",
    "deduplicate",
    "lint",
    "load",
    "normalise",
    "not_measured",
    "render",
    "render_bare",
    "shared_statement",
    "shuffled",
    "split",
]
