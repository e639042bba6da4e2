"""Which steps a release may take: the state machine, without a store."""

from typing import Any, Final, Literal, get_args

from trimtab.errors import Code, InputError
from trimtab.operations.releases.release import Release, State
from trimtab.texts import shown

Action = Literal["start", "dry-run", "promote", "pause", "resume", "rollback", "finish"]
ACTIONS: Final[tuple[Action, ...]] = get_args(Action)

ALLOWED: Final[dict[State, tuple[Action, ...]]] = {
    "draft": ("start", "dry-run", "rollback"),
    "dry-run": ("start", "rollback"),
    "running": ("promote", "pause", "rollback", "finish"),
    "paused": ("resume", "rollback", "finish"),
    "finished": ("rollback",),
    "rolled-back": (),
}


class ConflictError(InputError):
    """The release is not in a state for this step, or somebody else changed it first.

    Args:
        message: says which state it is in.
        release: as it is; None where the conflict is not about one.

    Example:
        >>> from trimtab.operations import ConflictError
        >>> ConflictError("release 'warm' is paused").code
        'conflict'
    """

    default = "conflict"

    def __init__(
        self, message: str, *, code: Code | None = None, field: str | None = None, release: Release | None = None
    ) -> None:
        super().__init__(message, code=code, field=field)
        self.release = release

    @property
    def record(self) -> dict[str, Any] | None:
        """The release's state, for JSON."""
        return None if self.release is None else self.release.record


def after(release: Release, action: Action, to: float | None = None, keep: str = "treatment") -> tuple[State, float]:
    """State and share after a step.

    Args:
        release: as it is.
        action: the step.
        to: of `promote`: the stage that is meant, which must be the next; None for the next.
        keep: of `finish`: the arm that everybody gets from then on.

    Raises:
        ConflictError: its state does not allow the step, or it is at the last stage.
        InputError: the stage is not the next; treatment cannot be kept before 100 %.
    """
    if action == "finish" and keep not in ("treatment", "control"):
        raise InputError(
            f"{release}; it has no arm {shown(keep, 40)!r}; keep treatment or control",
            code="unknown-choice",
            field="keep",
        )
    check_allowed(release, action)
    stages = release.definition.stages
    if action in ("start", "dry-run"):
        return "running" if action == "start" else "dry-run", stages[0]
    if action == "promote":
        return "running", _next(release, to)
    if action == "pause":
        return "paused", release.share
    if action == "resume":
        return "running", release.share
    if action == "finish" and keep == "treatment":
        if release.state != "running" or release.share < 100:
            raise InputError(
                f"{release}; treatment can be kept only while it runs at 100 %; promote it, or keep control",
                field="keep",
            )
        return "finished", 100.0
    return "finished" if action == "finish" else "rolled-back", 0.0


def check_allowed(release: Release, action: Action) -> None:
    """The release's state allows a step.

    Raises:
        ConflictError: it does not.
    """
    if action not in ALLOWED[release.state]:
        may = ", ".join(ALLOWED[release.state]) or "nothing more"
        raise ConflictError(f"{release}; it allows {may}, not {action}", release=release)


def _next(release: Release, to: float | None) -> float:
    later = [stage for stage in release.definition.stages if stage > release.share]
    if not later:
        raise ConflictError(f"{release}; that is its last stage", release=release)
    if to is not None and to != later[0]:
        raise InputError(
            f"{release}; the next stage is {later[0]:g} %, not {to:g} %: stages are taken in order",
            code="out-of-range",
            field="to",
        )
    return later[0]
