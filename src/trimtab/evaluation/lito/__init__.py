"""LITO: several answers at increasing strengths of one steering, and a network that chooses between them.

After Fatahi Bayat et al. 2024 (2405.00301). It works on answers that are there already, so it is no steering: what one
pass does to a token cannot depend on how an answer of another pass came out.
"""

from trimtab.evaluation.lito.lito import INTENSITIES as INTENSITIES
from trimtab.evaluation.lito.lito import Choice as Choice
from trimtab.evaluation.lito.lito import Lito as Lito
from trimtab.evaluation.lito.selector import Selector as Selector
from trimtab.evaluation.lito.selector import SelectorTraining as SelectorTraining
