"""Which tokens belong to a model's thinking: read from its marks, token by token, as they come."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from trimtab.errors import InputError


@dataclass(frozen=True)
class ThinkingMarks:
    """The tokens around the part of a text in which a model thinks, such as `<think>` and `</think>`.

    Args:
        opening: tokens that open it when they come in a row.
        closing: tokens that close it when they come in a row.
        ends: single tokens that close it too, such as the end of a turn.

    Raises:
        InputError: a mark without tokens, or the same one for both.

    Example:
        >>> from trimtab.interventions import ThinkingMarks
        >>> marks = ThinkingMarks(opening=(7,), closing=(8,))
        >>> [state.inside for state in marks.read([1, 7, 2, 3, 8, 4])]
        [False, True, True, True, False, False]
    """

    opening: tuple[int, ...]
    closing: tuple[int, ...]
    ends: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        if not self.opening or not self.closing or self.opening == self.closing:
            raise InputError(
                f"the marks {list(self.opening)} and {list(self.closing)} do not tell where a thinking part opens and "
                "where it closes; give the token ids of two different marks",
                field="thinking_marks",
            )

    def read(self, tokens: Iterable[int]) -> Iterator["ThinkingState"]:
        """The state behind each token of a text that begins with them."""
        state = ThinkingState()
        for token in tokens:
            state = state.after(token, self)
            yield state


@dataclass(frozen=True)
class ThinkingState:
    """Where a text stands; new ones stand at their beginning.

    Args:
        inside: whether a thinking part is open, so that the next token belongs to it or closes it.
        recent: the last tokens, as many as a mark may have.

    Example:
        >>> from trimtab.interventions import ThinkingMarks, ThinkingState
        >>> marks = ThinkingMarks(opening=(7, 9), closing=(8,))
        >>> opened = ThinkingState().after(7, marks).after(9, marks)
        >>> opened.inside, opened.after(8, marks).inside
        (True, False)
    """

    inside: bool = False
    recent: tuple[int, ...] = ()

    def after(self, token: int, marks: ThinkingMarks) -> "ThinkingState":
        """The state behind one more token."""
        recent = (*self.recent, token)[-max(len(marks.opening), len(marks.closing)) :]
        if recent[-len(marks.opening) :] == marks.opening:
            return ThinkingState(True, recent)
        closes = token in marks.ends or recent[-len(marks.closing) :] == marks.closing
        return ThinkingState(self.inside and not closes, recent)
