"""Print the lowest versions that pyproject.toml allows, as constraints for pip: `make test-lowest` installs them."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
required = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
for line in required:
    name, bound = re.fullmatch(r"([\w.-]+)(?:\[[^]]*\])?>=([\d.]+)(?:,.*)?", line).groups()  # type: ignore[union-attr]
    print(f"{name}=={bound}")  # noqa: T201
