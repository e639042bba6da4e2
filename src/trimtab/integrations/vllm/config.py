"""vLLM's configuration with the plug-in: what it adds, and what it refuses to run beside."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from trimtab.errors import InputError
from trimtab.integrations.vllm.architectures import architecture_of
from trimtab.integrations.vllm.offer import Offer, ServedModel
from trimtab.integrations.vllm.seam import OPERATION
from trimtab.integrations.vllm.setup import Setup

_MARK: Final = "trimtab_original"


def steer_configs(arguments: type[Any], checked: Callable[[Any], None]) -> None:
    """Have vLLM's engine arguments make armed configurations; once only.

    Args:
        arguments: the class, whose `create_engine_config` makes them.
        checked: is called with the arguments of an armed configuration, and raises where they will not do.
    """
    if hasattr(arguments, _MARK):
        return
    original = arguments.create_engine_config

    def create_engine_config(self: Any, *args: Any, **kwargs: Any) -> Any:
        config = original(self, *args, **kwargs)
        if Setup.of(config.additional_config) is not None:
            checked(self)
            arm(config)
        return config

    setattr(arguments, _MARK, original)
    arguments.create_engine_config = create_engine_config


def arm(config: Any) -> None:
    """Add to a configuration what the workers need to know, and have compiled graphs split at the seam.

    CUDA graphs are captured between these places alone: what the seam does is decided anew in every pass.

    Args:
        config: vLLM's, whose `additional_config` says how the plug-in is set up.

    Raises:
        InputError: a model that cannot be steered, a folder without steerings, something that does not go together.
    """
    setup = Setup.of(config.additional_config)
    assert setup is not None
    _check(config)
    offer = offer_of(config)
    armed = replace(setup, folder=setup.folder.resolve(), sites=tuple(map(str, offer.sites)))
    config.additional_config = {**config.additional_config, **armed.config()}
    compilation = config.compilation_config
    splits = compilation.splitting_ops
    if splits is not None and OPERATION not in splits:
        compilation.splitting_ops = [*splits, OPERATION]
    mode = compilation.cudagraph_mode
    if mode is not None and mode.has_full_cudagraphs():
        compilation.cudagraph_mode = type(mode).PIECEWISE if splits else type(mode).NONE


def offer_of(config: Any) -> Offer:
    """The steerings that a configuration offers.

    Raises:
        InputError: as for `arm`.
    """
    setup = Setup.of(config.additional_config)
    assert setup is not None
    model, text = config.model_config, config.model_config.hf_text_config
    name, layout = architecture_of(list(model.architectures))
    served = ServedModel(
        id=model.model,
        architecture=name,
        layout=layout,
        d_model=model.get_hidden_size(),
        n_blocks=text.num_hidden_layers,
        max_length=model.max_model_len,
        max_running=config.scheduler_config.max_num_seqs,
        dtype=str(model.dtype).removeprefix("torch."),
    )
    return Offer(setup, served)


def _check(config: Any) -> None:
    parallel = config.parallel_config
    found = {
        "speculative decoding": config.speculative_config is not None,
        "prefill context parallelism": parallel.prefill_context_parallel_size > 1,
        "batches run in two halves (enable_dbo, ubatch_size)": bool(parallel.use_ubatching),
        "kv_sharing_fast_prefill": bool(config.cache_config.kv_sharing_fast_prefill),
    }
    model = config.model_config
    if str(getattr(model.model_impl, "value", model.model_impl)) not in ("auto", "vllm") or model.model_class_overrides:
        raise InputError(
            "steerings need vLLM's own model class, which carries the seam; leave model_impl and model_class_overrides "
            "as they are by default",
            code="conflicting-arguments",
            field="additional_config",
        )
    beside = [what for what, there in found.items() if there]
    if beside:
        raise InputError(
            f"steerings cannot be served beside {' and '.join(beside)}, by which the tokens of a pass are not those "
            "that vLLM scheduled; switch it off, or serve without steerings",
            code="conflicting-arguments",
            field="additional_config",
        )
