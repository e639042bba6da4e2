"""Where converted models are kept."""

import os
from pathlib import Path

from trimtab.errors import InputError


def cache_dir() -> Path:
    """`TRIMTAB_CACHE`, or `trimtab` in the user's cache folder.

    Raises:
        InputError: a home folder is needed and cannot be found.
    """
    given = os.environ.get("TRIMTAB_CACHE")
    try:
        if given:
            return Path(given).expanduser()
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "trimtab"
    except RuntimeError as error:
        raise InputError(
            f"the cache folder cannot be found ({error}); set TRIMTAB_CACHE to a folder you own"
        ) from error
