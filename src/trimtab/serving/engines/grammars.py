"""Answers that follow a grammar: which tokens may come next, by llguidance."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from trimtab.errors import InputError, TrimtabError


class Grammars:
    """Compiles grammars for one tokenizer.

    Args:
        tokenizer: a fast Hugging Face tokenizer.
        ends: tokens that end an answer; they may come where the grammar is complete.
    """

    def __init__(self, tokenizer: Any, ends: Sequence[int]) -> None:
        self._tokenizer, self._ends = tokenizer, list(ends)

    def compiled(self, grammar: str) -> "GrammarState":
        """The beginning of an answer by a grammar.

        Args:
            grammar: of llguidance, in JSON.

        Raises:
            InputError: it is no grammar, or llguidance is not installed or cannot use this tokenizer.
        """
        from llguidance import LLMatcher

        wrong = LLMatcher.validate_grammar(grammar, self._known)
        if wrong:
            raise InputError(f"the grammar cannot be used: {wrong.splitlines()[0]}", field="grammar")
        return GrammarState(LLMatcher(self._known, grammar))

    @cached_property
    def _known(self) -> Any:
        """The tokenizer as llguidance has it; takes a second."""
        try:
            from llguidance.hf import from_tokenizer
        except ImportError as error:
            raise InputError(
                'grammars need llguidance: pip install "trimtab[serve]"', code="not-installed", field="grammar"
            ) from error
        try:
            return from_tokenizer(self._tokenizer, eos_token=self._ends or None)
        except (ValueError, TypeError, AttributeError) as error:
            raise InputError(
                f"llguidance cannot use this model's tokenizer: {error}", code="unsupported", field="grammar"
            ) from error


class GrammarState:
    """How far an answer has come in its grammar.

    Args:
        matcher: llguidance's, at the answer's beginning.
    """

    def __init__(self, matcher: Any) -> None:
        self._matcher, self._n = matcher, 0

    def allowed(self, tokens: Sequence[int], n: int) -> Tensor:
        """`[n]` bool on the CPU: the tokens that may come next.

        Args:
            tokens: the answer so far.
            n: size of the vocabulary as the model has it.

        Raises:
            TrimtabError: the answer so far is not in the grammar, or the grammar takes too long.
        """
        self._matcher.consume_tokens(list(tokens[self._n :]))
        self._n = len(tokens)
        bits = torch.frombuffer(bytearray(self._matcher.compute_bitmask()), dtype=torch.uint8)
        if self._matcher.is_error():
            raise TrimtabError(f"the answer left its grammar: {self._matcher.get_error()}")
        allowed = (bits[:, None] >> torch.arange(8, dtype=torch.uint8)).bitwise_and(1).flatten().bool()[:n]
        return torch.cat([allowed, torch.zeros(n - len(allowed), dtype=torch.bool)])
