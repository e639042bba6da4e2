"""Checks in a grid, without verdicts: behaviors × prompt types × sites × models, and what they show together."""

from trimtab.workflows.study.parts import Grid as Grid
from trimtab.workflows.study.parts import families_of as families_of
from trimtab.workflows.study.study import study as study
