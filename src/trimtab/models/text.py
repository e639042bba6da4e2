"""Rows of tokens, and how they are joined, compared, grouped and padded into batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.models.plan import Batch
from trimtab.texts import Rendered


@dataclass(frozen=True)
class Encoded:
    """One row of token ids.

    Args:
        ids: all tokens, the beginning-of-text token first.
        prompt_len: tokens before the answer.

    Example:
        >>> from trimtab.models import Encoded
        >>> row = Encoded((1, 17, 4, 99), prompt_len=3)
        >>> row.prompt.ids
        (1, 17, 4)
    """

    ids: tuple[int, ...]
    prompt_len: int

    @property
    def prompt(self) -> "Encoded":
        """The row without its answer."""
        return Encoded(self.ids[: self.prompt_len], self.prompt_len)


def context_length(config: Any, tokenizer: Any) -> int:
    """Tokens that fit into a model's context, by its configuration, else by its tokenizer."""
    for key in ("max_position_embeddings", "n_positions", "seq_length"):
        if isinstance(getattr(config, key, None), int):
            return int(getattr(config, key))
    return int(min(getattr(tokenizer, "model_max_length", 1 << 30), 1 << 30))


def joined(prompts: Sequence[str], answers: Sequence[str]) -> list[Rendered]:
    """Prompts with their answers, as they stand.

    Raises:
        InputError: one text in place of a list, lists of unlike length, or an item that is not text.
    """
    check_not_one_text(prompts)
    check_not_one_text(answers)
    if len(prompts) != len(answers):
        raise InputError(f"{len(prompts)} prompts and {len(answers)} answers; give one answer per prompt")
    pairs = zip(prompts, answers, strict=True)
    return [Rendered("", a_text(p, "prompts"), a_text(a, "answers")) for p, a in pairs]


def with_prefixes(texts: Sequence[Rendered], prompt_prefixes: Sequence[str]) -> list[Rendered]:
    """Texts with more in front of them: one piece for all, or one for each.

    Raises:
        InputError: another number of pieces.
    """
    if len(prompt_prefixes) not in (1, len(texts)):
        raise InputError(f"{len(prompt_prefixes)} strengths for {len(texts)} texts; give one, or one per text")
    each = list(prompt_prefixes) * len(texts) if len(prompt_prefixes) == 1 else prompt_prefixes
    return [
        replace(t, context=prompt_prefix + t.context) if prompt_prefix else t
        for t, prompt_prefix in zip(texts, each, strict=True)
    ]


def a_text(value: Any, name: str) -> str:
    """The value, if it is a string.

    Raises:
        InputError: it is not.
    """
    if not isinstance(value, str):
        raise InputError(f"{name}: each must be a string, not {type(value).__name__}")
    return value


def check_not_one_text(texts: Any) -> None:
    """Check that a list was not given as one string, whose characters would be taken for texts."""
    if isinstance(texts, str):
        raise InputError("give a list of texts, not one text")


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """Number of tokens that two rows have in common at the beginning."""
    n = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        n += 1
    return n


def fork(positive: Encoded, negative: Encoded) -> tuple[Encoded, int, int]:
    """Where two answers part: the tokens they share, and the first token of each that differs.

    Tokens that the answers share stay the answer's, so that a scope selects what it selects in generation.

    Raises:
        InputError: one answer is the beginning of the other, so no token differs.
    """
    n = common_prefix(positive.ids, negative.ids)
    if n >= len(positive.ids) or n >= len(negative.ids):
        raise InputError("one answer is the beginning of the other, so there is no token in which they differ")
    return Encoded(positive.ids[:n], min(positive.prompt_len, n)), positive.ids[n], negative.ids[n]


def pad_token(tokenizer: Any, vocabulary: int | None = None) -> int:
    """A token id for padding that the model's embedding has; which one does not matter, since padding is masked."""
    for name in ("pad_token_id", "eos_token_id", "bos_token_id"):
        value = getattr(tokenizer, name, None)
        if value is not None and (vocabulary is None or value < vocabulary):
            return int(value)
    return 0


def collate(
    rows: Sequence[Encoded],
    pad: int,
    device: torch.device,
    side: Literal["left", "right"] = "right",
    cached: int = 0,
) -> Batch:
    """Pad rows to one length.

    Args:
        rows: at least one.
        pad: token id on padding.
        device: where the batch goes.
        side: on which side rows are padded.
        cached: first tokens of every row that are in the cache already, and so not in the batch.

    Returns:
        A batch `[B, T]`, T the longest row (without what is cached).

    Example:
        >>> import torch
        >>> from trimtab.models import Encoded, collate
        >>> batch = collate([Encoded((1, 5, 6), 2), Encoded((1, 7), 1)], pad=0, device=torch.device("cpu"))
        >>> batch.ids.tolist()
        [[1, 5, 6], [1, 7, 0]]
    """
    lengths = torch.tensor([len(r.ids) - cached for r in rows])
    width = int(lengths.max())
    columns = torch.arange(width)
    start = (width - lengths if side == "left" else torch.zeros_like(lengths))[:, None]  # [B, 1]
    real = (columns >= start) & (columns < start + lengths[:, None])
    ids = torch.full((len(rows), width), pad)
    ids[real] = torch.tensor([t for r in rows for t in r.ids[cached:]])
    position = ((columns - start).clamp(min=0) + cached) * real
    prompt_len = torch.tensor([r.prompt_len for r in rows])
    past = torch.ones(len(rows), cached, dtype=torch.bool, device=device) if cached else None
    return Batch(ids.to(device), real.to(device), position.to(device), prompt_len.to(device), past)


def grouped(widths: Sequence[int], tokens: int) -> Iterator[Tensor]:
    """Indices of rows in batches of like length, each of at most `tokens` tokens with padding.

    Rows come longest first, so that the first batch is the largest; an over-long row is alone in its batch.
    """
    order = sorted(range(len(widths)), key=lambda i: (-widths[i], i))
    while order:
        fits = max(1, tokens // max(1, widths[order[0]]))
        yield torch.tensor(order[:fits])
        order = order[fits:]
