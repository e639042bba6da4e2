"""The OpenAPI document: what FastAPI derives, with the key that is asked for, and without what is never answered."""

from collections.abc import Iterator
from typing import Any, Final

from fastapi import FastAPI

from trimtab.serving.guard import OPEN

_SCHEME: Final = "key"
_METHODS: Final = frozenset({"get", "put", "post", "delete", "patch", "head", "options"})


class DocumentedApp(FastAPI):
    """An app whose document says of each route whether it needs a key, and which errors it answers with.

    FastAPI lists an answer with status 422 for each body; here what is wrong with a body is told with 400, as OpenAI
    does.

    Args:
        keys: whether the server asks for keys.
        options: of `FastAPI`.
    """

    def __init__(self, *, keys: bool, **options: Any) -> None:
        super().__init__(**options)
        self._keys = keys

    def openapi(self) -> dict[str, Any]:
        """The document; made once."""
        known = self.openapi_schema is not None
        document = super().openapi()
        if not known:
            self._mend(document)
        return document

    def _mend(self, document: dict[str, Any]) -> None:
        for path, operation in _operations(document):
            operation["responses"].pop("422", None)
            if self._keys and path not in OPEN:
                operation["security"] = [{_SCHEME: []}]
        components = document.setdefault("components", {})
        for name in ("HTTPValidationError", "ValidationError"):
            components.get("schemas", {}).pop(name, None)
        if self._keys:
            components["securitySchemes"] = {_SCHEME: {"type": "http", "scheme": "bearer"}}


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method in _METHODS:
                yield path, operation
