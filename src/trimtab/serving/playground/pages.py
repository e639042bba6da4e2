"""The page at `/` and the files that it is made of; they hold no data, and need no key.

What the page shows comes from the server's other paths, with the key that the reader types in. The content security
policy lets it load its own files and ask its own server, nothing else; and since it allows no trusted types, a browser
that knows them refuses to make elements out of text.
"""

from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response

from trimtab.reports.style import style

_FOLDER: Final = files("trimtab.serving.playground") / "files"
_SCRIPTS: Final = ("answers", "controls", "elements", "exchange", "page", "requests", "snippets", "tokens", "verdicts")
_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}

PATHS: Final = frozenset({"/", "/playground/style.css", *(f"/playground/{name}.js" for name in _SCRIPTS)})
"""Where the page and its files are."""


def pages() -> APIRouter:
    """The routes of the page and its files; they are no part of the API."""
    router = APIRouter(include_in_schema=False)
    for path in sorted(PATHS):
        router.add_api_route(path, _endpoint(*_file(path)), methods=["GET"])
    return router


def _endpoint(content: str, kind: str) -> Callable[[], Awaitable[Response]]:
    async def answer() -> Response:
        return Response(content, media_type=kind, headers=_HEADERS)

    return answer


def _file(path: str) -> tuple[str, str]:
    """What is at a path, and its media type."""
    if path == "/":
        return _read("index.html"), "text/html"
    name = path.rpartition("/")[2]
    return (style() + _read(name), "text/css") if name.endswith(".css") else (_read(name), "text/javascript")


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
