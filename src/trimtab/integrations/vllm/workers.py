"""Arming the model of a worker, and with it the runner that runs it."""

from collections.abc import Callable, Collection
from functools import cache
from importlib import import_module
from typing import Any

from trimtab.errors import InputError
from trimtab.integrations.vllm.architectures import Architecture
from trimtab.integrations.vllm.passes import SteeredRequests
from trimtab.integrations.vllm.runners import steer_first_runner, steered_model_state
from trimtab.integrations.vllm.seam import arm as arm_model
from trimtab.integrations.vllm.setup import Setup
from trimtab.serving.registry import Registry
from trimtab.steering import Steering


def arm(model: Any, layout: Architecture, setup: Setup) -> None:
    """Put the seam into a model that vLLM has just built, and have its runner tell the seam of each pass.

    Args:
        model: of vLLM; says afterwards in `trimtab_armed` behind which sites the seam lies.
        layout: where it keeps its parts.
        setup: see `Setup`.

    Raises:
        InputError: see `seam.arm`.
    """
    model.trimtab_armed = arm_model(model, layout, setup.sites)
    model.trimtab_requests = requests = SteeredRequests(stored(setup, model.trimtab_armed))
    runner = import_module("vllm.v1.worker.gpu_model_runner").GPUModelRunner
    steer_first_runner(runner, lambda self: getattr(self.get_model(), "trimtab_requests", None))
    model.get_model_state_cls = lambda: steered_model_state(_usual_state(), requests)
    import_module("vllm.v1.worker.worker_base").WorkerBase.trimtab_armed = armed


def armed(worker: Any) -> tuple[str, list[str]]:
    """What a worker says when it is asked: the class of its model, and the sites behind which the seam lies."""
    model = worker.model_runner.get_model()
    return type(model).__qualname__, list(getattr(model, "trimtab_armed", []))


def stored(setup: Setup, sites: Collection[str]) -> Callable[[str], Steering]:
    """Steerings by their artifact's id, each read once when a request first asks for it.

    Args:
        setup: see `Setup`.
        sites: that lie in this worker; a steering's edits at others are left to the pipeline stages that have these.
    """
    registry = Registry(setup.folder)

    @cache
    def find(artifact: str) -> Steering:
        folder = registry.folder_of(artifact)
        if folder is None:
            raise InputError(f"there is no steering {artifact!r} in {setup.folder}", field="steering")
        steering = Steering.load(folder, allow_mismatch=True)  # whether that is allowed was decided before
        if steering.id != artifact:
            raise InputError(f"{folder} holds another steering by now", code="wrong-file", field="steering")
        return steering.changed(edits={site: edit for site, edit in steering.edits.items() if str(site) in sites})

    return find


def _usual_state() -> type[Any]:
    """What the second runner takes for the decoders that `ARCHITECTURES` names."""
    state: type[Any] = import_module("vllm.v1.worker.gpu.model_states.default").DefaultModelState
    return state
