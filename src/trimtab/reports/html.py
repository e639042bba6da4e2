"""A page as one HTML file that needs nothing else: no network, no fonts, no second file.

Texts of data sets may hold anything, also scripts, so there are three walls: jinja escapes whatever it prints, the
plots' JSON carries no `<`, `>` or `&`, and the content security policy names the hashes of the only two scripts
that may run.
"""

import base64
import hashlib
from collections.abc import Mapping
from functools import lru_cache, partial
from importlib.resources import files
from typing import Final

import jinja2
import plotly.graph_objects as go
from markupsafe import Markup, escape
from plotly.io.json import to_json_plotly

from trimtab.languages import ENGLISH, LANGUAGES, Language
from trimtab.phrases import Phrase, with_and, with_commas
from trimtab.reports.check import tables
from trimtab.reports.palette import DARK
from trimtab.reports.style import style
from trimtab.results import numbers
from trimtab.results.report import IN_WORDS

# Characters that could end a script element, or a line of one.
_UNSAFE: Final = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)
_TEMPLATES: Final = files("trimtab.reports") / "templates"
_FOREIGN: Final = Markup(' lang=""')  # attribute of texts whose language nobody knows


def document(
    template: str,
    drawn: Mapping[str, go.Figure],
    dark: Mapping[str, str] = DARK,
    language: Language = ENGLISH,
    **shown: object,
) -> str:
    """A page with plots that is complete in itself.

    Args:
        template: a file in `templates`.
        drawn: plots by name; names are our own, fit for an HTML id.
        dark: the dark scheme's colour for each of the light one's.
        language: of all but names, commands and the texts of data sets.
        shown: what else the template prints.
    """
    plotly, drawing = _plotly(), _read("plots.js")
    return (
        _environment(language)
        .get_template(template)
        .render(
            **shown,
            plots=drawn,
            figures=_json_object({name: _figure_json(figure, language) for name, figure in drawn.items()}),
            dark=_json_object({light: f'"{color}"' for light, color in dark.items()}),
            style=Markup(style()),  # noqa: S704 - our own file
            scripts=(Markup(plotly), Markup(drawing)),  # noqa: S704 - plotly's and our own file
            hashes=" ".join(f"'sha256-{_digest(script)}'" for script in (plotly, drawing)),
        )
    )


def _json_object(members: dict[str, str]) -> Markup:
    """A JSON object of members that are JSON already, fit to stand inside a script element."""
    text = "{" + ",".join(f'"{name}":{member}' for name, member in members.items()) + "}"
    return Markup(text.translate(_UNSAFE))  # noqa: S704 - escaped here


def _figure_json(figure: go.Figure, language: Language) -> str:
    """A plot as JSON, its words in a language."""
    if language.code == "en":
        return str(figure.to_json())
    return str(to_json_plotly(_spoken(figure.to_dict(), language)))


def _spoken(value: object, language: Language) -> object:
    """What a plot holds, with its phrases in a language; they hold no text from outside that is not escaped."""
    if isinstance(value, str):
        return language(value)
    if isinstance(value, Mapping):
        return {key: _spoken(each, language) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_spoken(each, language) for each in value]
    return value


@lru_cache(maxsize=len(LANGUAGES))
def _environment(language: Language) -> jinja2.Environment:
    """Templates with everything escaped and nothing undefined; phrases are said in the language."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=partial(_shown, language),
    )
    environment.filters["given"] = numbers.given
    environment.filters["said"] = language  # for attributes, which hold no elements
    environment.globals.update(
        _=Phrase,
        language=language.code,
        foreign=Markup() if language.code == "en" else _FOREIGN,
        number=numbers.number,
        share=numbers.share,
        level=numbers.level,
        given=numbers.given,
        spread=numbers.spread,
        missing=numbers.missing,
        estimate=numbers.estimate,
        cell=tables.cell,
        cell_of=tables.cell_of,
        odd_cell=tables.odd_cell,
        even_cell=tables.even_cell,
        percent_cell=tables.percent_cell,
        compact=tables.compact,
        bound_figures=tables.bound_figures,
        error_rate=tables.error_rate,
        stopping=tables.stopping,
        interval_bar=tables.interval_bar,
        holds=tables.HOLDS,
        in_words=IN_WORDS,
        pairings=tables.PAIRINGS,
        type_names=tables.TYPES,
        answer_kinds=tables.ANSWER_KINDS,
        severities=tables.SEVERITIES,
        thresholds=tables.thresholds,
        with_and=with_and,
        with_commas=with_commas,
        reason_of=numbers.reason_of,
        glossary=tables.GLOSSARY,
        worst=tables.worst,
        footnotes=tables.footnotes,
        side_effects=tables.side_effects,
        baselines=tables.baselines,
        written=tables.written,
        written_caption=tables.written_caption,
        n_continuations=tables.N_CONTINUATIONS,
    )
    return environment


def _shown(language: Language, value: object) -> object:
    """What a template prints: phrases in the language, and texts with their control characters made visible."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else _html(value, language)


def _html(text: str, language: Language) -> Markup:
    """A text escaped; a phrase in the language, or in English and marked so."""
    if isinstance(text, Markup):
        return text
    if not isinstance(text, Phrase):
        return escape(numbers.plain(text))
    template = language.template(text)
    if template is None:
        elements = any(isinstance(value, Markup) for value in text.values.values())  # then it is one of a page's own
        said = _filled(text.template, text, language) if elements else escape(numbers.plain(str(text)))
        return said if language.code == "en" or not text else Markup('<span lang="en">{}</span>').format(said)
    return _filled(template, text, language) if text.values else escape(template)


def _filled(template: str, phrase: Phrase, language: Language) -> Markup:
    """A template with the phrase's values."""
    return escape(template).format(**{name: _html(value, language) for name, value in phrase.values.items()})


@lru_cache(maxsize=32)
def _read(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


@lru_cache(maxsize=4)
def _digest(script: str) -> str:
    """SHA-256 of a script's text, as a content security policy names it."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
