"""vLLM's model classes with the seam: each is its original, made when vLLM asks this module for it by name.

vLLM imports classes lazily, as `module:name`, in the processes that run models alone.
"""

from functools import cache
from importlib import import_module
from typing import Any

from trimtab.integrations.vllm.architectures import ARCHITECTURES
from trimtab.integrations.vllm.setup import Setup


def __getattr__(name: str) -> Any:
    if name in ARCHITECTURES:
        return _with_seam(name)
    raise AttributeError(f"module {__name__} has no attribute {name}")


@cache
def _with_seam(name: str) -> type[Any]:
    layout = ARCHITECTURES[name]
    original: Any = getattr(import_module(f"vllm.model_executor.models.{layout.module}"), name)

    def __init__(self: Any, *, vllm_config: Any, prefix: str = "") -> None:  # noqa: N807
        original.__init__(self, vllm_config=vllm_config, prefix=prefix)
        setup = Setup.of(vllm_config.additional_config)
        if setup is not None:
            from trimtab.integrations.vllm import workers

            workers.arm(self, layout, setup)

    return type(name, (original,), {"__init__": __init__, "__module__": __name__, "__doc__": original.__doc__})
