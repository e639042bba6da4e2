"""What the site is built of: the pages of docs/, the files that they link to elsewhere, and the generated reference.

    python -m docs.site.stage out/site-source

writes a project for zensical for each language, into `en/` and `ja/`. It runs in trimtab's own environment, since the
reference of the command line is read from the command line.
"""

import json
import os
import re
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, Final

from docs.site import notebooks, reference

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"
HERE: Final = Path(__file__).parent
LANGUAGES: Final = {"en": "English", "ja": "日本語"}

Nav = list[Any]  # strings, and {title: string or Nav}, as MkDocs has it

_BLOCK: Final = re.compile(r"(^ *```.*?^ *```[^\n]*$)", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^()\s#]+)(#[^()\s]*)?\)")
_WITHIN: Final = re.compile(
    r"(?<=[\u3001-\u30fa\u30fc-\u9fff\uff01-\uffee])\n *(?=[\u3001-\u9fff\uff01-\uffee\[`*<])(?!\* )"
    r"|(?<=[\u3001\u3002\uff08\uff1a])\n *(?=[A-Za-z0-9])(?!\d+\. )"  # behind 、 。 （ ： there is no space either
)
_ITEM: Final = re.compile(r"(?:[-*]|\d+\.) ")
_WORDS: Final = {
    "en": {
        "about": "Steer language models by small edits to their activations, and know whether they will hold.",
        "dark": "Switch to dark colours",
        "light": "Switch to light colours",
    },
    "ja": {
        "about": "活性への小さな編集で言語モデルをステアリングし、その効果が保たれるかどうかを事前に確かめます。",
        "dark": "暗い配色に切り替える",
        "light": "明るい配色に切り替える",
    },
}


class SiteError(Exception):
    """Pages and menus do not fit together; the message says which."""


def folder(language: str) -> Path:
    """Where the pages of a language stand."""
    return DOCS if language == "en" else DOCS / language


def written(language: str) -> set[str]:
    """Pages of a language that people wrote, as paths below its folder."""
    apart = {HERE, *(DOCS / other for other in LANGUAGES if other != "en")} if language == "en" else set()
    found = (path for path in folder(language).rglob("*.md") if not apart & set(path.parents))
    return {path.relative_to(folder(language)).as_posix() for path in found}


def named(nav: Nav) -> Iterator[str]:
    """All strings of a menu: pages and patterns."""
    for entry in nav:
        inner = next(iter(entry.values())) if isinstance(entry, dict) else entry
        yield from [inner] if isinstance(inner, str) else named(inner)


def menu(nav: Nav, there: set[str]) -> Nav:
    """A menu whose patterns are replaced by the pages that stand nowhere else.

    Raises:
        SiteError: where it names a page that is not there, or leaves one out.
    """
    once = {entry for entry in named(nav) if "*" not in entry}
    if once - there:
        raise SiteError(f"the menu names pages that are not there: {', '.join(sorted(once - there))}")
    found = _expanded(nav, there - once)
    if left := there - set(named(found)):
        raise SiteError(f"no menu leads to {', '.join(sorted(left))}; add them to docs/site/nav.toml")
    return found


def _expanded(nav: Nav, free: set[str]) -> Nav:
    """`free` loses the pages that a pattern takes."""
    found: Nav = []
    for entry in nav:
        if isinstance(entry, dict):
            ((title, inner),) = entry.items()
            inside = inner if isinstance(inner, str) else _expanded(inner, free)
            found += [{title: inside}] if inside else []
        elif "*" in entry:
            taken = {page for page in free if _fits(page, entry)}
            free -= taken
            found += sorted(taken)
        else:
            found.append(entry)
    return found


def _fits(page: str, pattern: str) -> bool:
    page_path, pattern_path = PurePosixPath(page), PurePosixPath(pattern)
    return page_path.parent == pattern_path.parent and fnmatchcase(page_path.name, pattern_path.name)


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """A page with its prose changed and its blocks of code left as they are."""
    return "".join(part if i % 2 else change(part) for i, part in enumerate(_BLOCK.split(text)))


def spaced(text: str) -> str:
    """Prose with a blank line before every list: GitHub begins a list without one, Python-Markdown does not."""
    lines: list[str] = []
    for line in text.split("\n"):
        before = lines[-1] if lines else ""
        if _ITEM.match(line) and before.strip() and not _ITEM.match(before) and not before.startswith(" "):
            lines.append("")
        lines.append(line)
    return "\n".join(lines)


def joined(text: str) -> str:
    """Japanese prose without the line breaks inside its sentences, which a browser would show as spaces."""
    return _WITHIN.sub("", text)


class Staging:
    """The pages of one language on their way into a project.

    Args:
        language: `en` or `ja`.
        target: folder of the project's pages, empty.
    """

    def __init__(self, language: str, target: Path) -> None:
        self.language, self.target = language, target
        self.source = folder(language)
        self.copied: set[Path] = set()

    def page(self, source: Path, place: PurePosixPath, text: str | None = None) -> None:
        """Write one page to its place, with whatever it links to outside the pages.

        Args:
            source: file of the page; its links begin there.
            place: where it stands in the project.
            text: what it says; by default what is in the file.
        """
        prose = (lambda part: joined(spaced(part))) if self.language == "ja" else spaced
        self.write(
            place, outside_code(text or source.read_text(), lambda part: prose(self._relinked(part, source, place)))
        )

    def write(self, place: PurePosixPath, text: str) -> None:
        """Write a page that is ready."""
        path = self.target / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def _relinked(self, text: str, source: Path, place: PurePosixPath) -> str:
        def link(match: re.Match[str]) -> str:
            picture, label, address, anchor = match[1], match[2], match[3], match[4] or ""
            if "://" in address or address.startswith("mailto:"):
                return match[0]
            path = Path(os.path.normpath(source.parent / address))
            if self.language != "en" and not path.is_relative_to(self.source) and not picture:
                return self._english(label, path, anchor, place)
            return f"{picture}[{label}]({os.path.relpath(self._placed(path), place.parent)}{anchor})"

        return _LINK.sub(link, text)

    def _english(self, label: str, path: Path, anchor: str, place: PurePosixPath) -> str:
        """A link from another language to what is in the English project, beside this one."""
        there = path.relative_to(DOCS) if path.is_relative_to(DOCS) else Path("repository", path.relative_to(ROOT))
        if there.name == "README.md":  # the site shows it as its folder's page
            there = there.with_name("index.md")
        page = re.sub(r"\.md$", ".html", there.as_posix())
        up = "../" * len(place.parts)
        return f'<a href="{up}{page}{anchor}" hreflang="en">{label}</a>'

    def _placed(self, path: Path) -> PurePosixPath:
        """Where a file stands in the project; one that is no page is brought along."""
        if path.is_relative_to(self.source):
            place = PurePosixPath(path.relative_to(self.source).as_posix())
            if path.suffix == ".md":
                return place
        else:
            place = PurePosixPath("repository") / path.relative_to(ROOT).as_posix()
        if path not in self.copied:
            self.copied.add(path)
            self._bring(path, place)
        return place

    def _bring(self, path: Path, place: PurePosixPath) -> None:
        if path.suffix == ".md":
            self.page(path, place)
            return
        target = self.target / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, target, dirs_exist_ok=True)
        else:
            shutil.copyfile(path, target)


def settings(language: str, nav: Nav, translated: set[str]) -> dict[str, Any]:
    """What zensical reads: `settings.toml`, and what differs between languages.

    Args:
        language: `en` or `ja`.
        nav: the menu, without patterns.
        translated: pages that are there in all languages, between which the switch of languages leads.
    """
    words = _WORDS[language]
    given = tomllib.loads((HERE / "settings.toml").read_text())
    given |= {"site_description": words["about"], "nav": nav}
    light, dark = {"icon": "lucide/moon", "name": words["dark"]}, {"icon": "lucide/sun", "name": words["light"]}
    given["theme"] |= {
        "language": language,
        "palette": [
            {"media": "(prefers-color-scheme: light)", "scheme": "default", "primary": "custom", "toggle": light},
            {"media": "(prefers-color-scheme: dark)", "scheme": "slate", "primary": "custom", "toggle": dark},
        ],
    }
    home = "" if language == "en" else "../"
    given["extra"] |= {
        "alternate": [
            {"name": name, "lang": code, "link": home + ("" if code == "en" else f"{code}/")}
            for code, name in LANGUAGES.items()
        ],
        "translated": sorted(page.removesuffix(".md") + ".html" for page in translated),
    }
    python = given["plugins"]["mkdocstrings"]["handlers"]["python"]
    python["paths"] = [str(ROOT / "src")]
    python["options"]["extensions"] = [str(HERE / "docstrings.py")]
    return given


def stage(language: str, project: Path) -> None:
    """Write the project of one language into a folder that does not exist yet.

    Raises:
        SiteError: where pages and menu do not fit together.
    """
    staging = Staging(language, project / "docs")
    people = written(language)
    for page in sorted(people):
        staging.page(staging.source / page, PurePosixPath(page))
    index = project / "docs" / "reference" / "index.md"
    generated = reference.pages(index.read_text()) if language == "en" else {}
    for page, text in generated.items():
        staging.write(PurePosixPath(page), text)
    if language == "en":
        found = filter(notebooks.is_notebook, sorted((ROOT / "examples").glob("*.py")))
        for path in found:
            staging.page(path, PurePosixPath(f"examples/{path.stem}.md"), notebooks.page(path.read_text()))
            people.add(f"examples/{path.stem}.md")
    nav = menu(tomllib.loads((HERE / "nav.toml").read_text())[language], people | set(generated))
    shutil.copytree(HERE / "theme", project / "theme")
    (project / "docs" / "assets").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(HERE / "site.css", project / "docs" / "assets" / "site.css")
    common = written("en") & written("ja")
    (project / "mkdocs.yml").write_text(json.dumps(settings(language, nav, common), ensure_ascii=False, indent=1))


def main(target: Path) -> None:
    """Stage all languages, anew."""
    shutil.rmtree(target, ignore_errors=True)
    for language in LANGUAGES:
        stage(language, target / language)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except SiteError as error:
        sys.exit(f"error: {error}")
