"""Examples of docstrings as griffe knows them: ours are headed `Example:`, which it would show as a plain remark."""

import re
from typing import Any

import griffe  # of the environment that builds the site


class Examples(griffe.Extension):  # type: ignore[misc]
    """Reads the section `Example:` of every docstring as `Examples:`, so that it is shown as code."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for every module, class, function and attribute once it is read."""
        if obj.docstring:
            obj.docstring.value = re.sub(r"^( *)Example:$", r"\1Examples:", obj.docstring.value, flags=re.MULTILINE)
