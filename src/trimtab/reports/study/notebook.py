"""A study in a notebook: what was studied, and what each prompt type does on average."""

from trimtab.notebook import summary
from trimtab.phrases import Phrase
from trimtab.results.numbers import estimate
from trimtab.results.study import Study


def shown(study: Study) -> str:
    """The study as HTML; its folder holds the whole page."""
    measured = [cell for cell in study.cells if cell.not_measured is None]
    rows = [
        (
            one.model,
            Phrase("block {block} {component}", block=one.block, component=one.component),
            one.prompt_type,
            estimate(one.effect),
            one.effect.n or 0,
        )
        for one in study.types
        if one.at == "strength 1"
    ]
    columns = (
        Phrase("model"),
        Phrase("site"),
        Phrase("prompt type"),
        Phrase("mean effect [interval]"),
        Phrase("behaviors"),
    )
    return summary(
        Phrase("study"),
        {
            Phrase("models"): ", ".join(model.id for model in study.models),
            Phrase("behaviors"): len({cell.behavior for cell in measured}),
            Phrase("cells"): len(measured),
            "trimtab": study.trimtab,
        },
        columns if rows else (),
        rows,
        n_rows=len(rows),
    )
