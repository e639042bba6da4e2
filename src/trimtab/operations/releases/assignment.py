"""Who gets which arm: nested ranges of a hash, the same on every server, after every restart, at every stage.

A unit's place is the first 8 bytes of SHA-256 over the salt, a zero byte and the unit's id. A share of s per cent are
the places below s/100 · 2^64, so that whoever was in stays in when the share grows; another salt is another draw.
"""

from hashlib import sha256
from typing import Final

PLACES: Final = 1 << 64


def place_of(salt: str, unit: str) -> int:
    """The place of a unit, 0…2^64-1."""
    return int.from_bytes(sha256(f"{salt}\0{unit}".encode(errors="surrogatepass")).digest()[:8])


def layer_place(model: str, unit: str) -> int:
    """The place of a unit among a model's slices of traffic, independent of the places in its releases."""
    return place_of(f"traffic of {model}", unit)


def bound(share: float) -> int:
    """Places below it are in a share, in per cent."""
    return int(share / 100 * PLACES)
