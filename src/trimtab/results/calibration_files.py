"""Calibrations on disk: read back, every field checked."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from trimtab.errors import InputError
from trimtab.results.prediction import Calibrations

FILE: Final = "calibrations.json"


def shipped() -> Calibrations:
    """Those that come with the package."""
    return _read(files("trimtab.results").joinpath(FILE).read_text(encoding="utf-8"), FILE)


def load_calibrations(file: Path) -> Calibrations:
    """Read what `trimtab predict --fit` wrote.

    Raises:
        InputError: no such file, or one that does not fit; the message names file and field.
    """
    try:
        return _read(file.read_text(encoding="utf-8"), str(file))
    except FileNotFoundError as error:
        raise InputError(f"{file} does not exist; trimtab predict --fit writes it") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error


def _read(text: str, name: str) -> Calibrations:
    try:
        return Calibrations.model_validate(json.loads(text, parse_constant=_no_number))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise InputError(f"{name} does not hold calibrations of this version: {place}: {first['msg']}") from error
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} cannot be read: {error}") from error


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is not a number")
