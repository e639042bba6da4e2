"""A study in a notebook: what was studied, and what each prompt type does on average."""

from trimtab.notebook import summary
from trimtab.results.numbers import estimate
from trimtab.results.study import Study


def shown(study: Study) -> str:
    """The study as HTML; its folder holds the whole page."""
    measured = [cell for cell in study.cells if cell.not_measured is None]
    rows = [
        (one.model, f"block {one.block} {one.component}", one.prompt_type, estimate(one.effect), one.effect.n or 0)
        for one in study.types
        if one.at == "strength 1"
    ]
    return summary(
        "study",
        {
            "models": ", ".join(model.id for model in study.models),
            "behaviors": len({cell.behavior for cell in measured}),
            "cells": len(measured),
            "trimtab": study.trimtab,
        },
        ("model", "site", "prompt type", "mean effect [interval]", "behaviors") if rows else (),
        rows,
        n_rows=len(rows),
    )
