"""Prompts and answers at rest: encrypted by Fernet where a key is given."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from trimtab.errors import InputError

VARIABLE: Final = "TRIMTAB_TEXT_KEY"
"""A file with a key of Fernet a line: the first encrypts, all decrypt."""


class TextCipher:
    """Encrypts texts, and decrypts what it or an earlier key encrypted.

    Args:
        keys: of Fernet, the newest first; none leaves texts as they are.

    Raises:
        InputError: one is no key.

    Example:
        >>> from cryptography.fernet import Fernet
        >>> from trimtab.operations import TextCipher
        >>> cipher = TextCipher([Fernet.generate_key().decode()])
        >>> cipher.texts(cipher.content("Hello?", "Hello!"), encrypted=True)
        ('Hello?', 'Hello!')
    """

    def __init__(self, keys: list[str] | None = None) -> None:
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys]) if keys else None
        except (ValueError, TypeError):
            raise InputError(
                "a key of the texts is none of Fernet: 32 bytes in URL-safe base64; make one with: trimtab store key",
                field="text_key",
            ) from None

    @staticmethod
    def load(file: str | Path | None = None) -> "TextCipher":
        """By the keys in a file; by default that of `TRIMTAB_TEXT_KEY`, without which texts stay as they are.

        Raises:
            InputError: it cannot be read, or holds no keys.
        """
        place = file if file is not None else os.environ.get(VARIABLE)
        if place is None:
            return TextCipher()
        try:
            keys = Path(place).read_text(encoding="ascii").split()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{place} cannot be read: {error}", code="unreadable-file", field="text_key") from error
        if not keys:
            raise InputError(f"{place} holds no key", code="missing-value", field="text_key")
        return TextCipher(keys)

    @property
    def encrypts(self) -> bool:
        """Whether there is a key."""
        return self._fernet is not None

    def content(self, prompt: str | None, answer: str | None) -> bytes:
        """The texts as they are kept."""
        return self.sealed({"prompt": prompt, "answer": answer})

    def sealed(self, texts: Mapping[str, str | None]) -> bytes:
        """Texts by name, as they are kept."""
        plain = json.dumps(texts).encode()
        return plain if self._fernet is None else self._fernet.encrypt(plain)

    def texts(self, content: bytes, *, encrypted: bool) -> tuple[str | None, str | None]:
        """Prompt and answer.

        Raises:
            InputError: they are encrypted, by another key or with none given.
        """
        value = self.opened(content, encrypted=encrypted)
        return value["prompt"], value["answer"]

    def opened(self, content: bytes, *, encrypted: bool) -> dict[str, str | None]:
        """Texts by name, from what `sealed` made.

        Raises:
            InputError: they are encrypted, by another key or with none given.
        """
        if encrypted:
            try:
                if self._fernet is None:
                    raise InvalidToken
                content = self._fernet.decrypt(content)
            except InvalidToken:
                raise InputError(
                    f"the texts are encrypted, and none of the keys opens them; name the file of keys in {VARIABLE}",
                    field="text_key",
                ) from None
        value: dict[str, str | None] = json.loads(content)
        return value
