"""Weights that are rounded to 8 or 4 bits while they are loaded, by bitsandbytes or torchao."""

from importlib.util import find_spec
from typing import Any, Final

from trimtab.errors import InputError

QUANTISATIONS: Final = ("bitsandbytes-8", "bitsandbytes-4", "torchao-8", "torchao-4")


def quantisation_config(name: str) -> Any:
    """What transformers is told, so that linear layers outside the head hold fewer bits.

    Args:
        name: library and bits: `bitsandbytes-8` (LLM.int8), `bitsandbytes-4` (NF4, in blocks of 64), `torchao-8` and
            `torchao-4` (integer weights, groups of 32 for 4 bits).

    Raises:
        InputError: there is none of it, or its library is not installed.
    """
    if name not in QUANTISATIONS:
        raise InputError(
            f"quantisation {name!r} is unknown; one of {', '.join(QUANTISATIONS)}",
            code="unknown-choice",
            field="quantisation",
        )
    library, _, bits = name.rpartition("-")
    if find_spec(library) is None:
        raise InputError(
            f"quantisation {name} needs {library}: pip install {library}", code="not-installed", field="quantisation"
        )
    if library == "bitsandbytes":
        from transformers import BitsAndBytesConfig

        whole, half = bits == "8", bits == "4"
        return BitsAndBytesConfig(whole, half, bnb_4bit_quant_type="nf4")  # type: ignore[no-untyped-call]
    import torch
    from torchao.quantization import Int8WeightOnlyConfig, IntxWeightOnlyConfig
    from torchao.quantization.granularity import PerGroup
    from transformers import TorchAoConfig

    in_8 = Int8WeightOnlyConfig()
    in_4 = IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(32))  # type: ignore[attr-defined]
    return TorchAoConfig(in_8 if bits == "8" else in_4)


def check_rounded(hf: Any, name: str) -> None:
    """Refuse a model of which nothing was rounded: the libraries leave layers out that are not quite `nn.Linear`.

    Args:
        hf: the model, loaded.
        name: of the quantisation.

    Raises:
        InputError: all of its weights are plain floating-point numbers.
    """
    from torch import Tensor

    if all(type(weight.data) is Tensor and weight.is_floating_point() for weight in hf.parameters()):
        raise InputError(
            f"quantisation {name} rounds none of the weights of a {type(hf).__name__}, whose linear layers are of a "
            f"kind of their own; give another of {', '.join(QUANTISATIONS)}, or none",
            code="unsupported",
            field="quantisation",
        )
