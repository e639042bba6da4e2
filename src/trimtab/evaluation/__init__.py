"""Whether steering worked: generated text scored by a classifier, by a chat model, and by its fluency."""

from trimtab.evaluation.classifier import Classifier as Classifier
from trimtab.evaluation.classifier import Quality as Quality
from trimtab.evaluation.classifier import Shift as Shift
from trimtab.evaluation.fluency import Fluency as Fluency
from trimtab.evaluation.fluency import PairedChange as PairedChange
from trimtab.evaluation.fluency import distinct as distinct
from trimtab.evaluation.fluency import fluency as fluency
from trimtab.evaluation.fluency import longest_repetition as longest_repetition
from trimtab.evaluation.fluency import repeated as repeated
from trimtab.evaluation.fluency import words as words
from trimtab.evaluation.judge import Judge as Judge
from trimtab.evaluation.judge import Judgement as Judgement
