"""Which units were seen, in eight bytes each: two of a billion are taken for one with a chance of a few per cent."""

from hashlib import blake2b
from typing import Final

import numpy as np

_NEW: Final = 10_000  # that are held apart until they are sorted in


class SeenUnits:
    """A set of names to which is only added."""

    def __init__(self) -> None:
        self._sorted = np.zeros(0, dtype=np.uint64)
        self._new: set[int] = set()

    def add(self, name: str) -> bool:
        """Whether a name is new."""
        code = int.from_bytes(blake2b(name.encode(errors="surrogatepass"), digest_size=8).digest())
        if code in self._new:
            return False
        place = int(np.searchsorted(self._sorted, np.uint64(code)))
        if place < len(self._sorted) and int(self._sorted[place]) == code:
            return False
        self._new.add(code)
        if len(self._new) > _NEW:
            new = np.fromiter(self._new, dtype=np.uint64, count=len(self._new))
            self._sorted = np.sort(np.concatenate([self._sorted, new]))
            self._new.clear()
        return True
