"""Conditional activation steering: a principal component that acts only on prompts that meet a condition."""

from dataclasses import dataclass
from typing import ClassVar

from trimtab.steering.methods.pca import PCA


@dataclass(frozen=True)
class ConditionalActivationSteering(PCA):
    """The vectors of `pca` with a condition on the prompt, which is required.

    Any other method can have a condition too; this is the paper's combination.
    """

    name: ClassVar[str] = "cast"
    source: ClassVar[str] = (
        "CAST, Lee et al. 2409.05907. Assumed: the vector as in `pca`; the condition is the cosine of the prompt's "
        "mean activation with the mean difference of prompts of both kinds, site and threshold by balanced accuracy."
    )
    needs_condition: ClassVar[bool] = True
