"""The records of every verb, read and compared. No plotting, no rendering."""

from trimtab.results.comparison import compare as compare
from trimtab.results.report import DECISIONS as DECISIONS
from trimtab.results.report import Report as Report
