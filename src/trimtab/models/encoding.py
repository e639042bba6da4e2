"""Turn rendered texts into token ids: which token comes first, where the answer begins, what the model cannot take."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice, takewhile
from typing import Any

from trimtab.errors import InputError
from trimtab.models.chat import Chat
from trimtab.models.text import Encoded, a_text, common_prefix
from trimtab.phrases import Phrase
from trimtab.texts import Message, Rendered


class Encoder:
    """Turns rendered texts into ids.

    A beginning-of-text token goes in front of every plain text (the tokenizer's `bos`, else its `eos`, else its `cls`),
    so that every token of the text has a context. What comes through a chat template begins as the template has it: a
    `bos` goes in front where the tokenizer has one and the template's text does not begin with a special token.

    Prompt and answer are tokenized together; the answer begins at the first token that differs from the prompt's own
    tokens, so that a token across the seam counts as the answer's.

    Args:
        tokenizer: a Hugging Face tokenizer.
        max_length: the model's context in tokens.
        chat_template: put the prompt into a user turn and the answer into the assistant's; an example's own turns
            are kept. The context stands in front of what the first user turn says.
        vocabulary: tokens that the model's embedding holds; None takes it to hold all.

    Raises:
        InputError: a chat template is asked for and the tokenizer has none, or there is no token to put in front.

    Example:
        >>> import trimtab as tt
        >>> from trimtab.texts import Rendered
        >>> encoder = tt.load("smollm2").encoder()
        >>> (row,) = encoder.encode([Rendered("", "The sky is", " blue.")])
        >>> row.prompt_len, len(row.ids), encoder.decode(row.ids)
        (4, 6, 'The sky is blue.')
    """

    def __init__(
        self, tokenizer: Any, max_length: int, chat_template: bool = False, vocabulary: int | None = None
    ) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.chat_template = chat_template
        self.vocabulary = vocabulary
        self.chat = Chat(tokenizer) if chat_template else None
        self._special: dict[int, bool] = {}
        candidates = [getattr(tokenizer, f"{name}_token_id", None) for name in ("bos", "eos", "cls")]
        self.first: int | None = next((t for t in candidates if t is not None), None)
        if self.first is None and not chat_template:
            raise InputError("the tokenizer has neither a beginning- nor an end-of-text token to put in front")

    @property
    def notes(self) -> tuple[Phrase, ...]:
        """How texts were changed so far to fit the chat template, each once."""
        return self.chat.notes if self.chat else ()

    def encode(self, texts: Sequence[Rendered], any_length: bool = False) -> list[Encoded]:
        """Tokenize texts, each with its prompt length.

        A bare statement is cut after its first third, at least 3 tokens: that is its prompt.

        Args:
            texts: what to tokenize.
            any_length: accept texts longer than the model's context.

        Raises:
            InputError: a text is longer than the model's context, or empty; a chat template that refuses its turns or
                leaves out what they say; a token that the model's embedding does not have.
        """
        prompt_prefixes, wholes = zip(*(self._layout(t) for t in texts), strict=True) if texts else ((), ())
        prefix_ids, whole_ids = self._ids(prompt_prefixes), self._ids(wholes)
        each = zip(texts, prefix_ids, whole_ids, strict=True)
        rows = [self._row(text, front, whole) for text, front, whole in each]
        for text, row in zip(texts, rows, strict=True):
            if len(row.ids) > self.max_length and not any_length:
                raise self._too_long(text, row)
        return rows

    def fits(self, texts: Sequence[Rendered]) -> list[bool]:
        """Whether each text fits into the model's context."""
        return [len(row.ids) <= self.max_length for row in self.encode(texts, any_length=True)]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, without special tokens."""
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def _too_long(self, text: Rendered, row: Encoded) -> InputError:
        fix = "shorten it or drop the row"
        if text.context and all(self.fits([replace(text, context="")])):
            fix = (
                "the row itself fits, but not with the instruction or solved examples in front of it: leave out the "
                "prompt types that add these, or shorten the rows"
            )
        return InputError(
            f"a text has {len(row.ids)} tokens and the model's context holds {self.max_length}: "
            f"{(text.prompt or text.answer)[:60]!r}…; {fix}"
        )

    def _layout(self, text: Rendered) -> tuple[str, str]:
        """What stands before the answer, and everything."""
        if self.chat is None:
            front = text.context + text.prompt
            return front, front + text.answer
        chat_prompt = self.chat.prompt(_turns(text))
        answer = text.answer.lstrip()
        return chat_prompt.text, chat_prompt.text + (chat_prompt.joint + answer if answer else "")

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        unique = list(dict.fromkeys(texts))
        rows = self.tokenizer(unique, add_special_tokens=False, truncation=False, padding=False)["input_ids"]
        by_text = dict(zip(unique, rows, strict=True))
        return [by_text[t] for t in texts]

    def _row(self, text: Rendered, front: list[int], whole: list[int]) -> Encoded:
        if not whole:
            raise InputError("an empty text cannot be tokenized; give it at least one token")
        before = self._before(whole)
        ids, prompt_len = (*before, *whole), len(before) + common_prefix(front, whole)
        if text.bare:
            prompt_len += max(3, (len(ids) - prompt_len) // 3)
        self._check_known(ids)
        return Encoded(ids, min(prompt_len, len(ids)))

    def _before(self, ids: Sequence[int]) -> tuple[int, ...]:
        """The token that goes in front of a text, if one does."""
        if self.first is None or ids[0] == self.first:  # the text may bring its own
            return ()
        if self.chat is None:
            return (self.first,)
        bos = getattr(self.tokenizer, "bos_token_id", None)
        if bos is None:
            return ()
        if ids[0] not in self._special:
            self._special[ids[0]] = is_special(self.tokenizer, ids[0])
        return () if self._special[ids[0]] else (bos,)

    def _check_known(self, ids: Sequence[int]) -> None:
        size = self.vocabulary
        if size is None or max(ids) < size:
            return
        unknown = list(dict.fromkeys(i for i in ids if i >= size))
        names = ", ".join(f"{token!r} ({i})" for i, token in zip(unknown, self._names(unknown), strict=True))
        raise InputError(
            f"the tokenizer has tokens that the model does not: {names}, and the model's embedding ends at {size - 1}; "
            "take the tokenizer that belongs to the model, or resize and train it "
            "(model.hf.resize_token_embeddings(len(tokenizer)))"
        )

    def _names(self, ids: Sequence[int]) -> list[str]:
        return [str(self.tokenizer.convert_ids_to_tokens(i)) for i in ids[:10]] + ["…"] * len(ids[10:])


def is_special(tokenizer: Any, token: int) -> bool:
    """Whether a token is not part of a text's own words: it begins or ends a text or a turn, or pads it."""
    added = getattr(tokenizer, "added_tokens_decoder", {}).get(token)
    return token in tokenizer.all_special_ids or bool(getattr(added, "special", False))


def special_tokens(tokenizer: Any) -> list[str]:
    """The words that are read as one special token wherever they stand in a text."""
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    return list(dict.fromkeys([*map(str, tokenizer.all_special_tokens), *(str(t) for t in added if t.special)]))


def encoded(texts: Iterable[str | Rendered], encoder: Encoder, at_a_time: int) -> Iterator[Encoded]:
    """Rows of any number of texts, tokenized `at_a_time` at a time, as they are needed; a plain text is all answer."""
    rest = iter(texts)
    while some := list(islice(rest, at_a_time)):
        yield from encoder.encode([rendered(text) for text in some])


def rendered(text: str | Rendered) -> Rendered:
    """A text with its parts; a plain one is all answer.

    Raises:
        InputError: it is not text.
    """
    return text if isinstance(text, Rendered) else Rendered("", "", a_text(text, "texts"))


def continuable(text: str | Rendered) -> Rendered:
    """What a model continues: a prompt without its answer, or the beginning of a bare statement.

    Raises:
        InputError: it is not text.
    """
    if not isinstance(text, Rendered):
        return Rendered("", a_text(text, "prompts"), "")
    return text if text.bare else replace(text, answer="")


def _turns(text: Rendered) -> list[Message]:
    """The turns before the answer, with the context in front of the first user turn's content."""
    turns = list(text.messages)
    if not turns:
        return [Message("user", (text.context + text.prompt).rstrip())]
    if not text.context:
        return turns
    first = next((i for i, turn in enumerate(turns) if turn.role == "user"), None)
    if first is None:
        systems = len(list(takewhile(lambda turn: turn.role == "system", turns)))
        return [*turns[:systems], Message("user", text.context.rstrip()), *turns[systems:]]
    turns[first] = Message("user", text.context + turns[first].content)
    return turns
