"""The page of a fit: the steering, and how its gates behave, as one HTML file that needs nothing else."""

from typing import Final

import plotly.graph_objects as go

from trimtab.languages import ENGLISH, Language
from trimtab.phrases import Phrase
from trimtab.reports.fit.curves import curves
from trimtab.reports.fit.left_alone import left_alone
from trimtab.reports.fit.tables import (
    BOUND,
    SHADES,
    SIDES,
    WORDS,
    gate_rows,
    setting,
    shown,
    taken,
    touched_bound,
    varied,
)
from trimtab.reports.html import document
from trimtab.results.fit import Fit

MAX_CURVES: Final = 8
"""Sites whose curves are drawn; the others have figures only."""


def fit_page(fit: Fit, language: Language = ENGLISH) -> str:
    """The fit as a self-contained HTML page.

    Args:
        fit: what was made.
        language: of all but names, commands and the texts of data sets.

    Returns:
        The whole document. It makes no request, works without a network, and follows the reader's colour scheme. Its
        links to the checks of attributes lead to files beside it.
    """
    training = fit.training
    return document(
        "training.html",
        figures(fit),
        language=language,
        fit=fit,
        training=training,
        gates={site: gate_rows(trained.gates) for site, trained in training.sites.items()},
        varied=varied(training.candidates),
        setting=setting,
        shown=shown,
        bound=BOUND,
        touched=touched_bound(training),
        taken=taken,
        shades=SHADES,
        sides=SIDES,
        words=WORDS,
        contents=_contents(fit),
    )


def figures(fit: Fit) -> dict[str, go.Figure]:
    """Curves of the first sites that have epochs, and what leaving prompts alone does, by the ids of their places."""
    drawn = list(fit.training.sites.values())[:MAX_CURVES]
    left = [a.abstention for a in fit.attributes.values() if a.abstention is not None]
    return {
        **{f"s{i}": curves(site) for i, site in enumerate(drawn, start=1) if site.train.get("loss")},
        **{f"left{i}": left_alone(one) for i, one in enumerate(left, start=1) if one.curve},
    }


def _contents(fit: Fit) -> list[tuple[str, Phrase]]:
    """Ids and titles of the sections that the page has."""
    training = fit.training
    parts = [
        ("attributes", Phrase("Attributes"), True),
        ("training", Phrase("Training"), bool(training.sites)),
        ("candidates", Phrase("Candidates"), bool(training.candidates)),
        ("instructions", Phrase("Instructions"), bool(training.instructions)),
        ("texts", Phrase("Shaded texts"), bool(training.texts)),
        ("method", Phrase("How it was made"), True),
        ("words", Phrase("Words"), bool(training)),
    ]
    return [(key, title) for key, title, there in parts if there]
