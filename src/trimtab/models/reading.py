"""Weights and tokenizer from a folder or the Hub, as the class that generates; whole, or refused."""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from weakref import finalize

import torch
from safetensors import SafetensorError

from trimtab.errors import InputError
from trimtab.models.folders import adapter_advice
from trimtab.models.sources import check_all_sourced, explanation, loading_log
from trimtab.nearest import meant

EMBEDDED = "smollm2"
DISK: Final = "disk"  # in a device map
EXPECTED = (
    f"Give {EMBEDDED!r}, a Hugging Face id such as org/name, a folder with config.json and safetensors weights, or a "
    ".gguf file. Pickled weights and remote code are refused."
)
_FAILURES = (
    OSError, ValueError, KeyError, RuntimeError, ImportError, TypeError, AttributeError, IndexError, SafetensorError,
)  # fmt: skip
_OTHER_HEADS = re.compile(
    r"For(Sequence|Token)Classification|ForQuestionAnswering|ForMultipleChoice|ForMaskedLM|RewardModel"
)


def read(
    where: str, name: str, revision: str | None, dtype: torch.dtype, device_map: Any, quantisation: Any = None
) -> tuple[Any, Any]:
    """A transformers model and its tokenizer.

    Weights that go to disk are read from the model's own files; those that transformers changes on the way, such as
    experts, from a temporary folder that lives as long as the model.

    Args:
        where: folder or Hugging Face id.
        name: in messages.
        revision: on the Hub.
        dtype: of the weights.
        device_map: handed to accelerate.
        quantisation: handed to transformers; None leaves the weights, or what the folder says of them.

    Raises:
        InputError: it cannot be read, is not a decoder language model, or not all its parameters have a source.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    more = {} if quantisation is None else {"quantization_config": quantisation}
    with ExitStack() as kept:
        if isinstance(device_map, str) or DISK in (device_map or {}).values():
            more["offload_folder"] = kept.enter_context(TemporaryDirectory(prefix="trimtab-"))
        hf, tokenizer = _read(where, name, {"revision": revision, "dtype": dtype, "device_map": device_map, **more})
        finalize(hf, kept.pop_all().close)
    return hf, tokenizer


def _read(where: str, name: str, options: Mapping[str, Any]) -> tuple[Any, Any]:
    from transformers import AutoConfig, AutoTokenizer

    revision = options["revision"]
    with _without_retry_chatter(), loading_log() as lines:
        try:
            config = AutoConfig.from_pretrained(where, revision=revision, trust_remote_code=False)
            loaded: Any = _loader(config, name).from_pretrained(
                where,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # checked below, where the message names them
                **options,
            )
            tokenizer = AutoTokenizer.from_pretrained(where, revision=revision, trust_remote_code=False)
        except InputError:
            raise
        except _FAILURES as error:
            raise InputError(
                f"model {name!r} cannot be loaded: {_no_such_folder(where)}{explanation(error, lines)}\n"
                f"{meant(name, (EMBEDDED,)).capitalize()}{EXPECTED}"
            ) from error
    hf, report = loaded
    if getattr(hf, "_hf_peft_config_loaded", False):
        base = next(iter(hf.peft_config.values())).base_model_name_or_path
        raise InputError(f"model {name} {adapter_advice(base, name)}", code="wrong-file", field="adapter")
    check_all_sourced(hf, report, f"model {name!r}")
    return hf, tokenizer


def _loader(config: Any, name: str) -> Any:
    """The class that loads it: for causal language modelling, else for texts with images or sounds.

    Raises:
        InputError: neither exists for it.
    """
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoModelForMultimodalLM

    architecture = next(iter(getattr(config, "architectures", None) or ()), "")
    if _OTHER_HEADS.search(architecture):
        raise InputError(f"model {name!r} was saved as {architecture}, which has no head that predicts the next token")
    if getattr(config, "is_encoder_decoder", False):
        raise InputError(
            f"model {name!r} is an encoder-decoder ({architecture or type(config).__name__}); trimtab steers decoder "
            "language models, as AutoModelForCausalLM loads them"
        )
    for loader in (AutoModelForCausalLM, AutoModelForImageTextToText, AutoModelForMultimodalLM):
        if type(config) in loader._model_mapping:
            return loader
    raise InputError(
        f"model {name!r} is not a language model that transformers can generate with "
        f"({architecture or type(config).__name__})"
    )


def _no_such_folder(where: str) -> str:
    """A path whose folder is not there is taken for an id; its message would speak of the network."""
    missing = "/" in where and Path(where).parent.is_dir() and not Path(where).exists()
    return f"there is no folder {where} here, and on the Hub: " if missing else ""


@contextmanager
def _without_retry_chatter() -> Iterator[None]:
    """Without a network the Hub's client warns of every retry; one message at the end says it all."""
    from huggingface_hub.utils import logging  # its import sets a level of its own

    before = logging.get_verbosity()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(before)
