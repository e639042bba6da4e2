"""The steering of one request in packed passes: its strengths, which of its tokens are in scope, what its edits did."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from trimtab.interventions import ThinkingMarks, ThinkingState
from trimtab.models import Steer
from trimtab.serving.engines.edit_records import EditRecord


@dataclass(eq=False)
class PackedSteering:
    """The steering of one request, and what became of it.

    Args:
        steer: one row, its conditions decided.
        attributes: names of the columns of its strengths.
        prompt_len: tokens before the answer.
        marks: of the model's thinking, where the scope goes by it.
        left_alone: attributes whose condition the prompt does not meet.

    Attributes:
        records: what its edits did, one for each pass; written by the thread that runs the model.
        error: what went wrong in an edit; its request is unsteered from there on and must be ended.
    """

    steer: Steer
    attributes: tuple[str, ...]
    prompt_len: int
    marks: ThinkingMarks | None = None
    left_alone: tuple[str, ...] = ()
    records: deque[EditRecord] = field(default_factory=deque)
    error: Exception | None = None
    _recorded: int = 0
    _states: list[ThinkingState] = field(default_factory=list)  # behind each token so far

    @cached_property
    def strength(self) -> tuple[float, ...]:
        """By column."""
        return tuple(self.steer.strength[0].tolist())

    @cached_property
    def window(self) -> tuple[int, int]:
        """The scope as bounds on `position - prompt_len`."""
        low, high = self.steer.window[0].tolist()
        return low, high

    @cached_property
    def part(self) -> int:
        """As `in_scope` takes it."""
        return -1 if self.steer.part is None else int(self.steer.part[0])

    def thinking(self, start: int, tokens: Sequence[int]) -> list[bool]:
        """Behind which tokens of a pass a thinking part is open; tokens that run again are read again.

        Args:
            start: position of the first one; those before it have been read.
            tokens: ids.
        """
        if self.marks is None:
            return [False] * len(tokens)
        del self._states[start:]
        for token in tokens:
            before = self._states[-1] if self._states else ThinkingState()
            self._states.append(before.after(token, self.marks))
        return [state.inside for state in self._states[start:]]

    def record(self, record: EditRecord) -> None:
        """Keep a record; of tokens that ran again, since their cache was given up, only the first one counts."""
        if record.end > self._recorded:
            self.records.append(record.since(self._recorded))
            self._recorded = record.end
