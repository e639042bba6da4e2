"""API keys of the server: random, shown once, kept as SHA-256 digests in a file that only its owner reads."""

import json
import os
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from typing import Any, Final, Literal, get_args

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from trimtab.errors import InputError, TrimtabError
from trimtab.nearest import meant
from trimtab.storage.atomic import whole
from trimtab.texts import shown

KeyScope = Literal["read", "infer", "operate"]
"""What a key allows: listing models, steerings and metrics; asking for answers; changing what is served."""

KEY_SCOPES: Final[tuple[KeyScope, ...]] = get_args(KeyScope)
PREFIX: Final = "tt-"  # by which scanners of leaked secrets find keys
MAX_NAME: Final = 100
_WAIT: Final = 10.0  # seconds for another process that changes the file


class _Stored(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Key(_Stored):
    """A key as it is kept, from which the key itself cannot be had.

    Args:
        name: by which it is listed, logged and revoked.
        digest: SHA-256 of the key; its 256 random bits need no salt.
        scopes: what it allows.
        created: time in ISO 8601, UTC.
    """

    name: str
    digest: str
    scopes: frozenset[KeyScope]
    created: datetime


class _File(_Stored):
    format: Literal[1] = 1
    keys: tuple[Key, ...] = ()


@dataclass(frozen=True)
class _Read:
    """The file's keys, and which file they were read from."""

    stamp: tuple[int, int, int] | None
    keys: tuple[Key, ...]


class KeyFile:
    """The keys in a file; one that is not there holds none. A change holds from the next request on.

    Args:
        file: JSON, written by `create` and `revoke`.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._last = _Read(None, ())

    @property
    def keys(self) -> tuple[Key, ...]:
        """All keys, oldest first.

        Raises:
            InputError: the file cannot be read, or holds something else.
        """
        stamp = self._stamp()
        if stamp is None:
            return ()
        if stamp != self._last.stamp:
            self._last = _Read(stamp, self._parsed())
        return self._last.keys

    def find(self, key: str) -> Key | None:
        """The entry of a key; None if it is not one of these. Takes equally long whichever it is.

        Raises:
            InputError: as for `keys`.
        """
        digest = _digest(key)
        found = None
        for entry in self.keys:
            if compare_digest(entry.digest, digest):
                found = entry
        return found

    def create(self, name: str, scopes: Collection[str]) -> str:
        """Make a key and return it; it cannot be shown again.

        Args:
            name: of nobody else's key.
            scopes: of `KEY_SCOPES`, at least one.

        Raises:
            InputError: a name that is taken or not printable, an unknown scope, none; the file cannot be read or
                written.
        """
        key = PREFIX + secrets.token_urlsafe(32)
        entry = Key(name=_named(name), digest=_digest(key), scopes=_scopes(scopes), created=_now())
        with self._locked():
            if any(other.name == name for other in self.keys):
                raise InputError(
                    f"there is a key named {name!r} already; choose another name, or revoke that one first",
                    code="repeated-name",
                    field="name",
                )
            self._write((*self.keys, entry))
        return key

    def revoke(self, name: str) -> Key:
        """Remove a key, and return what was kept of it.

        Raises:
            InputError: there is none of this name; the file cannot be read or written.
        """
        with self._locked():
            keys = self.keys
            gone = next((entry for entry in keys if entry.name == name), None)
            if gone is None:
                known = ", ".join(repr(entry.name) for entry in keys) or "none"
                near = meant(name, [entry.name for entry in keys])
                raise InputError(
                    f"there is no key named {shown(name)!r} in {self.file}; {near}it holds {known}",
                    code="unknown-choice",
                    field="name",
                )
            self._write(tuple(entry for entry in keys if entry is not gone))
        return gone

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            status = os.stat(self.file)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:  # ValueError: a null byte
            raise _unreadable(self.file, error) from error
        return status.st_ino, status.st_mtime_ns, status.st_size

    def _parsed(self) -> tuple[Key, ...]:
        try:
            return _File.model_validate_json(self.file.read_bytes()).keys
        except OSError as error:
            raise _unreadable(self.file, error) from error
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "the file"
            raise InputError(
                f"{self.file} holds no keys of trimtab: {place}: {first['msg']}; restore it, or remove it and make "
                "new keys",
                code="damaged-file",
                field=place,
            ) from None  # the error shows the content

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time changes the file."""
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self.file}.lock", timeout=_WAIT, mode=0o600):
                yield
        except Timeout:
            raise TrimtabError(f"{self.file} is being changed by another process; try again", code="busy") from None
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise InputError(f"{self.file} cannot be written: {why}", code="unwritable-file", field="file") from error

    def _write(self, keys: tuple[Key, ...]) -> None:
        document: dict[str, Any] = _File(keys=keys).model_dump(mode="json")
        for entry in document["keys"]:
            entry["scopes"].sort()
        with whole(self.file) as new:
            new.touch(mode=0o600)
            new.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def default_file() -> Path:
    """`TRIMTAB_KEYS`, or `trimtab/keys.json` in the user's configuration folder."""
    given = os.environ.get("TRIMTAB_KEYS")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "trimtab" / "keys.json"


def _digest(key: str) -> str:
    return sha256(key.encode(errors="surrogateescape")).hexdigest()


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _named(name: str) -> str:
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise InputError(
            f"{shown(name, 20)!r} is no name of a key; give up to {MAX_NAME} printable characters", field="name"
        )
    return name


def _scopes(scopes: Collection[str]) -> frozenset[KeyScope]:
    unknown = sorted(set(scopes) - set(KEY_SCOPES))
    if unknown or not scopes:
        what = f"unknown scope {', '.join(map(repr, unknown))}" if unknown else "a key needs a scope"
        raise InputError(f"{what}; choose of {', '.join(KEY_SCOPES)}", code="unknown-choice", field="scope")
    return frozenset(scope for scope in KEY_SCOPES if scope in scopes)


def _unreadable(file: Path, error: Exception) -> InputError:
    why = getattr(error, "strerror", None) or error
    return InputError(f"{file} cannot be read: {why}", code="unreadable-file", field="file")
