"""Docstrings as griffe reads them: ours head an example `Example:`, and may describe several arguments in one entry."""

import re
from typing import Any

import griffe  # of the environment that builds the site

_SHARED = re.compile(r"^( {4,})(\w+(?:, \w+)+): ", re.MULTILINE)


class Docstrings(griffe.Extension):  # type: ignore[misc]
    """Shows the section `Example:` as code, and `train, dev: …` as an entry for each."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for every module, class, function and attribute once it is read."""
        if obj.docstring:
            text = re.sub(r"^( *)Example:$", r"\1Examples:", obj.docstring.value, flags=re.MULTILINE)
            obj.docstring.value = _SHARED.sub(_parted, text)


def _parted(match: re.Match[str]) -> str:
    """All but the last of the names refer to it; its description follows."""
    indent, names = match[1], match[2].split(", ")
    others = "".join(f"{indent}{name}: see `{names[-1]}`.\n" for name in names[:-1])
    return f"{others}{indent}{names[-1]}: "
