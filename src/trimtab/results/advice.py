"""What was tried where one vector does not hold: every remedy with its figures on dev, and the verdict on the best."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import JsonValue, ValidationError

from trimtab.errors import InputError
from trimtab.phrases import Phrase
from trimtab.results.figures import Document, Estimate, Record
from trimtab.results.report import Decision, ModelRecord

FILE = "advice.json"


class AdvisedRequirement(Record):
    """A requirement of the verdict, as dev shows it.

    Args:
        name: of the requirement.
        figure: with its interval.
        threshold, direction: what it is held against.
        unit: of the figure.
        holds: True where the whole interval lies on the right side, False on the wrong one, None across.
    """

    name: Phrase
    figure: Estimate
    threshold: float
    direction: Literal["above", "below"]
    unit: str
    holds: bool | None


class Attempt(Record):
    """A remedy.

    Args:
        name: short.
        what: it is, for people.
        options: of the fit; empty for one that is put together of others.
        reason: why it was not tried, or could not be made; then there are no figures.
        seconds: that making and measuring it took.
        strength: its default.
        acts: share of the dev examples it acts on; None where it acts on all.
        requirements: of the verdict, on dev.
        margin: by how many half widths of its interval the requirement nearest to failing lies inside its bound; at 1
            and above all hold with their whole intervals.
        notes: of its making.
        folder: of the steering, beside this file.
    """

    name: str
    what: Phrase
    options: Mapping[str, JsonValue] = {}
    reason: Phrase | None = None
    seconds: float | None = None
    strength: float | None = None
    acts: Estimate | None = None
    requirements: tuple[AdvisedRequirement, ...] = ()
    margin: float | None = None
    notes: tuple[Phrase, ...] = ()
    folder: str | None = None

    @property
    def failed(self) -> list[Phrase]:
        """Names of the requirements that fail."""
        return [r.name for r in self.requirements if r.holds is False]

    @property
    def undecided(self) -> list[Phrase]:
        """Names of those that dev leaves open."""
        return [r.name for r in self.requirements if r.holds is None]


class Advice(Document):
    """Remedies for a behavior.

    Args:
        behavior, description: what is steered toward.
        model, dtype: what is steered.
        n_train, n_dev, n_eval: examples.
        attempts: in the order of their price.
        chosen: name of the one of which the fewest requirements fail on dev, then the fewest are undecided, then with
            the largest margin; None if none could be made.
        decision, sentence: of the check of the chosen one, on evaluation examples that nothing was chosen by.
        acts: share of the evaluation examples that it acts on; None where it acts on all.
        folder: of the chosen steering.
        report: folder of that check.
        notes: on the examples, and on what was left out.
    """

    behavior: str
    description: str
    model: ModelRecord
    dtype: str
    n_train: int
    n_dev: int
    n_eval: int
    attempts: tuple[Attempt, ...]
    chosen: str | None
    decision: Decision | None
    sentence: Phrase
    acts: Estimate | None = None
    folder: str | None = None
    report: str | None = None
    notes: tuple[Phrase, ...] = ()

    @staticmethod
    def load(folder: str | Path) -> "Advice":
        """Read `advice.json` of a folder.

        Raises:
            InputError: it is missing, or is not one.
        """
        file = Path(folder) / FILE
        try:
            return Advice.model_validate_json(file.read_bytes())
        except OSError as error:
            raise InputError(
                f"{file} cannot be read: {error.strerror}", code="unreadable-file", field="folder"
            ) from error
        except ValidationError as error:
            raise InputError(
                f"{file} is not the result of an advice: {error.errors()[0]['msg']}",
                code="wrong-file",
                field="folder",
            ) from error
