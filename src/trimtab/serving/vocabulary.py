"""From text to token ids and back, in the process that has no model."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from trimtab.errors import InputError

_SPACE: Final = "\N{LOWER ONE EIGHTH BLOCK}"  # how sentencepiece writes a space


class Vocabulary(Protocol):
    """The model's tokens. Without it, prompts are chats or token ids, and log-probabilities cannot be named."""

    def ids(self, text: str) -> Sequence[int]:
        """Token ids of a prompt, with those that the model wants in front."""
        ...

    def letters(self, token: int) -> bytes:
        """What a token spells in UTF-8, perhaps a part of a character; empty for an unknown id."""
        ...


class FileVocabulary:
    """The vocabulary in a `tokenizer.json`.

    Args:
        file: as `tokenizers` writes it.
        first: the token that goes in front of every plain text, as `trimtab.models.Encoder.first` says: behind it
            steerings are fitted and checked. None for none.

    Raises:
        InputError: it cannot be read.
    """

    def __init__(self, file: Path, first: int | None) -> None:
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:  # tokenizers raises Exception itself
            raise InputError(
                f"{file} holds no tokenizer: {error}", code="unreadable-file", field="tokenizer"
            ) from error
        self._first = first
        self._bytes = _byte_letters() if "ByteLevel" in str(self._tokenizer.decoder) else {}
        self._added = {token: added.content for token, added in self._tokenizer.get_added_tokens_decoder().items()}

    def ids(self, text: str) -> Sequence[int]:
        """See `Vocabulary.ids`."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids if self._first is None or ids[:1] == [self._first] else [self._first, *ids]

    def id_of(self, token: str) -> int | None:
        """The id of a token by its own text; None if there is none."""
        id: int | None = self._tokenizer.token_to_id(token)
        return id

    def letters(self, token: int) -> bytes:
        """See `Vocabulary.letters`."""
        piece = self._added.get(token)
        if piece is not None:
            return piece.encode()
        piece = self._tokenizer.id_to_token(token)
        if piece is None:
            return b""
        if self._bytes:
            return bytes(self._bytes[letter] for letter in piece if letter in self._bytes)
        if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
            return bytes([int(piece[3:5], 16)])
        return piece.replace(_SPACE, " ").encode()


def folder_vocabulary(folder: Path) -> FileVocabulary:
    """The vocabulary of a model's folder, with the first token that `trimtab.models.Encoder` would take.

    Raises:
        InputError: there is no tokenizer in it, or its settings cannot be read.
    """
    settings = folder / "tokenizer_config.json"
    try:
        said = json.loads(settings.read_text(encoding="utf-8"))
        named = [said.get(f"{name}_token") for name in ("bos", "eos", "cls")]
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(
            f"{settings} cannot be read; give the model's folder, with its tokenizer.json", code="unreadable-file",
            field="tokenizer",
        ) from error  # fmt: skip
    texts = [one.get("content") if isinstance(one, dict) else one for one in named]
    plain = FileVocabulary(folder / "tokenizer.json", None)
    first = next((plain.id_of(text) for text in texts if isinstance(text, str)), None)
    return FileVocabulary(folder / "tokenizer.json", first)


def _byte_letters() -> dict[str, int]:
    """The letters by which byte-level tokens write bytes, as GPT-2 chose them."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + i): byte for i, byte in enumerate(others)}
