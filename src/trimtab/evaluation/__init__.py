"""Whether steering worked: generated text scored by a classifier, by a chat model, and by its fluency."""

from trimtab.evaluation.classifier import Classifier as Classifier
from trimtab.evaluation.classifier import Quality as Quality
from trimtab.evaluation.classifier import Shift as Shift
from trimtab.evaluation.fluency import Fluency as Fluency
from trimtab.evaluation.fluency import PairedChange as PairedChange
from trimtab.evaluation.fluency import fluency as fluency
from trimtab.evaluation.fluency import longest_repetition as longest_repetition
from trimtab.evaluation.judge import Judge as Judge
from trimtab.evaluation.judge import Judgement as Judgement
from trimtab.evaluation.rating import Rater as Rater
from trimtab.ngrams import distinct as distinct
from trimtab.ngrams import repeated as repeated
from trimtab.ngrams import words as words
