"""Methods against each other, and against what a merely broken model reaches, by a protocol fixed beforehand."""

from trimtab.workflows.evaluate.evaluate import evaluate as evaluate
from trimtab.workflows.evaluate.specs import MethodSpec as MethodSpec
from trimtab.workflows.evaluate.specs import TaskSpec as TaskSpec
