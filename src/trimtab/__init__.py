"""trimtab steers language models by small edits to their activations, and says beforehand whether the edit will hold.

The public names are loaded on first use, so that `import trimtab` and the help page need no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from trimtab.version import __version__ as __version__

if TYPE_CHECKING:
    from trimtab.behaviors import Behavior as Behavior
    from trimtab.behaviors import Example as Example
    from trimtab.behaviors import lint as lint
    from trimtab.errors import InputError as InputError
    from trimtab.errors import TrimtabError as TrimtabError
    from trimtab.integrations import convert as convert
    from trimtab.interventions import Condition as Condition
    from trimtab.interventions import Site as Site
    from trimtab.models import Model as Model
    from trimtab.models import load as load
    from trimtab.results import Report as Report
    from trimtab.results import compare as compare
    from trimtab.steering import Steering as Steering
    from trimtab.workflows import advise as advise
    from trimtab.workflows import check as check
    from trimtab.workflows import draft as draft
    from trimtab.workflows import evaluate as evaluate
    from trimtab.workflows import fit as fit
    from trimtab.workflows import generate as generate
    from trimtab.workflows import predict as predict
    from trimtab.workflows import study as study
    from trimtab.workflows import tune as tune
    from trimtab.workflows import vector as vector

_HOME = {
    "Behavior": "behaviors",
    "Condition": "interventions",
    "Example": "behaviors",
    "InputError": "errors",
    "Model": "models",
    "Report": "results",
    "Site": "interventions",
    "Steering": "steering",
    "TrimtabError": "errors",
    "advise": "workflows",
    "check": "workflows",
    "compare": "results",
    "convert": "integrations",
    "draft": "workflows",
    "evaluate": "workflows",
    "fit": "workflows",
    "generate": "workflows",
    "lint": "behaviors",
    "load": "models",
    "predict": "workflows",
    "study": "workflows",
    "tune": "workflows",
    "vector": "workflows",
}

__all__ = [
    *_HOME,
    "__version__",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'trimtab' has no attribute {name!r}")
    return getattr(import_module(f"trimtab.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
