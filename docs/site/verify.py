"""The built pages, looked at: every link inside leads somewhere, and nothing is loaded from another host.

python -m docs.site.verify out/site
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

_LOADING: Final = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src",
                   "embed": "src", "object": "data", "link": "href"}  # fmt: skip
_NAVIGATION: Final = {"alternate", "canonical", "next", "prev"}  # kinds of <link> that load nothing
_CSS: Final = re.compile(r"url\(\s*['\"]?((?:https?:)?//[^'\")]+)|@import\s+['\"]((?:https?:)?//[^'\"]+)")


@dataclass
class Page:
    """What a page holds of what matters here.

    Args:
        ids: where links may lead.
        links: addresses of links.
        loads: addresses that a browser fetches by itself.
    """

    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self._style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.page.ids |= {given[name] for name in ("id", "name") if given.get(name)}
        self._style = tag == "style"
        if tag == "a" and "href" in given:
            self.page.links.append(given["href"])
        followed = tag == "link" and set(given.get("rel", "").split()) & _NAVIGATION
        if given.get(_LOADING.get(tag, "")) and not followed:
            self.page.loads.append(given[_LOADING[tag]])
        self.page.loads += [a or b for a, b in _CSS.findall(given.get("style", ""))]

    def handle_data(self, data: str) -> None:
        if self._style:
            self.page.loads += [a or b for a, b in _CSS.findall(data)]


def read(text: str) -> Page:
    """A page of HTML."""
    reader = _Reader()
    reader.feed(text)
    return reader.page


def faults(site: Path) -> Iterator[str]:
    """What is wrong with the built site, in words."""
    pages = {path.resolve(): read(path.read_text()) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        shown = path.relative_to(site.resolve())
        yield from (f"{shown} loads {address}" for address in page.loads if urlsplit(address).netloc)
        for address in [*page.links, *page.loads]:
            if fault := _astray(path, address, pages):
                yield f"{shown} links to {address}: {fault}"
    for style in sorted(site.rglob("*.css")):
        for a, b in _CSS.findall(style.read_text()):
            yield f"{style.relative_to(site)} loads {a or b}"


def _astray(path: Path, address: str, pages: dict[Path, Page]) -> str | None:
    """Why an address leads nowhere; None for one that leads somewhere, or to another host."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return None
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        target /= "index.html"
    if not target.exists():
        return "there is no such file"
    anchor = unquote(parts.fragment)
    if anchor and target in pages and anchor not in pages[target].ids:
        return "there is no such heading"
    return None


def main(site: Path) -> None:
    """Say what is wrong and end with 1, or say how much was looked at."""
    found = list(faults(site))
    if found:
        sys.exit("\n".join(found))
    sys.stdout.write(f"{len(list(site.rglob('*.html')))} pages: every link leads somewhere, nothing from other hosts\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
