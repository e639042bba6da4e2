"""Our passes run eagerly, also where a model was compiled."""

import sys
from contextlib import AbstractContextManager, nullcontext

import torch


def eagerly() -> AbstractContextManager[object]:
    """In here whatever was compiled by `torch.compile` runs as it was written, and nothing is compiled.

    A compiled graph holds the hooks that were there when it was traced: later ones would not run, and every new
    strength or batch would be traced and kept anew.
    """
    if "torch._dynamo" not in sys.modules:  # then nothing is compiled, and importing it would take a second
        return nullcontext()
    stance: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return stance
