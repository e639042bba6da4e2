"""LOOK: result records, and how they are shown on the terminal, as a page, and on disk. Reads records only."""

from trimtab.reports.record import DECISIONS as DECISIONS
from trimtab.reports.record import Report as Report
