"""What vLLM finds by entry point: called in each of its processes, perhaps more than once.

`register` is for every process (`vllm.general_plugins`), `Endpoint` for the one that answers over HTTP
(`vllm.endpoint_plugins`, of which vLLM loads only those that `VLLM_PLUGINS` names).
"""

import os
from importlib import import_module
from typing import Any

from trimtab.errors import InputError, TrimtabError
from trimtab.integrations.vllm.answers import SteeredAnswers
from trimtab.integrations.vllm.architectures import ARCHITECTURES
from trimtab.integrations.vllm.config import offer_of, steer_configs
from trimtab.integrations.vllm.offer import Offer
from trimtab.integrations.vllm.requests import steer_inputs
from trimtab.integrations.vllm.setup import NAME, Setup

_OFFER = "trimtab_offer"


def register() -> None:
    """Give vLLM model classes with the seam, and have it read what requests and configurations say of steering."""
    registry = import_module("vllm.model_executor.models.registry").ModelRegistry
    for name in ARCHITECTURES:
        registry.register_model(name, f"trimtab.integrations.vllm.models:{name}")
    arguments = import_module("vllm.engine.arg_utils")

    def checked(given: Any) -> None:
        if isinstance(given, arguments.AsyncEngineArgs):
            check_named(os.environ.get("VLLM_PLUGINS"))

    steer_configs(arguments.EngineArgs, checked)
    inputs = import_module("vllm.v1.engine.input_processor").InputProcessor
    steer_inputs(inputs, offer_at, import_module("vllm.exceptions").VLLMValidationError)


def check_named(plugins: str | None) -> None:
    """Check that vLLM's server also loads what reads the field `steering` of a body, which it would leave out else.

    Args:
        plugins: the value of `VLLM_PLUGINS`.

    Raises:
        InputError: it does not.
    """
    if plugins is None or NAME not in plugins.split(","):
        raise InputError(
            f"steerings are served over HTTP by a plug-in that vLLM loads only where it is named: set the environment "
            f"variable VLLM_PLUGINS to {NAME}",
            code="missing-value",
            field="VLLM_PLUGINS",
        )


def offer_at(processor: Any) -> Offer | None:
    """The offer of one of vLLM's input processors, made when it is first asked for; None if it has no steerings."""
    held = vars(processor)
    if _OFFER not in held:
        config = processor.vllm_config
        held[_OFFER] = None if Setup.of(config.additional_config) is None else offer_of(config)
    found: Offer | None = held[_OFFER]
    return found


class Endpoint:
    """What vLLM's HTTP server asks of a plug-in (`vllm.plugins.endpoint_plugins.interface.EndpointPlugin`)."""

    name = NAME
    required_tasks = ("generate",)

    def __init__(self) -> None:
        self._answers: SteeredAnswers | None = None

    def attach_router(self, app: Any) -> None:
        """Read requests on their way in, behind vLLM's check of keys, and write into answers on their way out."""

        def around(inner: Any) -> SteeredAnswers:
            self._answers = SteeredAnswers(inner)
            self._answers.serve(app.state)
            return self._answers

        app.add_middleware(around)

    async def init_state(self, engine_client: Any, state: Any, args: Any) -> None:
        """Make the offer, and ask every worker whether its model carries the seam.

        Raises:
            TrimtabError: one does not.
        """
        offer = offer_at(engine_client.input_processor)
        state.trimtab = None
        if offer is None:
            return
        workers = await engine_client.collective_rpc("trimtab_armed")
        state.trimtab = offer, seam_of(offer, workers)


def seam_of(offer: Offer, workers: list[tuple[str, list[str]]]) -> dict[str, Any]:
    """What the list of models says of the seam.

    Args:
        offer: of the server.
        workers: what each worker said: the class of its model, and its sites.

    Raises:
        TrimtabError: a site lies in no worker.
    """
    armed = {site for _, sites in workers for site in sites}
    missing = [str(site) for site in offer.sites if str(site) not in armed]
    if missing or not workers:
        raise TrimtabError(
            f"the seam is in none of vLLM's workers at site {', '.join(missing)}; is trimtab of the same version "
            "installed where they run?"
        )
    return {"model_class": workers[0][0], "sites": sorted(armed), "workers": len(workers)}
