"""Asking the store for a request: off the event loop, its refusals as HTTP tells them."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from trimtab.errors import Code, InputError, TrimtabError
from trimtab.operations import ConflictError
from trimtab.serving.errors import HttpError
from trimtab.texts import name_fault

_OF_STORE: Final[frozenset[Code]] = frozenset(
    {"store-failed", "busy", "unwritable-file", "unreadable-file", "damaged-file", "other-schema"}
)
_RETRY: Final = 1.0  # seconds
T = TypeVar("T")


async def from_store(act: Callable[[], T], name: str | None = None) -> T:
    """What the store says, in a thread.

    Args:
        act: asks it.
        name: of the release in the path, whose absence is a 404.

    Raises:
        HttpError: 404, 409 with the release as it is, or 503 where the store cannot be used.
        InputError: what is wrong with the request.
    """
    if name is not None and (fault := name_fault(name)):
        raise HttpError(f"there is no such release: its name {fault}", status=404, word="unknown-choice", param="name")
    try:
        return await asyncio.to_thread(act)
    except ConflictError as error:
        body = {"release": error.record}
        raise HttpError(str(error), status=409, word=error.code, param=error.field, beside=body) from None
    except InputError as error:
        if error.code in _OF_STORE and error.field == "store":
            raise _unusable(error) from None
        if name is not None and error.code == "unknown-choice" and error.field == "release":
            raise HttpError(str(error), status=404, word=error.code, param="name") from None
        raise
    except TrimtabError as error:
        raise _unusable(error) from None


def _unusable(error: TrimtabError) -> HttpError:
    return HttpError(str(error), status=503, word=error.code, param=error.field, retry_after=_RETRY)
