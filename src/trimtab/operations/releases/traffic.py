"""Releases of one model beside and behind each other: who has which traffic, and which steerings it gets."""

from collections.abc import Sequence

from trimtab.operations.releases.release import WHOLE, Arm, Definition, Release
from trimtab.operations.releases.rows import Kept
from trimtab.operations.releases.transitions import ConflictError


def check_traffic(others: Sequence[Kept], mine: Definition) -> None:
    """Nobody's open release is disturbed, and control is what the traffic gets already.

    Args:
        others: the started releases of the model, the last started first.
        mine: the release that is to start.

    Raises:
        ConflictError: one of them is in the way.
    """
    for kept in others:
        other, (low, high) = kept.release, kept.release.definition.traffic
        if not (low < mine.traffic[1] and mine.traffic[0] < high):
            continue
        if other.is_open:
            raise ConflictError(
                f"{other}, and has {low:g}–{high:g} % of the traffic of {mine.model!r}; finish it, or give the new "
                "release another slice",
                field="traffic",
                release=other,
            )
        left = _left(other)
        if left is not None and (mine.control is None or mine.control.artifact != left.artifact):
            raise ConflictError(
                f"{other}, and left its traffic with the steering {left.name}; take that as control, or roll it back",
                field="control",
                release=other,
            )
        if low <= mine.traffic[0] and mine.traffic[1] <= high:
            return  # what started before decides nothing here any more


def check_unused(releases: Sequence[Kept], artifact: str) -> None:
    """No release of a model serves a steering.

    Args:
        releases: the started ones of the model, the last started first.
        artifact: id of the steering.

    Raises:
        ConflictError: one does, or could again.
    """
    for kept in releases:
        release, definition = kept.release, kept.release.definition
        arms = definition.steerings if release.is_open else (_left(release),)
        if any(arm is not None and arm.artifact == artifact for arm in arms):
            raise ConflictError(
                f"{release}, and serves this steering; finish it or roll it back first, or start a release without it",
                field="steering",
                release=release,
            )
        if definition.traffic == WHOLE:
            break


def _left(release: Release) -> Arm | None:
    """What a release that is over leaves its traffic with."""
    return release.steering(release.left)
