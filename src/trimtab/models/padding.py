"""Whether a model writes the same with padding as without: tried once, when a batch first needs padding."""

import logging
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trimtab.models.blocks import embedding_table
from trimtab.models.forward import replaced
from trimtab.models.generate import plain_settings
from trimtab.models.text import Encoded, collate

if TYPE_CHECKING:
    from trimtab.models.model import Model

LOG = logging.getLogger("trimtab")
STEPS = 2


def tolerates_padding(model: "Model") -> bool:
    """Whether a short text padded to a long one is continued as it is alone; warns once if it is not.

    Two tokens are written, so that the step behind the cache is tried too.
    """
    vocabulary = embedding_table(model.hf).shape[0]
    ids = [(7 * i + 3) % vocabulary for i in range(12)]
    short, long = Encoded(tuple(ids[:4]), 4), Encoded(tuple(ids[3:]), 9)
    try:
        alone, beside = _scores(model, [short]), _scores(model, [short, long])
    except (ValueError, RuntimeError, TypeError, AttributeError, IndexError, KeyError):
        return True  # it cannot generate at all, and the texts themselves will say why
    tolerance = 1e-3 if model.dtype in (torch.float32, torch.float64) else 0.1
    same = True
    for one, two in zip(alone, beside, strict=False):
        same = same and bool((one - two).norm() <= tolerance * one.norm())
        if int(one.argmax()) != int(two.argmax()):  # what follows is another text
            break
    if not same:
        LOG.warning(
            "%s writes different text when a prompt is padded, so prompts of unequal length are generated separately",
            type(model.hf).__name__,
        )
    return same


def _scores(model: "Model", rows: list[Encoded]) -> list[Tensor]:
    """Of the first row, `[V]` at each step."""
    batch = collate(rows, 0, model.device, side="left")
    plain = replaced(model.hf, plain_settings(model.hf.generation_config), "generation_config")
    with torch.no_grad(), model.gate.open(), model.positions.in_generation(model.hf), plain:
        out = model.hf.generate(
            input_ids=batch.ids, attention_mask=batch.real.long(), max_new_tokens=STEPS, min_new_tokens=STEPS,
            do_sample=False, num_beams=1, pad_token_id=0, output_logits=True, return_dict_in_generate=True,
        )  # fmt: skip
    return [step[0].float() for step in out.logits]
