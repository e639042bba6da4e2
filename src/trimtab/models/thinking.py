"""Scopes that go by a model's thinking: its marks, and which tokens of a batch they enclose."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from trimtab.errors import InputError, PlanError
from trimtab.interventions import PARTS, ThinkingMarks, ThinkingState
from trimtab.models.plan import Batch, Steer

if TYPE_CHECKING:
    from trimtab.models.loaded import ModelParts

KNOWN: Final[tuple[tuple[tuple[str, ...], str], ...]] = (
    (("<think>",), "</think>"),  # DeepSeek, Qwen, SmolLM, GLM, MiniMax, Hunyuan
    (("<thinking>",), "</thinking>"),
    (("[THINK]",), "[/THINK]"),  # Mistral
    (("<seed:think>",), "</seed:think>"),
    (("<longcat_think>",), "</longcat_think>"),
    (("<|begin_of_thought|>",), "<|end_of_thought|>"),
    (("<|START_THINKING|>",), "<|END_THINKING|>"),  # Cohere
    (("<|channel|>", "analysis", "<|message|>"), "<|end|>"),  # OpenAI's harmony
)
"""How models mark their thinking, each piece as one token."""


def find_marks(tokenizer: Any) -> ThinkingMarks | None:
    """The marks that a tokenizer has tokens of its own for; of several pairs the one in its chat template.

    A turn's end and other special tokens close a thinking part too. Marks that are spelled in several ordinary tokens
    are not looked for, since how these are cut depends on what stands beside them.

    Returns:
        None where there are no marks, or where it is not clear which ones are meant.
    """
    own = {str(token): id for id, token in getattr(tokenizer, "added_tokens_decoder", {}).items()}
    found = {pair: ids for pair in KNOWN if (ids := _tokens(tokenizer, own, pair)) is not None}
    if len(found) > 1:
        template = str(getattr(tokenizer, "chat_template", None))
        found = {pair: ids for pair, ids in found.items() if "".join(pair[0]) in template}
    if len(found) != 1:
        return None
    ((opening, closing),) = found.values()
    ends = {id for id, token in tokenizer.added_tokens_decoder.items() if token.special}
    return ThinkingMarks(opening, (closing,), frozenset(ends - {*opening, tokenizer.unk_token_id}))


def _tokens(
    tokenizer: Any, own: dict[str, int], pair: tuple[tuple[str, ...], str]
) -> tuple[tuple[int, ...], int] | None:
    """The ids of a pair of marks; None where the tokenizer lacks one."""
    opening, closing = pair
    if closing not in own or opening[0] not in own:
        return None
    ids = tokenizer.convert_tokens_to_ids(list(opening))
    if any(id is None or id == tokenizer.unk_token_id for id in ids):
        return None
    return tuple(ids), own[closing]


def needed_marks(model: "ModelParts", steers: Sequence[Steer]) -> ThinkingMarks | None:
    """The model's marks where a scope asks for them; None where none does.

    Raises:
        InputError: a scope does, and the model has none.
    """
    asked = sorted({scope for s in steers for scope in s.scopes if scope in PARTS})
    if not asked:
        return None
    if model.thinking_marks is None:
        raise InputError(
            f"scope {asked[0]!r}: the tokenizer of {model.id} has no token of its own, or more than one, that opens a "
            "thinking part, such as <think>; take the scope generated, or set the model's thinking_marks",
            code="unsupported",
            field="scope",
        )
    return model.thinking_marks


def with_thinking(batch: Batch, marks: ThinkingMarks | None) -> Batch:
    """A batch that says behind which of its tokens a thinking part is open; itself without marks.

    Raises:
        PlanError: tokens before those of the batch are in a cache, so their marks cannot be read.
    """
    if marks is None or batch.thinking is not None:
        return batch
    if batch.past is not None:
        raise PlanError("the scopes thinking and answer need all tokens of a text; run it without a cache")
    inside = torch.zeros(batch.ids.shape, dtype=torch.bool)
    rows = zip(batch.ids.tolist(), batch.real.tolist(), batch.text_of.tolist(), strict=True)
    for row, (ids, real, texts) in enumerate(rows):
        state: dict[int, ThinkingState] = {}
        begun = ThinkingState()  # behind what all texts of a row have in common
        for column in (c for c, is_token in enumerate(real) if is_token):
            text = texts[column]
            state[text] = state.get(text, begun).after(ids[column], marks)
            begun = state[text] if text < 0 else begun
            inside[row, column] = state[text].inside
    return replace(batch, thinking=inside.to(batch.ids.device))


class GrowingThinking:
    """Which tokens belong to the thinking of texts that are being generated.

    Args:
        marks: of the model.
        batch: all tokens to come, as `edited_steps` takes it.
    """

    def __init__(self, marks: ThinkingMarks, batch: Batch) -> None:
        self._marks, self._real = marks, batch.real.tolist()
        self._states = [ThinkingState()] * len(batch.ids)
        self._inside = torch.zeros(batch.ids.shape, dtype=torch.bool)
        self._batch = batch

    def read(self, ids: Tensor, first: int) -> Batch:
        """The batch after a step with tokens `[B, T]`, the first in column `first`; column 0 begins anew."""
        if first == 0:
            self._states = [ThinkingState()] * len(self._states)
        for row, tokens in enumerate(ids.tolist()):
            for column, token in enumerate(tokens, first):
                if self._real[row][column]:
                    self._states[row] = self._states[row].after(token, self._marks)
                self._inside[row, column] = self._states[row].inside
        return replace(self._batch, thinking=self._inside.to(self._batch.ids.device))
