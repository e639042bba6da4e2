"""Check by trying that a module is a decoder language model; the error says in one sentence why not."""

from typing import Any

import torch
from torch import Tensor, nn

from trimtab.errors import InputError
from trimtab.models.blocks import embedding_table, input_device
from trimtab.models.eager import eagerly
from trimtab.models.versions import plain_parts

ADVICE = "trimtab steers decoder language models, as AutoModelForCausalLM loads them"


def check_is_decoder(hf: Any) -> None:
    """Check by its class and configuration that a model is a decoder.

    Raises:
        InputError: an encoder-decoder, or a model without a head that gives logits for every token.
    """
    kind = type(hf).__name__
    config = getattr(hf, "config", None)
    if getattr(config, "is_encoder_decoder", False):
        raise InputError(f"{kind} is an encoder-decoder: it writes from what an encoder has read; {ADVICE}")
    generates = getattr(hf, "can_generate", None)
    if config is None or not callable(generates) or not hasattr(hf, "get_input_embeddings"):
        raise InputError(f"{kind} is not a transformers model and holds none that generates; {ADVICE}")
    if not generates():
        raise InputError(f"{kind} cannot generate: it has no head that predicts the next token; {ADVICE}")


def probe_ids(hf: Any) -> Tensor:
    """`[1, 6]` token ids for tiny passes; none is the padding token, which some models ignore."""
    vocabulary = embedding_table(hf).shape[0]
    pad = getattr(hf.config.get_text_config(), "pad_token_id", None)
    ids = [i for i in range(3, 10) if i % vocabulary != pad][:6]
    probe: Tensor = torch.tensor([ids], device=input_device(hf)) % vocabulary
    return probe


def check_logits(hf: Any, output: Any) -> None:
    """Check that a tiny pass gave logits for every token.

    Raises:
        InputError: it is not.
    """
    logits = getattr(output, "logits", None)
    if not isinstance(logits, Tensor) or logits.ndim != 3:
        output_kind = f"logits {list(logits.shape)}" if isinstance(logits, Tensor) else "no logits"
        raise InputError(
            f"{type(hf).__name__} gives {output_kind} where a language model gives [rows, tokens, vocabulary]; {ADVICE}"
        )


def check_causal(hf: Any, ids: Tensor, logits: Tensor) -> None:
    """Check that no logit depends on a later token, by changing the last two tokens.

    Args:
        hf: the model.
        ids: `[1, T]` tokens.
        logits: `[1, T, V]` what they gave.

    Raises:
        InputError: it does.
    """
    other = torch.cat([ids[:, :-2], ids[:, :2]], dim=1)
    changed = logits_of(hf, other)
    difference = (changed.float() - logits.float()).abs().amax(dim=-1)[0]  # (T,)
    before, after = difference[:-2].max(), difference[-2:].max()
    # rounding by the whole row, as dynamic quantisation does, lets a little of later tokens through
    tolerance = 0.2 if _quantised(hf) else 1e-4 if logits.dtype in (torch.float32, torch.float64) else 5e-3
    if bool(before > tolerance * after):
        raise InputError(
            f"{type(hf).__name__} looks ahead: what it predicts for a token depends on later tokens, as in encoders "
            f"such as BERT; {ADVICE}"
        )


def _quantised(hf: nn.Module) -> bool:
    """Whether weights are kept as whole numbers of a byte or less."""
    small = (torch.int8, torch.uint8, torch.qint8, torch.quint8)
    for entry in hf.state_dict().values():
        parts = plain_parts(entry) if isinstance(entry, Tensor) and not entry.is_meta else ()
        packed = not isinstance(entry, (Tensor, dict))
        if packed or any(part.ndim > 1 and part.dtype in small for _, part in parts):
            return True
    return False


def logits_of(hf: nn.Module, ids: Tensor, **more: Tensor) -> Tensor:
    """`[1, T, V]` what a tiny pass without a cache gives."""
    with torch.no_grad(), eagerly():
        logits: Tensor = hf(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False, **more).logits
    return logits
