"""Any behavior as a task: how far the model prefers the matching answer of each example.

The figures are those of a check: the propensity of Braun et al. 2025 (2505.22637), the logit difference of the first
token in which two labels differ, or for free text the difference of the answers' log-probabilities per token. What a
steering does is its difference to the unsteered model's, example by example.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Self

import numpy as np

from trimtab.behaviors import Behavior, clusters, render_bare
from trimtab.evaluation.tasks.base import Answered, Figure, Task, Unit
from trimtab.phrases import Phrase


class BehaviorTask(Task[Unit]):
    """The examples of a behavior.

    Args:
        behavior: whose examples.

    Example:
        >>> import numpy as np
        >>> from trimtab.evaluation.tasks import Answered, BehaviorTask
        >>> task = BehaviorTask.load("sentiment")
        >>> answered = Answered(np.array([-4.0, -9.0]), np.array([4, 3]))
        >>> task.score(task.units[0], answered)
        {'propensity': 2.0, 'accuracy': 1.0}
    """

    name: ClassVar[str] = "behavior"
    source: ClassVar[str] = "Braun et al. 2025, 2505.22637"

    def __init__(self, behavior: Behavior) -> None:
        self.whole = behavior
        units = [
            Unit(str(k), cluster, (render_bare(e, "positive"), render_bare(e, "negative")), e.source)
            for k, (e, cluster) in enumerate(zip(behavior.examples, clusters(behavior), strict=True), 1)
        ]
        asks = "first-token" if behavior.answer_kind == "choice" else "likelihood"
        super().__init__(units, asks, notes=behavior.notes)  # type: ignore[arg-type]

    @classmethod
    def load(cls, source: str, *, view: str = "") -> Self:
        """Read a behavior.

        Args:
            source: the name of a built-in behavior, a file, folder or dataset, as `Behavior.load` takes it.
            view: `choice` or `statements`, for files that hold both.

        Raises:
            InputError: it cannot be read.
        """
        return cls(Behavior.load(source, view=view or None))

    @property
    def figures(self) -> tuple[Figure, ...]:
        """The propensity, and how often it lies above 0; not the latter where rows are no pairs."""
        unit = Phrase("logits") if self.asks == "first-token" else Phrase("nats per token")
        meaning = Phrase("how far the matching answer is likelier than the other, {unit}", unit=unit)
        first = Figure("propensity", meaning, "higher")
        if self.whole.pairing == "random":
            return (first,)
        return (
            first,
            Figure(
                "accuracy", Phrase("share of examples whose matching answer is the likelier"), "higher", 0.0, 1.0, 0.5
            ),
        )

    def behavior(self, name: str) -> Behavior:
        """The examples themselves; its own name is replaced."""
        return replace(self.whole, name=name, examples=[self.whole.examples[int(unit.id) - 1] for unit in self.units])

    def score(self, unit: Unit, answered: Answered) -> Mapping[str, float]:
        """See `figures`."""
        positive, negative = answered.mean
        m = float(positive - negative)
        if self.whole.pairing == "random":
            return {"propensity": m}
        return {"propensity": m, "accuracy": float(np.heaviside(m, 0.5))}
