"""Tasks by which papers say whether steering worked: rows of public data sets, one file a task, any model."""

from trimtab.evaluation.tasks.base import Answered as Answered
from trimtab.evaluation.tasks.base import Figure as Figure
from trimtab.evaluation.tasks.base import Task as Task
from trimtab.evaluation.tasks.base import Unit as Unit
from trimtab.evaluation.tasks.bbq import BBQ as BBQ
from trimtab.evaluation.tasks.bbq import BBQRow as BBQRow
from trimtab.evaluation.tasks.behavior import BehaviorTask as BehaviorTask
from trimtab.evaluation.tasks.gains import Gain as Gain
from trimtab.evaluation.tasks.gains import figure_of as figure_of
from trimtab.evaluation.tasks.gains import gain as gain
from trimtab.evaluation.tasks.labelled_texts import LabelledText as LabelledText
from trimtab.evaluation.tasks.preferences import Preferences as Preferences
from trimtab.evaluation.tasks.preferences import RatedPair as RatedPair
from trimtab.evaluation.tasks.registry import load_task as load_task
from trimtab.evaluation.tasks.registry import task_class as task_class
from trimtab.evaluation.tasks.registry import task_names as task_names
from trimtab.evaluation.tasks.registry import task_options as task_options
from trimtab.evaluation.tasks.running import Treatment as Treatment
from trimtab.evaluation.tasks.running import answers as answers
from trimtab.evaluation.tasks.running import run as run
from trimtab.evaluation.tasks.running import scores_of as scores_of
from trimtab.evaluation.tasks.scores import TaskScores as TaskScores
from trimtab.evaluation.tasks.scores import UnitScore as UnitScore
from trimtab.evaluation.tasks.toxicity import Toxicity as Toxicity
from trimtab.evaluation.tasks.truthfulqa import Question as Question
from trimtab.evaluation.tasks.truthfulqa import TruthfulQA as TruthfulQA
