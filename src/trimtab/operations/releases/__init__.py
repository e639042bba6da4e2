"""WHO GETS WHAT: a steering against a control, by stages, and back in one step."""

from trimtab.operations.releases.adapting import Adapt as Adapt
from trimtab.operations.releases.adapting import Epoch as Epoch
from trimtab.operations.releases.adapting import adapting as adapting
from trimtab.operations.releases.arms import arm_of as arm_of
from trimtab.operations.releases.arms import factorial_arms as factorial_arms
from trimtab.operations.releases.arms import named_arms as named_arms
from trimtab.operations.releases.emergency import OffSwitch as OffSwitch
from trimtab.operations.releases.metric_changes import MetricChanges as MetricChanges
from trimtab.operations.releases.metric_changes import import_metrics as import_metrics
from trimtab.operations.releases.plan import Guardrail as Guardrail
from trimtab.operations.releases.plan import Plan as Plan
from trimtab.operations.releases.plan import planned as planned
from trimtab.operations.releases.release import Arm as Arm
from trimtab.operations.releases.release import Definition as Definition
from trimtab.operations.releases.release import Evidence as Evidence
from trimtab.operations.releases.release import Release as Release
from trimtab.operations.releases.releases import Releases as Releases
from trimtab.operations.releases.steps import Step as Step
from trimtab.operations.releases.transitions import ConflictError as ConflictError
from trimtab.operations.releases.view import Assignment as Assignment
from trimtab.operations.releases.view import ReleaseView as ReleaseView
from trimtab.operations.releases.wishes import Wish as Wish
from trimtab.operations.releases.wishes import wished as wished
