"""What a page or a plot says by itself, and what of it is English."""

import json
import re
from collections.abc import Collection, Iterable, Iterator
from html.parser import HTMLParser

JAPANESE = re.compile("[ぁ-んァ-ヶ一-龯]")
# Two words of English or more, but for names that stand beside each other, and commands.
RUN = re.compile(r"[A-Za-z][A-Za-z'’-]+(?:[ ,;:]+[A-Za-z][A-Za-z'’-]+)+")
NAMES = {"SVG PNG", "cpu, transformers", "prefilled dev", "residual dev"}
VERB = re.compile("trimtab [a-z]+")


class Words(HTMLParser):
    """What a page says by itself: no texts of data sets, names or commands."""

    VOID = frozenset({"meta", "link", "br", "wbr", "img", "line", "rect", "path", "circle"})
    APART = frozenset({"script", "style", "code", "bdi"})

    def __init__(self, document: str) -> None:
        super().__init__()
        self.open: list[tuple[str, bool]] = []
        self.parts: list[str] = []
        self.english: list[str] = []
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.parts += [f"{given[name]}\n" for name in ("aria-label", "data-label") if name in given]
        if tag not in self.VOID:
            self.open.append((tag, tag in self.APART or given.get("lang") == ""))

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not any(apart for _, apart in self.open):
            self.parts.append(data)

    @property
    def runs(self) -> set[str]:
        return self.without(())

    def without(self, names: Iterable[str]) -> set[str]:
        """The runs of English words, but for names that the page is about."""
        text = VERB.sub(" · ", "".join(self.parts))
        for name in names:
            text = text.replace(name, "·")
        return set(RUN.findall(text)) - NAMES


def strings(value: object, apart: Collection[str]) -> Iterator[str]:
    """The words of a plot, but for those under some keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from strings(each, apart) if key not in apart else ()
    elif isinstance(value, list):
        for each in value:
            yield from strings(each, apart)


def plotted(page: str, *apart: str) -> list[str]:
    """The words of a page's plots, without colours, fonts and places, and without those under some keys."""
    data = re.search(r'id="figures">(.*?)</script>', page)
    assert data is not None
    return [
        text
        for text in strings(json.loads(data[1]), {"textposition", *apart})
        if not text.startswith(("#", "rgb", "system-ui"))
    ]


def foreign(words: Iterable[str], more: Iterable[str] = ()) -> list[str]:
    """Those that hold English, but for names and what a plot puts in."""
    names = "|".join((r"<[^>]*>|%\{[^}]*\}|prefilled|instruction|shot", *map(re.escape, more)))
    return [text for text in words if RUN.search(re.sub(names, "", text))]
