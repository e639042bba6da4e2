"""A transformers model with its tokenizer, and what is known of both before any text is run."""

from functools import cached_property
from typing import Any

import torch

from trimtab.errors import InputError
from trimtab.interventions import ModelFacts, ThinkingMarks
from trimtab.models.batches import fitting_tokens
from trimtab.models.blocks import dissect, input_device
from trimtab.models.decoders import (
    check_causal,
    check_is_decoder,
    check_logits,
    probe_ids,
)
from trimtab.models.digest import Fingerprint, shapes
from trimtab.models.encoding import Encoder
from trimtab.models.positions import positions_of
from trimtab.models.precision import Tail
from trimtab.models.prefix import can_cache_prefix
from trimtab.models.text import context_length, pad_token
from trimtab.models.thinking import find_marks
from trimtab.models.wrappers import unwrap


class ModelParts:
    """Base of `Model`: its parts with their sizes and names, but nothing that runs.

    Args:
        hf: a transformers decoder language model, or a wrapper of one; put into evaluation mode.
        tokenizer: its tokenizer, or None.
        id: how reports name the model; its class's name if empty.
        revision: commit on the Hub, if it came from there.
        batch_tokens: tokens per batch, or None for what suits the device.

    Raises:
        InputError: it is not a decoder language model, or its wrapper does more than call it.
    """

    def __init__(self, hf: Any, tokenizer: Any, id: str, revision: str | None, batch_tokens: int | None) -> None:
        hf = unwrap(hf)
        check_is_decoder(hf)
        self.hf = hf
        self.tokenizer = tokenizer
        self.id = id or type(hf).__name__
        self.revision = revision
        ids = probe_ids(hf)
        self.anatomy, output = dissect(hf, ids)
        check_logits(hf, output)
        check_causal(hf, ids, output.logits)
        self.positions = positions_of(hf, ids, output.logits)
        self.tail = Tail(self.anatomy)
        self._fingerprint = Fingerprint(hf)
        self.can_cache_prefix = can_cache_prefix(hf) and not self.positions.first
        self.batch_tokens = batch_tokens or fitting_tokens(hf)

    @property
    def n_blocks(self) -> int:
        """Number of decoder blocks."""
        return len(self.anatomy.blocks)

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return self.anatomy.d_model

    @property
    def dtype(self) -> torch.dtype:
        """dtype of the blocks; where their weights have 8 bits or fewer, that of what they compute."""
        weights = self.anatomy.blocks[0].parameters()
        dtype = next(weights, torch.zeros(0, dtype=self.anatomy.dtype)).dtype
        return dtype if dtype.is_floating_point and dtype.itemsize > 1 else self.anatomy.dtype

    @property
    def device(self) -> torch.device:
        """Where token ids go: the device of the input embedding."""
        return input_device(self.hf)

    @property
    def context_length(self) -> int:
        """Tokens that fit into the model's context."""
        whole = context_length(self.hf.config.get_text_config(), self.tokenizer)
        return whole - (self.positions.first or 0)

    @property
    def vocabulary(self) -> int | None:
        """Tokens that the input embedding holds; None where it does not say."""
        embedding = self.hf.get_input_embeddings()
        weight = getattr(embedding, "weight", None)
        size = getattr(embedding, "num_embeddings", None if weight is None else len(weight))
        return None if size is None else int(size)

    @cached_property
    def thinking_marks(self) -> ThinkingMarks | None:
        """The tokens between which the model thinks, as its tokenizer has them; may be set. None if it has none.

        Example:
            >>> import trimtab as tt
            >>> from trimtab.interventions import ThinkingMarks
            >>> model = tt.Model(tt.load("smollm2").hf, tt.load("smollm2").tokenizer)
            >>> model.thinking_marks is None
            True
            >>> model.thinking_marks = ThinkingMarks(opening=(7,), closing=(8,))
        """
        return None if self.tokenizer is None else find_marks(self.tokenizer)

    @property
    def pad(self) -> int:
        """A token id for padding that the embedding has."""
        return pad_token(self.tokenizer, self.vocabulary)

    @property
    def digest(self) -> str:
        """SHA-256 over names, shapes and values of all weights, each rounded to bfloat16.

        The same for float32 and bfloat16 loads, so differences below that rounding (0.4 %) go unseen, and so do writes
        through `weight.data` after the first call.
        """
        return self._fingerprint()

    @property
    def facts(self) -> ModelFacts:
        """What artifacts remember of it."""
        name = type(self.hf).__name__
        return ModelFacts(self.id, self.revision, name, self.d_model, self.n_blocks, self.digest, shapes(self.hf))

    def encoder(self, chat_template: bool = False) -> Encoder:
        """Text to token ids for this model.

        Raises:
            InputError: the model has no tokenizer, or no chat template though one is asked for.
        """
        if self.tokenizer is None:
            raise InputError("this model was wrapped without a tokenizer; give Model(hf, tokenizer)")
        return Encoder(self.tokenizer, self.context_length, chat_template, self.vocabulary)
