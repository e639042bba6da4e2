"""What the unsteered model made of texts, kept where the same texts are run under one edit after another."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from torch import Tensor

from trimtab.interventions import Site
from trimtab.models.packing import PackedBatch
from trimtab.models.text import Encoded

if TYPE_CHECKING:
    from trimtab.models.model import Model

MAX_SITES: Final = 4  # of which a batch keeps residuals


@dataclass
class UnsteeredBatch:
    """Of a batch of texts.

    Args:
        residuals: `[rows, tokens, d_model]` by site, where edits began.
        hidden: `[N, d_model]` in front of the head, at the positions that are read; None until it was run.
    """

    residuals: dict[Site, Tensor] = field(default_factory=dict)
    hidden: Tensor | None = None

    def keep(self, found: Mapping[Site, Tensor], needed: Collection[Site]) -> None:
        """Keep residuals; where there are too many, the oldest go of those that are not needed now."""
        others = [site for site in found if site not in needed]
        gone = others[: max(0, len(found) - MAX_SITES)]
        self.residuals = {site: values for site, values in found.items() if site not in gone}


class Unsteered:
    """A search for a strength runs the same texts again and again; with this only what the edits change is run.

    It holds a residual for each token and each of the last few blocks at which edits began, on the model's devices, and
    belongs to one model and one list of texts. Where memory runs out all of it is given up; see `forget`.

    Example:
        >>> import trimtab as tt
        >>> from trimtab.evaluation.tasks import BehaviorTask, Treatment, run
        >>> from trimtab.models import Unsteered
        >>> model, task, kept = tt.load("smollm2"), BehaviorTask.load("sentiment"), Unsteered()
        >>> some, vector = task.part(task.units[:4]), tt.Steering.from_vector(14, [0.1] * model.d_model)
        >>> for strength in (1.0, 2.0):  # the second time blocks 0 to 14 are not run
        ...     scores = run(some, model, Treatment(vector, strength), unsteered=kept)
        >>> len(scores.rows)
        8
    """

    def __init__(self) -> None:
        _EVERY.add(self)
        self._owner: tuple[Model, Sequence[Encoded]] | None = None
        self._batches: dict[tuple[tuple[int, ...], tuple[int, ...]], UnsteeredBatch] = {}
        self._parts: dict[int, Unsteered] = {}

    def part(self, number: int) -> "Unsteered":
        """One of its own for texts that are run in several lists: that of list `number`."""
        return self._parts.setdefault(number, Unsteered())

    def of(self, model: "Model", rows: Sequence[Encoded], packed: PackedBatch) -> UnsteeredBatch:
        """What is known of a batch of the texts; empty the first time, and when texts are batched otherwise.

        Raises:
            ValueError: another model, or other texts, than before.
        """
        owner = self._owner or (model, rows)
        if owner[0] is not model or (owner[1] is not rows and list(owner[1]) != list(rows)):
            raise ValueError("the unsteered pass that was kept is of another model or other texts")
        self._owner = model, rows
        key = tuple(packed.texts.tolist()), tuple(packed.batch.ids.shape)  # texts may share rows, or have their own
        return self._batches.setdefault(key, UnsteeredBatch())

    def forget(self) -> None:
        """Give up what was kept."""
        self._batches.clear()


_EVERY: Final[WeakSet[Unsteered]] = WeakSet()


def forget() -> None:
    """Give up what was kept of any texts: it only saves time, and may be what leaves no memory for a batch."""
    for kept in list(_EVERY):
        kept.forget()
