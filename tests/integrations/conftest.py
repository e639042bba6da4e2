"""Other harnesses: they install into environments of their own, so most runs skip their tests."""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest
from tests.conftest import _missing


@pytest.fixture(scope="session")
def require() -> Callable[[str, str], Any]:
    """A module by its name, and the package that it comes from; TRIMTAB_REQUIRE may name the package."""

    def found(module: str, package: str) -> Any:
        if find_spec(module) is None:
            _missing(package, f"{package} is not installed (pip install {package}, in an environment of its own)")
        return import_module(module)

    return found
