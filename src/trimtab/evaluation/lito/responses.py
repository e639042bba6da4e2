"""What a model responds to the units of a task at one intensity, with the response's hidden state and confidence."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trimtab.evaluation.tasks import Answered, Task, Treatment, Unit, answers
from trimtab.interventions import Site, prompt_prefixes
from trimtab.models import Encoded, Model, Steer, steer
from trimtab.models.capture import capture
from trimtab.models.conditions import decided
from trimtab.models.scoring import score
from trimtab.models.text import with_prefixes
from trimtab.texts import Rendered


@dataclass(frozen=True, eq=False)
class Responses:
    """One response for each of n units.

    Args:
        answered: what the model answered; a response is the likeliest answer of a unit, or the text that was written.
        hidden: `[n, d_model]` float32, the mean over the response's tokens of the last block's output, before the final
            norm and under the same steering; 0 for an empty response.
        confidence: `[n]` geometric mean of the response's token probabilities; 0 for an empty response.
    """

    answered: tuple[Answered, ...]
    hidden: Tensor
    confidence: NDArray[np.float64]


def responses(task: Task[Any], units: Sequence[Unit], model: Model, treatment: Treatment) -> Responses:
    """Ask a model, and read what it responded.

    Raises:
        InputError: as `trimtab.evaluation.tasks.answers`.
    """
    answered = answers(task, units, model, treatment)
    written = task.asks == "text"
    likeliest = [0 if written else int(np.argmax(a.total)) for a in answered]
    texts = [
        replace(unit.texts[0], answer=a.text or "") if written else unit.texts[k]
        for unit, a, k in zip(units, answered, likeliest, strict=True)
    ]
    rows, steers = _encoded(texts, model, treatment)
    spoken = [i for i, row in enumerate(rows) if len(row.ids) > row.prompt_len]  # not empty
    log_probs, hidden = np.full(len(rows), -np.inf), torch.zeros(len(rows), model.d_model)
    if spoken:
        some, site = [rows[i] for i in spoken], Site(model.n_blocks - 1)
        captured = capture(model, some, [site], "mean", *decided(model, some, [steers]))
        hidden[spoken] = captured.activations[site].cpu()
        if written:
            log_probs[spoken] = score(model, some, steers).mean.double().cpu().numpy()
        else:
            log_probs[spoken] = [answered[i].mean[likeliest[i]] for i in spoken]
    return Responses(tuple(answered), hidden, np.exp(log_probs))


def _encoded(texts: Sequence[Rendered], model: Model, treatment: Treatment) -> tuple[list[Encoded], tuple[Steer, ...]]:
    """Token rows and edits, as `answers` has them."""
    steering, encode = treatment.steering, model.encoder(treatment.chat_template).encode
    if steering is None:
        return encode(list(texts)), ()
    prefixes = prompt_prefixes(steering, treatment.strength)
    return encode(with_prefixes(texts, prefixes)), (steer(steering, treatment.strength, treatment.scope),)
