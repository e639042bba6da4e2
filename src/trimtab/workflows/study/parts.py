"""What a study is made of: models, what is measured of every behavior, and the parts that come of it."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from pydantic import ValidationError

from trimtab.behaviors import Behavior
from trimtab.model_source import ModelSource
from trimtab.phrases import Phrase
from trimtab.results.figures import Told
from trimtab.results.report import ModelRecord
from trimtab.results.study import Cell, TypeCosines
from trimtab.storage.steps import Ledger
from trimtab.workflows.study.cells import Subject


@dataclass(frozen=True)
class Grid:
    """What every part of a study has in common.

    Args:
        sites: where to steer, such as `14`, `attention:14`, or `10-18` for each of these blocks; None and `auto` take
            the residual in the middle of each model.
        prompt_types: those measured.
        equal_dose: the dose that vectors are brought to besides strength 1.
        slopes: whether effects are measured over strengths too.
        train, evaluation: examples; None takes as many as the sets afford.
        seed: of splits, folds and resampling.
        chat_template: whether prompts go through the tokenizer's chat template.
        controls: names of behaviors with nothing to steer toward.
        families: family by name of behavior.
    """

    sites: tuple[str, ...] | None = None
    prompt_types: tuple[str, ...] = ("all",)
    equal_dose: float = 0.1
    slopes: bool = False
    train: int | None = None
    evaluation: int | None = None
    seed: int = 0
    chat_template: bool = False
    controls: tuple[str, ...] = ()
    families: Mapping[str, str] = field(default_factory=dict)

    def subject(self, label: str, behavior: Behavior) -> Subject:
        """A behavior on a model, as the tables know it."""
        family = self.families.get(behavior.name, behavior.name)
        return Subject(label, family, behavior.name in self.controls, self.equal_dose, self.slopes)


class StudyPart(Told):
    """What one behavior on one model came to."""

    model: ModelRecord
    cells: tuple[Cell, ...]
    cosines: tuple[TypeCosines, ...] = ()
    notes: tuple[Phrase, ...] = ()


@dataclass(frozen=True)
class Task:
    """One part to be measured.

    Args:
        source: the model.
        behavior: what is measured on it.
        grid: how.
        ledger: where finished parts are kept.
    """

    source: ModelSource
    behavior: Behavior
    grid: Grid
    ledger: Ledger

    @property
    def name(self) -> str:
        """Of the part, as a step of the study."""
        return json.dumps([asdict(self.source), self.behavior.name, self.behavior.digest])

    def kept(self) -> StudyPart | None:
        """The part, if it was finished before."""
        given = self.ledger.text(self.name)
        try:
            return None if given is None else StudyPart.model_validate_json(given)
        except ValidationError:
            return None


def families_of(names: Sequence[str]) -> dict[str, str]:
    """Behaviors whose names begin with the same word (`desire-…`) are one family; the others are their own."""
    first = {name: name.split("-")[0] for name in names}
    times = Counter(first.values())
    return {name: word if times[word] > 1 else name for name, word in first.items()}
