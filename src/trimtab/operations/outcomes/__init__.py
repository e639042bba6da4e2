"""WHAT CAME OF IT: feedback and other values of requests, and their sums by unit and arm."""

from trimtab.operations.outcomes.contrasts import Exported as Exported
from trimtab.operations.outcomes.contrasts import export_contrasts as export_contrasts
from trimtab.operations.outcomes.counts import FeedbackCount as FeedbackCount
from trimtab.operations.outcomes.counts import feedback_counts as feedback_counts
from trimtab.operations.outcomes.log import OutcomeLog as OutcomeLog
from trimtab.operations.outcomes.log import Recorded as Recorded
from trimtab.operations.outcomes.outcome import Outcome as Outcome
from trimtab.operations.outcomes.reading import OutcomeReader as OutcomeReader
from trimtab.operations.outcomes.received import Received as Received
from trimtab.operations.outcomes.received import received as received
from trimtab.operations.outcomes.values import Position as Position
from trimtab.operations.outcomes.values import UnitSums as UnitSums
from trimtab.operations.outcomes.values import Values as Values
