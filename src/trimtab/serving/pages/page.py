"""Pages and the files that they are made of; they hold no data, and need no key.

What a page shows comes from the server's other paths, with the key that the reader types in. The content security
policy lets it load its own files and ask its own server, nothing else; and since it allows no trusted types, a browser
that knows them refuses to make elements out of text.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response

from trimtab.reports.style import style

_KINDS: Final = {"html": "text/html", "css": "text/css", "js": "text/javascript", "json": "application/json"}
_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


@dataclass(frozen=True)
class Page:
    """A folder of files, each at `/NAME/FILE`; its `index.html` at the page's own path.

    Args:
        package: that has the folder `files`.
        name: by which its files are found.
        home: path of `index.html`; None where there is none.
    """

    package: str
    name: str
    home: str | None = None

    @property
    def paths(self) -> dict[str, str]:
        """Names of the files by their paths."""
        names = sorted(one.name for one in (files(self.package) / "files").iterdir())
        return {self.home if name == "index.html" and self.home else f"/{self.name}/{name}": name for name in names}

    def file(self, name: str) -> tuple[str, str]:
        """A file's text, and its media type. A style sheet comes after the one that reports have too."""
        text = (files(self.package) / "files" / name).read_text(encoding="utf-8")
        if name == "shared.css":
            text = style() + text
        return text, _KINDS[name.rpartition(".")[2]]


SHARED: Final = Page("trimtab.serving.pages", "pages")
"""The files that all pages load."""


def routes(*pages: Page) -> APIRouter:
    """The routes of pages and their files; they are no part of the API."""
    router = APIRouter(include_in_schema=False)
    for page in pages:
        for path, name in page.paths.items():
            router.add_api_route(path, _endpoint(*page.file(name)), methods=["GET"])
    return router


def _endpoint(content: str, kind: str) -> Callable[[], Awaitable[Response]]:
    async def answer() -> Response:
        return Response(content, media_type=kind, headers=_HEADERS)

    return answer
