"""Which tokens a model thinks in: read token by token, against a search of every beginning of the text."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.errors import InputError
from trimtab.interventions import ThinkingMarks, ThinkingState

FEW_TOKENS = st.integers(0, 4)
MARK = st.lists(FEW_TOKENS, min_size=1, max_size=3).map(tuple)


def last_mark_opens(text: Sequence[int], marks: ThinkingMarks) -> bool:
    """Whether the mark that ends last in a text is an opening one."""

    def ends_with(beginning: tuple[int, ...], mark: tuple[int, ...]) -> bool:
        return len(beginning) >= len(mark) and beginning[len(beginning) - len(mark) :] == mark

    for n in range(len(text), 0, -1):
        beginning = tuple(text[:n])
        if ends_with(beginning, marks.opening):
            return True
        if ends_with(beginning, marks.closing) or beginning[-1] in marks.ends:
            return False
    return False


@given(text=st.lists(FEW_TOKENS, max_size=20), opening=MARK, closing=MARK, ends=st.frozensets(FEW_TOKENS, max_size=2))
def test_a_part_is_open_where_the_last_mark_so_far_opens_one(
    text: list[int], opening: tuple[int, ...], closing: tuple[int, ...], ends: frozenset[int]
) -> None:
    if opening == closing:
        closing = (*closing, 9)
    marks = ThinkingMarks(opening, closing, ends)
    found = [state.inside for state in marks.read(text)]
    assert found == [last_mark_opens(text[: n + 1], marks) for n in range(len(text))]


def test_states_do_not_grow_with_the_text() -> None:
    marks, state = ThinkingMarks((1, 2), (3,)), ThinkingState()
    for token in range(100):
        state = state.after(token % 5, marks)
    assert len(state.recent) == 2


@pytest.mark.parametrize(("opening", "closing"), [((), (1,)), ((1,), ()), ((1, 2), (1, 2))])
def test_marks_that_tell_nothing_apart_are_refused(opening: tuple[int, ...], closing: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="give the token ids of two different marks"):
        ThinkingMarks(opening, closing)
