"""A checkpoint: size and root of the audit at a time, signed, to be published where nobody of the store can change it.

Written as C2SP's tlog-checkpoint: origin, size, root in base64, then a line of ours with the time. Beside it go the
hashes of all entries, by which a later verification names the very entry that was changed; the root vouches for them.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2

from trimtab.errors import InputError, TrimtabError
from trimtab.operations.audit.merkle import root_of
from trimtab.operations.audit.signing import Verifier
from trimtab.storage.atomic import whole

LEAVES: Final = ".leaves"
"""What the name of the file with the entries' hashes ends in, behind the checkpoint's own."""

_TIME: Final = "time "
_URLS: Final = ("http://", "https://")
_HASH: Final = 32
_PATIENCE: Final = 30.0  # seconds to publish to a URL


@dataclass(frozen=True)
class Checkpoint:
    """Size and root of the audit at a time.

    Args:
        origin: which audit.
        size: entries.
        root: of the Merkle tree over them.
        time: in ISO 8601, UTC.
        note: the signed text; empty if it is not signed.

    Example:
        >>> from trimtab.operations import Checkpoint
        >>> print(Checkpoint("ours", 0, bytes(32), "2030-01-01T00:00:00+00:00").text.splitlines()[1])
        0
    """

    origin: str
    size: int
    root: bytes
    time: str
    note: str = ""

    @property
    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n{_TIME}{self.time}\n"

    @staticmethod
    def parse(note: str, verifier: Verifier) -> "Checkpoint":
        """Read a signed note.

        Raises:
            InputError: the signature is not the verifier's, or the text is no checkpoint.
        """
        lines = verifier.text_of(note).splitlines()
        try:
            origin, size, root, time = lines[0], int(lines[1]), b64decode(lines[2], validate=True), lines[3]
        except (IndexError, ValueError, Base64Error) as error:
            raise InputError(
                "what was signed is no checkpoint of an audit", code="wrong-file", field="checkpoint"
            ) from error
        return Checkpoint(origin, size, root, time.removeprefix(_TIME), note)


def put(place: str, note: str, leaves: bytes) -> None:
    """Write a checkpoint and the hashes of its entries to a file, or to a URL by PUT; the hashes first.

    Raises:
        InputError: the file cannot be written, or the URL refuses.
        TrimtabError: the URL does not answer.
    """
    for name, content in ((place + LEAVES, leaves), (place, note.encode())):
        if place.startswith(_URLS):
            _put(name, content)
            continue
        try:
            with whole(Path(name)) as new:
                new.write_bytes(content)
        except OSError as error:
            raise InputError(
                f"{name} cannot be written: {error.strerror}", code="unwritable-file", field="out"
            ) from error


def published(place: str, verifier: Verifier) -> tuple[Checkpoint, Sequence[bytes] | None]:
    """A checkpoint from a file, and the hashes of its entries if they lie beside it.

    Args:
        place: the file.
        verifier: the public key of who signed it, got from elsewhere than the file.

    Raises:
        InputError: no file, or one that the verifier has not signed; hashes that do not belong to the root.

    Example:
        >>> from trimtab.operations import Signer, Store, publish, published
        >>> with Store("shown.db", create=True) as store:
        ...     signer = Signer.create("shown.key", "ours")
        ...     made = publish(store, signer, "shown.txt")
        >>> published("shown.txt", signer.verifier) == (made, [])
        True
    """
    try:
        made = Checkpoint.parse(Path(place).read_text(encoding="utf-8"), verifier)
        beside = Path(place + LEAVES)
        content = beside.read_bytes() if beside.exists() else None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{place} cannot be read: {why}", code="unreadable-file", field="checkpoint") from error
    if content is None:
        return made, None
    leaves = [content[at : at + _HASH] for at in range(0, len(content), _HASH)]
    if len(leaves) != made.size or root_of(leaves) != made.root:
        raise InputError(
            f"{place}{LEAVES} does not belong to the checkpoint: its root is another; restore it, or remove it",
            code="damaged-file",
            field="checkpoint",
        )
    return made, leaves


def _put(url: str, content: bytes) -> None:
    try:
        answer = httpx2.put(url, content=content, timeout=_PATIENCE)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise TrimtabError(f"{url} does not answer: {error}", code="endpoint-failed", field="out") from error
    if answer.is_error:
        raise InputError(f"{url} answers {answer.status_code}", code="endpoint-refused", field="out")
