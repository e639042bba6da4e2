"""Where converted models are kept."""

import os
from pathlib import Path


def cache_dir() -> Path:
    """`TRIMTAB_CACHE`, or `trimtab` in the user's cache folder."""
    told = os.environ.get("TRIMTAB_CACHE")
    if told:
        return Path(told).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "trimtab"
