"""What gates do to dev examples, token by token: the paper's gate analysis on texts that one can read."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from trimtab.behaviors import Example
from trimtab.experiment.experiment import Experiment
from trimtab.interventions import Site
from trimtab.models import Encoded, Model, Plan, collate
from trimtab.models.decoding import pieces
from trimtab.results.fit import ShadedText, Side, Training
from trimtab.steering import Steering
from trimtab.steering.edits import ClassifierGradient, Gated, StoredEdit
from trimtab.steering.mat_steer.diagnostics import TOUCHED, edit_size_ratio
from trimtab.workflows.generate.generate import gates_of

EXAMPLES = 3  # of each attribute and side
TOKENS = 80  # of a text
PROMPT_TOKENS = 16  # tokens of the prompt that stay where the text is longer
_DIGITS = 4


def with_texts(training: Training, experiments: Mapping[str, Experiment], steering: Steering) -> Training:
    """The training with dev examples shaded, if the steering's edits look at tokens; MAT-Steer (2502.12446), section 5.

    Args:
        training: what the making of the steering has seen.
        experiments: of the behaviors, by attribute.
        steering: with its default strengths; read at its lowest site that looks at tokens.
    """
    looking = {site: e for site, e in sorted(steering.edits.items()) if isinstance(e, Gated | ClassifierGradient)}
    if not looking:
        return training
    site, edit = next(iter(looking.items()))
    texts = []
    for name, s in experiments.items():
        for side, rows in _sides(s, s.splits.dev.examples[:EXAMPLES]):
            shown = (_shaded(s.model, row, site, edit, steering.attributes) for row in rows)
            texts += [ShadedText(attribute=name, side=side, **figures) for figures in shown]
    update: dict[str, Any] = {"texts": tuple(texts), "texts_site": str(site), "touched": touched_by(steering)}
    return training.model_copy(update={**update, "shade": "gate" if isinstance(edit, Gated) else "probability"})


def touched_by(steering: Steering) -> float:
    """Relative edit above which a token counts as touched."""
    return float(steering.origin.hyperparameters.get("touched", TOUCHED))


def _sides(on: Experiment, examples: Sequence[Example]) -> list[tuple[Side, list[Encoded]]]:
    """Token rows of the examples with either answer."""
    positive, negative = on.instrument.bare(examples)
    return [("positive", positive), ("negative", negative)]


def _shaded(model: Model, row: Encoded, site: Site, edit: StoredEdit, strengths: Mapping[str, float]) -> dict[str, Any]:
    """A row's window of tokens, with what each attribute sees there and does alone at its default strength."""
    n = len(row.ids)
    start = max(0, min(row.prompt_len - PROMPT_TOKENS, n - TOKENS))
    end = min(n, start + TOKENS)
    batch = collate([Encoded(row.ids[:end], min(row.prompt_len, end))], model.pad, model.device)
    h = model.forward(batch, Plan(read=frozenset([site]))).activations[site][0, start:].float()  # [tokens, d]
    alone = torch.diag(torch.tensor(list(strengths.values()), device=h.device))
    edits = {name: edit_size_ratio(edit, h, one) for name, one in zip(strengths, alone, strict=True)}
    texts = pieces(model.tokenizer, row.ids[:end])[start:]
    whole = _whole(texts)
    answer = next((i for i, tokens in enumerate(whole) if start + tokens[-1] >= row.prompt_len), len(whole))
    return {
        "pieces": tuple("".join(texts[i] for i in tokens) for tokens in whole),
        "answer_from": answer,
        "seen": {name: _largest(own, whole) for name, own in gates_of(edit, h, list(strengths)).items()},
        "edits": {name: _largest(own, whole) for name, own in edits.items()},
        "left_out": (start, n - end),
    }


def _whole(texts: Sequence[str]) -> list[list[int]]:
    """Tokens by piece: those without a text of their own go with the next that has one."""
    whole: list[list[int]] = [[]]
    for i, text in enumerate(texts):
        whole[-1].append(i)
        if text:
            whole.append([])
    return [tokens for tokens in whole if tokens]


def _largest(values: Tensor, whole: Sequence[Sequence[int]]) -> tuple[float, ...]:
    listed = values.tolist()
    return tuple(float(f"{max(listed[i] for i in tokens):.{_DIGITS}g}") for tokens in whole)
