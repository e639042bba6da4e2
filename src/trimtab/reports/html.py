"""A page as one HTML file that needs nothing else: no network, no fonts, no second file.

Texts of data sets may hold anything, also scripts, so there are three walls: jinja escapes whatever it prints, the
plots' JSON carries no `<`, `>` or `&`, and the content security policy names the hashes of the only two scripts
that may run.
"""

import base64
import hashlib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Final

import jinja2
import plotly.graph_objects as go
from markupsafe import Markup

from trimtab.reports.check import tables
from trimtab.reports.palette import DARK
from trimtab.reports.style import style
from trimtab.results import numbers

# Characters that could end a script element, or a line of one.
_UNSAFE: Final = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)
_TEMPLATES: Final = files("trimtab.reports") / "templates"


def document(template: str, drawn: Mapping[str, go.Figure], dark: Mapping[str, str] = DARK, **shown: object) -> str:
    """A page with plots that is complete in itself.

    Args:
        template: a file in `templates`.
        drawn: plots by name; names are our own, fit for an HTML id.
        dark: the dark scheme's colour for each of the light one's.
        shown: what else the template prints.
    """
    plotly, drawing = _plotly(), _read("plots.js")
    return (
        _environment()
        .get_template(template)
        .render(
            **shown,
            plots=drawn,
            figures=_json_object({name: figure.to_json() for name, figure in drawn.items()}),
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


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    """Templates with everything escaped and nothing undefined."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters["given"] = numbers.given
    environment.globals.update(
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
        glossary=tables.GLOSSARY,
        worst=tables.worst,
        footnotes=tables.footnotes,
        side_effects=tables.side_effects,
        baselines=tables.baselines,
        written=tables.written,
        n_continuations=tables.N_CONTINUATIONS,
    )
    return environment


def _shown(value: object) -> object:
    """What a template prints: plain text with its control characters made visible."""
    return numbers.plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value


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
