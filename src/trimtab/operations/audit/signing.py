"""Ed25519 keys of the audit, and signed notes (C2SP signed-note): a text with lines of signatures below it."""

import os
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from trimtab.errors import InputError

_ED25519: Final = b"\x01"  # of signed notes
_MARK: Final = "— "
VARIABLE: Final = "TRIMTAB_AUDIT_KEY"


@dataclass(frozen=True)
class Verifier:
    """The public half of a key, as `NAME+HASH+KEY`: what is published, to check signatures by.

    Args:
        name: of the signer; no spaces, no plus.
        public: the Ed25519 key, 32 bytes.

    Example:
        >>> from trimtab.operations import Signer, Verifier
        >>> signer = Signer.create("audit.key", "ours")
        >>> Verifier.parse(str(signer.verifier)) == signer.verifier
        True
    """

    name: str
    public: bytes

    @staticmethod
    def parse(text: str) -> "Verifier":
        """Read a verifier key.

        Raises:
            InputError: it is none.
        """
        name, plus, rest = text.strip().partition("+")
        hashed, _, encoded = rest.partition("+")
        try:
            key = b64decode(encoded, validate=True)
        except Base64Error:
            key = b""
        found = Verifier(name, key[1:])
        if not plus or key[:1] != _ED25519 or len(key) != 33 or hashed != found.hash.hex():
            raise InputError("the verifier key must be as trimtab audit key shows it: NAME+HASH+KEY", field="verifier")
        return found

    @property
    def hash(self) -> bytes:
        """By which signatures name the key, 4 bytes."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.hash.hex()}+{b64encode(_ED25519 + self.public).decode()}"

    def text_of(self, note: str) -> str:
        """The text of a note that this key has signed.

        Raises:
            InputError: it has not, or the text was changed afterwards.
        """
        text, blank, signatures = note.rpartition("\n\n")
        for line in signatures.splitlines() if blank else ():
            if not line.startswith(f"{_MARK}{self.name} "):
                continue
            try:
                signed = b64decode(line.rpartition(" ")[2], validate=True)
                if signed[:4] == self.hash:
                    Ed25519PublicKey.from_public_bytes(self.public).verify(signed[4:], f"{text}\n".encode())
                    return f"{text}\n"
            except (Base64Error, InvalidSignature, ValueError):
                break
        raise InputError(
            f"the checkpoint carries no valid signature of {self}: it was changed, or signed by another key",
            code="damaged-file",
            field="checkpoint",
        )


class Signer:
    """The private half of a key.

    Args:
        key: an Ed25519 key.
        name: of the signer.

    Example:
        >>> from trimtab.operations import Signer
        >>> Signer.create("mine.key", "ours").verifier.name
        'ours'
    """

    def __init__(self, key: Ed25519PrivateKey, name: str) -> None:
        self._key = key
        self.verifier = Verifier(name, key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    @staticmethod
    def create(file: str | Path, name: str) -> "Signer":
        """Make a key, in a file that its owner alone may read: its name, then the key in PEM.

        Raises:
            InputError: there is such a file, it cannot be written, or the name has a space or a plus.
        """
        if not name or "+" in name or any(letter.isspace() for letter in name) or not name.isprintable():
            raise InputError(f"the signer's name {name!r} must be one word without a plus", field="name")
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path = Path(file)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as new:
                new.write(f"name: {name}\n".encode() + pem)
        except FileExistsError:
            raise InputError(
                f"{path} is there already; a key is never replaced", code="file-exists", field="key"
            ) from None
        except OSError as error:
            raise InputError(
                f"{path} cannot be written: {error.strerror}", code="unwritable-file", field="key"
            ) from error
        return Signer(key, name)

    @staticmethod
    def load(file: str | Path) -> "Signer":
        """Read a key that `create` made.

        Raises:
            InputError: there is none, or something else.
        """
        path = Path(file)
        try:
            first, _, pem = path.read_bytes().partition(b"\n")
            key = load_pem_private_key(pem, None)
            name = first.decode().removeprefix("name: ")
        except FileNotFoundError:
            raise InputError(
                f"there is no key in {path}; make one with: trimtab audit key", code="no-such-file", field="key"
            ) from None
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}", code="unreadable-file", field="key") from error
        except (ValueError, TypeError):
            key, name = None, ""
        if not isinstance(key, Ed25519PrivateKey) or not name:
            raise InputError(f"{path} holds no key of the audit", code="wrong-file", field="key")
        return Signer(key, name)

    def signed(self, text: str) -> str:
        """The text, which ends in a newline, as a signed note."""
        signature = b64encode(self.verifier.hash + self._key.sign(text.encode())).decode()
        return f"{text}\n{_MARK}{self.verifier.name} {signature}\n"


def default_key() -> Path:
    """`TRIMTAB_AUDIT_KEY`, or `trimtab/audit.key` in the user's configuration folder."""
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "trimtab" / "audit.key"
