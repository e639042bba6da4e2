"""Pages and the files that they are made of; they hold no data, and need no key.

What a page shows comes from the server's other paths, with the key that the reader types in. The content security
policy lets it load its own files and ask its own server, nothing else; and since it allows no trusted types, a browser
that knows them refuses to make elements out of text.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response

from trimtab.languages import ENGLISH, LANGUAGES, Language, spoken
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
        stored = {one.name for one in (files(self.package) / "files").iterdir()}
        names = sorted(stored | {f"{code}.json" for code in LANGUAGES})
        return {self.home if name == "index.html" and self.home else f"/{self.name}/{name}": name for name in names}

    def file(self, name: str) -> tuple[str, str]:
        """A file's text, and its media type. A style sheet comes after the one that reports have too.

        Texts of other languages than English, which `en.json` holds, come from the catalogue that all translations do.
        """
        code = next((code for code in LANGUAGES if name == f"{code}.json"), ENGLISH.code)
        stored = name if code == ENGLISH.code else "en.json"
        text = (files(self.package) / "files" / stored).read_text(encoding="utf-8")
        if code != ENGLISH.code:
            texts = self._translated(json.loads(text), spoken(code))
            text = json.dumps(texts, ensure_ascii=False, indent=2)
        if name == "shared.css":
            text = style() + text
        return text, _KINDS[name.rpartition(".")[2]]

    def _translated(self, english: Mapping[str, str | Mapping[str, str]], language: Language) -> dict[str, object]:
        """Texts by key; those that differ between one and many have one form, as the language does."""
        said: dict[str, object] = {}
        for key, text in english.items():
            place = f"{self.name} {key}"
            if isinstance(text, str):
                said[key] = language.of_place(place, text)
            else:
                said[key] = {"other": language.of_place(place, text["other"])}
        return said


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
