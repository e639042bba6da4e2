"""Find the language model inside a wrapper, such as PEFT's or a compiled one.

PEFT's models, compiled ones, DDP and DataParallel, value heads: all are modules that hold the one that generates, and
call it. Hooks belong on that one, so that they act whichever of the two is called.
"""

from typing import Any

import torch
from torch import Tensor, nn

from trimtab.errors import InputError
from trimtab.models.blocks import embedding_table
from trimtab.models.eager import eagerly

_HALF = (torch.float16, torch.bfloat16)


def unwrap(wrapper: Any) -> Any:
    """The module that generates: the given one, or the only one within it.

    A wrapper is taken off only where it gives the same logits as what it wraps: one that adds to its input (prompt
    tuning) or to its output would be left out silently.

    Raises:
        InputError: no module, several that generate, or a wrapper that does more than call what it wraps.
    """
    if not isinstance(wrapper, nn.Module):
        raise InputError(_no_module(wrapper))
    wrapper.eval()
    inner = wrapper if _generates(wrapper) else _within(wrapper)
    if inner is not wrapper:
        _ensure_same(wrapper, inner)
    _check_adapters(inner)
    return inner


def _no_module(wrapper: Any) -> str:
    kind = type(wrapper).__name__
    if isinstance(wrapper, str) or hasattr(wrapper, "__fspath__"):
        return f"Model wraps a model that is in memory; to load {str(wrapper)!r} call trimtab.load({str(wrapper)!r})"
    if isinstance(getattr(wrapper, "hf", None), nn.Module):
        return f"{kind} is a trimtab model already; use it as it is"
    if isinstance(getattr(wrapper, "model", None), nn.Module):
        return f"{kind} is not a torch module; give the model that it holds: Model(it.model, it.tokenizer)"
    return f"{kind} is not a torch module; give a transformers model for causal language modelling"


def _generates(module: nn.Module) -> bool:
    from transformers import PreTrainedModel

    return isinstance(module, PreTrainedModel) and bool(module.can_generate())


def _within(wrapper: nn.Module) -> nn.Module:
    """The only outermost module within that generates; the module itself where there is none."""
    models: dict[str, nn.Module] = {}
    for name, module in wrapper.named_modules():
        if _generates(module) and not any(name.startswith(f"{outer}.") for outer in models):
            models[name] = module
    if len(models) > 1:
        raise InputError(
            f"{type(wrapper).__name__} holds {len(models)} models that generate ({', '.join(sorted(models)[:8])}); "
            "give the one that is meant"
        )
    return next(iter(models.values()), wrapper)


def _ensure_same(wrapper: nn.Module, inner: nn.Module) -> None:
    outer, kind = type(wrapper).__name__, type(inner).__name__
    advice = f"give the {kind} itself, if that is what you mean"
    ids = torch.arange(11, 17, device=next(inner.parameters()).device)[None]
    ids = ids % embedding_table(inner).shape[0]
    with torch.no_grad(), eagerly():
        plain = _logits(inner(input_ids=ids, attention_mask=torch.ones_like(ids)))
        try:
            through = _logits(wrapper(input_ids=ids, attention_mask=torch.ones_like(ids)))
        except (TypeError, ValueError, RuntimeError, AttributeError, KeyError, IndexError, AssertionError) as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(
                f"{outer} wraps a {kind}, but cannot be called like it ({first}), so it is not known whether it "
                f"does the same; {advice}"
            ) from error
    if plain is None or through is None or not _close(plain, through):
        raise InputError(
            f"{outer} does more than call the {kind} that it wraps: its logits differ (prompt tuning and the "
            f"like are not supported); {advice}"
        )


def _logits(output: Any) -> Tensor | None:
    logits = getattr(output, "logits", None)
    if logits is None and isinstance(output, (tuple, list)) and output:
        logits = output[0]
    return logits if isinstance(logits, Tensor) else None


def _close(plain: Tensor, through: Tensor) -> bool:
    if plain.shape != through.shape:
        return False
    tolerance = 0.02 if plain.dtype in _HALF or through.dtype in _HALF else 1e-4
    difference = (plain.float() - through.float().to(plain.device)).abs().max()
    return bool(difference <= tolerance * plain.float().abs().max())


def _check_adapters(hf: nn.Module) -> None:
    """Check that no adapter looks for words in the input, which only the wrapper does."""
    configs = getattr(hf, "peft_config", None)
    for name, config in configs.items() if isinstance(configs, dict) else ():
        if getattr(config, "alora_invocation_tokens", None):
            raise InputError(
                f"the adapter {name!r} acts only after its invocation tokens (activated LoRA), which trimtab does not "
                "support; merge it or leave it out"
            )
