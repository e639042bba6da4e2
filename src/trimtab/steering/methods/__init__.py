"""One file per method; other packages add methods through the entry point `trimtab.methods`."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from trimtab.errors import InputError
from trimtab.nearest import meant
from trimtab.plugins import plugin, plugin_names
from trimtab.steering.methods.base import Learned as Learned
from trimtab.steering.methods.base import Materials as Materials
from trimtab.steering.methods.base import Method as Method
from trimtab.steering.methods.base import PromptedSides as PromptedSides
from trimtab.steering.methods.base import TokenGroup as TokenGroup
from trimtab.steering.methods.base import TriedText as TriedText
from trimtab.steering.methods.cast import ConditionalActivationSteering
from trimtab.steering.methods.directional import Angular, DirectionalAblation, ProjectionClamp
from trimtab.steering.methods.exclusive_gates import ExclusiveGates as ExclusiveGates
from trimtab.steering.methods.icv import InContextVector
from trimtab.steering.methods.iti import InferenceTimeIntervention
from trimtab.steering.methods.k_steering import KSteering
from trimtab.steering.methods.mat_steer import MATSteer as MATSteer
from trimtab.steering.methods.mean_difference import MeanDifference as MeanDifference
from trimtab.steering.methods.mean_difference import mean_difference as mean_difference
from trimtab.steering.methods.mixture import Mixture as Mixture
from trimtab.steering.methods.nl_iti import NonLinearInferenceTimeIntervention
from trimtab.steering.methods.pca import PCA
from trimtab.steering.methods.probe import LogisticProbe, ProbeGated
from trimtab.steering.methods.prompting import InContextExamples, Instruction, SearchedInstruction
from trimtab.steering.methods.prompting import PromptMaterial as PromptMaterial
from trimtab.steering.methods.prompting import PromptMethod as PromptMethod
from trimtab.steering.methods.sides import Data as Data
from trimtab.steering.methods.sides import Sides as Sides
from trimtab.steering.methods.sides import SidesMethod as SidesMethod
from trimtab.steering.methods.tokens import TokenMethod as TokenMethod

GROUP = "trimtab.methods"
MAX_VALUE = 2**31  # of a hyperparameter
BUILT_IN: dict[str, type[Method]] = {
    cls.name: cls
    for cls in (
        MeanDifference, PCA, LogisticProbe, ProbeGated, InContextVector, DirectionalAblation, ProjectionClamp, Angular,
        KSteering, InferenceTimeIntervention, NonLinearInferenceTimeIntervention, ConditionalActivationSteering,
        Mixture, Instruction, SearchedInstruction, InContextExamples, ExclusiveGates, MATSteer,
    )
}  # fmt: skip


def method_names() -> tuple[str, ...]:
    """The built-in methods, and those of installed packages."""
    return plugin_names(GROUP, BUILT_IN)


def method(name: str) -> type[Method]:
    """A method by its name.

    Raises:
        InputError: there is none, or what a package registers under this name is not a `Method`.
    """
    wanted = "a SidesMethod, TokenMethod or PromptMethod of trimtab.steering.methods"
    return plugin(GROUP, BUILT_IN, name, Method, "method", wanted=wanted, code="unknown-method")


def configured(name: str, options: Mapping[str, Any]) -> Method:
    """A method with its hyperparameters.

    Raises:
        InputError: no such method or hyperparameter, or a value of the wrong type or out of range.
    """
    cls = method(name)
    known = [f.name for f in fields(cls)]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise InputError(
            f"method {name} has no hyperparameter {unknown[0]!r}; {meant(unknown[0], known)}"
            f"it has {', '.join(known) or 'none'}",
            code="unknown-choice",
            field=f"options.{unknown[0]}",
        )
    for f in fields(cls):
        value = options.get(f.name, f.default)
        kinds = (int, float) if isinstance(f.default, float) else type(f.default)
        if isinstance(value, bool) is not isinstance(f.default, bool) or not isinstance(value, kinds):
            raise InputError(
                f"method {name}: {f.name} {value!r} must be {type(f.default).__name__}, as {f.default!r} is",
                code="wrong-type",
                field=f"options.{f.name}",
            )
        if isinstance(value, int | float) and not abs(value) <= MAX_VALUE:
            raise InputError(
                f"method {name}: {f.name} {value!r} must be a number of at most {MAX_VALUE:,}",
                code="out-of-range",
                field=f"options.{f.name}",
            )
    return cls(**options)
