"""From tokens back to text: a prompt and its continuation, which together are the decoded whole."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trimtab.models.encoding import is_special
from trimtab.models.text import Encoded

_HALF = "\N{REPLACEMENT CHARACTER}"  # what a decoder gives for the first bytes of a character
_BYTE = re.compile("<0x[0-9A-F]{2}>")


@dataclass(frozen=True)
class Completion:
    """A prompt and what the model wrote after it.

    Args:
        row: all tokens, `prompt_len` of them the prompt's; a special token that ended the text is left out.
        prompt: the prompt as its tokens are decoded, without special tokens.
        text: what was written; `prompt + text` is the decoded whole.

    Example:
        >>> import trimtab as tt
        >>> written = tt.load("smollm2").generate("1, 2, 3, 4, 5,", max_new_tokens=2, details=True)
        >>> written.prompt, written.text, len(written.written)
        ('1, 2, 3, 4, 5,', ' 6', 2)
    """

    row: Encoded
    prompt: str
    text: str

    @property
    def written(self) -> tuple[int, ...]:
        """The tokens that were written."""
        return self.row.ids[self.row.prompt_len :]


def completion(tokenizer: Any, prompt: Encoded, new: Sequence[int]) -> Completion:
    """A prompt with the new tokens after it, and both as text.

    Tokens are decoded together: by themselves many tokenizers lose the space in front of the first one, and the bytes
    of a character that the cut runs through.

    Args:
        tokenizer: a Hugging Face tokenizer.
        prompt: the prompt's tokens.
        new: the tokens after them.
    """
    ids = (*prompt.ids, *new)
    before, text = split_at(lambda some: decoded(tokenizer, some), ids, len(prompt.ids))
    return Completion(Encoded(ids, len(prompt.ids)), before, text)


def split_at(decode: Callable[[Sequence[int]], str], ids: Sequence[int], n: int) -> tuple[str, str]:
    """The decoded whole in two pieces: what the first n tokens say by themselves, and the rest.

    Where the first ones are decoded otherwise by themselves (half a character at their end), the cut comes before what
    differs.
    """
    whole, front = decode(ids), decode(ids[:n])
    if not whole.startswith(front):
        front = whole[: next((i for i, (a, b) in enumerate(zip(whole, front, strict=False)) if a != b), len(whole))]
    return front, whole[len(front) :]


def decoded(tokenizer: Any, ids: Sequence[int], special: bool = False) -> str:
    """The text of token ids as it is: no space is removed before punctuation."""
    text: str = tokenizer.decode(list(ids), skip_special_tokens=not special, clean_up_tokenization_spaces=False)
    return text


def pieces(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    """Each token's part of the text, with its space; empty for all but the last of tokens that make up a character."""
    out, first, shown = [], 0, 0
    for i in range(1, len(ids) + 1):
        before, now = (decoded(tokenizer, ids[first:end], special=True) for end in (shown, i))
        # half a character, or one that was in the text, or bytes of which more come
        half = now.endswith(_HALF) or now == before or all(is_byte(tokenizer, t) for t in ids[i - 1 : i + 1])
        if half and i < len(ids):
            out.append("")
            continue
        out.append(now.removeprefix(before))
        first, shown = shown, i
    return out


def is_byte(tokenizer: Any, token: int) -> bool:
    """Whether a token stands for one byte (`<0xE6>`): what a run of them says is known at its end."""
    return _BYTE.fullmatch(str(tokenizer.convert_ids_to_tokens(token))) is not None


class TextAsItComes:
    """A streamer for transformers' `generate` that hands on the text of one row, as `completion` has it.

    Args:
        tokenizer: a Hugging Face tokenizer.
        write: is handed each piece, and whether it is the last.
        skip_prompt: whether the prompt's own text is left out.
        options: of the tokenizer's `decode`; by default special tokens are left out.
    """

    def __init__(
        self,
        tokenizer: Any,
        write: Callable[[str, bool], object],
        skip_prompt: bool = True,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.tokenizer, self.write, self.skip_prompt = tokenizer, write, skip_prompt
        self.options = {
            "clean_up_tokenization_spaces": False,
            **({"skip_special_tokens": True} if options is None else options),
        }
        self._ids: list[int] = []
        self._n = self._n_sent = 0  # tokens of the prompt, characters handed on

    def put(self, value: Any) -> None:
        """Take the prompt's tokens first, then each new one; half a character waits for its other half.

        Raises:
            ValueError: several rows at once.
        """
        if value.ndim > 1 and len(value) > 1:
            raise ValueError("a streamer takes one prompt at a time; give one prompt, or leave the streamer out")
        self._ids += value.reshape(-1).tolist()
        self._n = self._n or len(self._ids)
        last = self._ids[-1]
        if is_byte(self.tokenizer, last) or is_special(self.tokenizer, last):  # bytes go on behind a special token
            return
        if not (text := self._text()).endswith(_HALF):
            self._send(text, False)

    def end(self) -> None:
        """Hand on what is left."""
        self._send(self._text(), True)
        self._ids, self._n, self._n_sent = [], 0, 0

    def _text(self) -> str:
        return split_at(self._decoded, self._ids, self._n)[1] if self.skip_prompt else self._decoded(self._ids)

    def _decoded(self, ids: Sequence[int]) -> str:
        text: str = self.tokenizer.decode(list(ids), **self.options)
        return text

    def _send(self, text: str, last: bool) -> None:
        if last or len(text) > self._n_sent:
            self.write(text[self._n_sent :], last)
            self._n_sent = max(self._n_sent, len(text))


def faithful_streamer(streamer: Any, tokenizer: Any) -> Any:
    """transformers' text streamers, fed with text that is decoded together with its prompt; others as they are."""
    from transformers import TextStreamer

    if not isinstance(streamer, TextStreamer) or type(streamer).put is not TextStreamer.put:
        return streamer

    def write(text: str, last: bool) -> None:
        streamer.on_finalized_text(text, stream_end=last)

    return TextAsItComes(tokenizer, write, streamer.skip_prompt, streamer.decode_kwargs)
