"""What `fit` hands to methods that shift heads: which tokens are read, compared with a pass of transformers' own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.workflows.test_study import few

import trimtab as tt
from trimtab.behaviors import split
from trimtab.experiment.instrument import _ending
from trimtab.models import Encoded, Model
from trimtab.workflows.fit.fit import fit

SIZES = {"train": 12, "evaluation": 16}
BLOCK = 1


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Model:
    return tt.load(tiny_folder, dtype="float32")


def read_by_hand(model: Model, prompt: str, answer: str, n: int) -> np.ndarray[Any, Any]:
    """Mean over the answer's last n tokens of what the block's output projection is given."""
    tokenizer, seen = model.tokenizer, []
    before = [tokenizer.bos_token_id, *tokenizer(prompt, add_special_tokens=False)["input_ids"]]
    ids = [tokenizer.bos_token_id, *tokenizer(prompt + answer, add_special_tokens=False)["input_ids"]]
    projection = model.hf.model.layers[BLOCK].self_attn.o_proj
    handle = projection.register_forward_pre_hook(lambda _, args: seen.append(args[0][0].double().numpy()))
    with torch.no_grad():
        model.hf(torch.tensor([ids]))
    handle.remove()
    rows: np.ndarray[Any, Any] = seen[0][max(len(before), len(ids) - n) :]
    return rows.mean(axis=0)


@pytest.mark.parametrize("n", [1, 3, 1000])
def test_the_shift_is_made_of_the_mean_over_the_answers_last_tokens(n: int, model: Model) -> None:
    options: dict[str, Any] = {"site": [BLOCK], "strength": 1.0, "verify": False, "share": 1.0, "tokens": n}
    made = fit(model, [few("sentiment")], method="nl-iti", alpha=2.0, **options, **SIZES).steering
    examples = split(few("sentiment"), train=12, evaluation=16, seed=0).train.examples
    up, down = (
        np.stack([read_by_hand(model, e.prompt, getattr(e, side), n) for e in examples])
        for side in ("positive", "negative")
    )
    attention = model.hf.model.layers[BLOCK].self_attn
    width, shift = attention.head_dim, np.zeros(up.shape[1])
    for k in range(0, len(shift), width):
        theta = (up - down).mean(axis=0)[k : k + width]
        theta = theta / np.linalg.norm(theta)
        sigma = (np.concatenate([up, down])[:, k : k + width] @ theta).std(ddof=1)
        shift[k : k + width] = 2.0 * sigma * theta
    expected = attention.o_proj.weight.detach().double().numpy() @ shift
    np.testing.assert_allclose(made.vector(f"attention:{BLOCK}").numpy(), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("row", "n", "prefilled", "begins"),
    [
        (Encoded((0,) * 9, 5), 2, True, 7),  # the last two of the answer
        (Encoded((0,) * 9, 5), 99, True, 5),  # all of it, and nothing of the prompt
        (Encoded((0,) * 9, 9), 2, True, 8),  # no answer token of its own: the last token
        (Encoded((0,) * 9, 9), 2, False, 7),  # no answer in the text: the prompt's end
        (Encoded((0,) * 9, 9), 99, False, 1),  # and never its first token
    ],
)
def test_the_end_of_a_text_is_its_answers_or_its_prompts(row: Encoded, n: int, prefilled: bool, begins: int) -> None:
    assert _ending(row, n, prefilled) == Encoded(row.ids, begins)


def test_prompt_types_without_an_answer_are_read_at_the_prompts_end(model: Model) -> None:
    options: dict[str, Any] = {"site": [BLOCK], "strength": 1.0, "verify": False, "share": 1.0, **SIZES}
    by_tokens = [
        fit(model, [few("sentiment")], method="nl-iti", prompt_type="instruction", tokens=n, **options).steering
        for n in (1, 4)
    ]
    plain = fit(model, [few("sentiment")], method="iti", prompt_type="instruction", site=[BLOCK], strength=1.0,
                verify=False, share=1.0, **SIZES).steering  # fmt: skip
    place = f"attention:{BLOCK}"
    torch.testing.assert_close(by_tokens[0].vector(place), plain.vector(place))  # iti reads the last token
    assert not torch.allclose(by_tokens[1].vector(place), plain.vector(place), rtol=1e-2)
