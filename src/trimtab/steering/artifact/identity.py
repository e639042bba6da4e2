"""The id of an artifact, the key of releases, audits and caches."""

from collections.abc import Mapping
from hashlib import sha256

import numpy as np

from trimtab.steering.artifact.manifest import Manifest, canonical
from trimtab.steering.artifact.tensors import Floats


def identity(manifest: Manifest, tensors: Mapping[str, Floats]) -> str:
    """SHA-256 of the manifest's canonical JSON and of every tensor's name, shape and little-endian float32 bytes."""
    digest = sha256(canonical(manifest).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name}{list(tensor.shape)}".encode())
        digest.update(np.asarray(tensor, "<f4", order="C").tobytes())
    return digest.hexdigest()
