"""The text of an answer as its tokens come, up to a stop text."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from trimtab.models.decoding import TextAsItComes, decoded

CONTEXT = 16  # tokens that new ones are decoded behind; more where these have no text
STRETCH = 48  # tokens after which decoding begins anew behind a context, so that long answers cost no more per token


class AnswerText:
    """Turns tokens into text as `Model.generate` writes it, and holds back what may belong to a stop text.

    Args:
        tokenizer: a Hugging Face tokenizer.
        prompt: tokens before the answer.
        stop: texts that end the answer and are no part of it.

    Attributes:
        stopped: whether a stop text has come; the answer is complete then.

    Example:
        >>> import trimtab as tt
        >>> from trimtab.serving.engines.answers import AnswerText
        >>> tokenizer = tt.load("smollm2").tokenizer
        >>> prompt, written = (tokenizer(text)["input_ids"] for text in ("One, two", ", three. Four."))
        >>> answer = AnswerText(tokenizer, prompt, stop=["e. F"])
        >>> "".join(answer.put(token) for token in written), answer.stopped
        (', thre', True)
    """

    def __init__(self, tokenizer: Any, prompt: Sequence[int], stop: Sequence[str] = ()) -> None:
        self._tokenizer, self._stop, self.stopped = tokenizer, stop, False
        self._held, self._released = "", ""
        self._begin(prompt)

    def put(self, *tokens: int) -> str:
        """The text that is certain with these tokens; one at a time where there are stop texts."""
        self._ids += tokens
        self._up_to_date = False
        text = self._after(lambda: self._streamer.put(torch.tensor(tokens)))
        if self._up_to_date and len(self._ids) >= self._n_context + STRETCH:
            self._begin(self._ids)
        return text

    def end(self) -> str:
        """The rest, when no more tokens come."""
        text = self._after(self._streamer.end)
        if self.stopped:
            return text
        rest, self._held = self._held, ""
        return text + rest

    def _begin(self, ids: Sequence[int]) -> None:
        """Decode what comes behind these tokens, whose text has been handed on."""
        self._ids = _context(self._tokenizer, ids)
        self._n_context = len(self._ids)
        self._streamer = TextAsItComes(self._tokenizer, self._take)
        self._streamer.put(torch.tensor(self._ids))

    def _after(self, step: Callable[[], None]) -> str:
        if self.stopped:
            return ""
        self._released = ""
        step()
        return self._released

    def _take(self, text: str, last: bool) -> None:
        self._up_to_date = True  # all that is known of the text, so nothing of a character is missing
        text = self._held + text
        ends = [at for stop in self._stop if (at := text.find(stop)) >= 0]
        if ends:
            self._released, self._held, self.stopped = text[: min(ends)], "", True
            return
        n = _undecided(text, self._stop)
        self._released, self._held = text[: len(text) - n], text[len(text) - n :]


def _undecided(text: str, stop: Sequence[str]) -> int:
    """How many characters at the end of the text may be the beginning of a stop text."""
    longest = min(len(text), max((len(s) - 1 for s in stop), default=0))
    return next((n for n in range(longest, 0, -1) if any(s.startswith(text[-n:]) for s in stop)), 0)


def _context(tokenizer: Any, prompt: Sequence[int]) -> list[int]:
    """The end of some tokens: enough that the next one is not decoded as the first one of a text."""
    n = CONTEXT
    while n < len(prompt) and not decoded(tokenizer, prompt[-n:]).strip():
        n *= 2
    return list(prompt[-n:])
