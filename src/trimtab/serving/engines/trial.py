"""Whether a model comes out the same in packed passes as alone: tried, not looked up by name."""

from typing import Any

import torch
from torch import Tensor

from trimtab.interventions import Sampling
from trimtab.models import Encoded, Model, Plan, collate
from trimtab.models.blocks import embedding_table
from trimtab.serving.engines.batching import unsupported
from trimtab.serving.engines.logits import TokenChoice

STEPS, TOP = 3, 20


def check_packed_passes(model: Model, manager: Any, choices: dict[str, TokenChoice]) -> None:
    """Run two short texts together in a manager, which is stopped afterwards, and each of them alone.

    Some architectures leave out the mask that keeps the texts of a pass apart, or count positions by themselves, and
    write something else without any error.

    Args:
        model: the model.
        manager: new, and choosing by `choices`.
        choices: empty.

    Raises:
        InputError: the log-probabilities differ, or a pass fails.
    """
    vocabulary = embedding_table(model.hf).shape[0]
    ids = [(7 * i + 3) % vocabulary for i in range(12)]
    rows = {"short": ids[:4], "long": ids[3:]}
    try:
        written, failure = _written(manager, choices, rows)
    finally:
        manager.stop(block=True)
        asked = {name: choices.pop(name) for name in rows}
    if failure:
        raise unsupported(model, failure)
    differences = torch.cat([_differences(model, rows[name], written[name], asked[name]) for name in rows])
    exact = model.dtype in (torch.float32, torch.float64)
    found = float(differences.max() if exact else differences.mean())  # single ones are noisy in low precision
    if not found <= (1e-2 if exact else 0.15):  # also where it is NaN
        raise unsupported(model, f"log-probabilities differ by {found:.2g} nats from those of a text alone")


def _written(
    manager: Any, choices: dict[str, TokenChoice], rows: dict[str, list[int]]
) -> tuple[dict[str, list[int]], str]:
    """What the manager continues the rows with, and what went wrong."""
    for name, ids in rows.items():
        choices[name] = TokenChoice(Sampling(STEPS, temperature=0, top_logprobs=TOP), len(ids))
        manager.add_request(ids, name, STEPS, eos_token_id=-1)  # before the start, so that they share a pass
    manager.start()
    written: dict[str, list[int]] = {}
    while len(written) < len(rows):
        result = manager.get_result(timeout=0.1)
        if result is None and not manager.is_running():
            return written, "its passes failed"
        if result is not None and result.error is not None:
            return written, result.error
        if result is not None:
            written[result.request_id] = result.generated_tokens
    return written, ""


def _differences(model: Model, prompt: list[int], written: list[int], choice: TokenChoice) -> Tensor:
    """How far log-probabilities differ, in nats, for the likeliest tokens of every step."""
    row = Encoded((*prompt, *written), len(prompt))
    trace = model.forward(collate([row], model.pad, model.device), Plan(logits="all"))
    assert trace.logits is not None
    alone = trace.logits[0].log_softmax(dim=-1).cpu()  # [T, V]
    differences = []
    for i in range(len(written)):
        top = choice.next_chosen().top
        differences.append(alone[len(prompt) - 1 + i, list(top)] - torch.tensor(list(top.values())))
    return torch.cat(differences).abs()
