"""The one family of errors: what is wrong, where, and what to do about it.

A message says it in words and names no command-line flag: the command line adds the flag of the `field`, prints the
message and ends with `exit_code`; HTTP answers with the status of the `code`. Nobody sees a traceback.
"""

from typing import ClassVar, Literal, Self

Code = Literal[
    "failed",  # the work itself, with nothing wrong in the input
    "invalid-input",  # of no kind below
    # what was given
    "wrong-type",
    "wrong-shape",  # of an array, or as wide as no activation here
    "out-of-range",
    "not-finite",  # NaN, infinite, or beyond the dtype
    "missing-value",
    "repeated-name",
    "conflicting-arguments",
    "unsupported",  # this method, edit or steering cannot do it
    "unknown-choice",
    "unknown-scope",
    "unknown-attribute",
    "unknown-behavior",
    "unknown-method",
    "no-such-site",
    "contradictory-plan",
    # examples and what is found from them
    "too-few-examples",
    "unusable-examples",
    "unreadable-row",
    "no-direction",  # the two sides do not differ
    "not-converged",
    # files and folders
    "no-such-file",
    "unreadable-file",
    "damaged-file",
    "wrong-file",  # of another kind
    "unwritable-file",
    "file-exists",
    "other-settings",  # what was kept was made by something else
    "busy",  # another process writes there
    # models and servers
    "no-such-model",
    "other-weights",  # than the steering was made for
    "not-installed",
    "unusable-device",
    "inert-steering",
    "invalid-endpoint",
    "endpoint-refused",
    "endpoint-failed",
    "no-usable-answers",
]


class TrimtabError(Exception):
    """Base of every error that trimtab raises on purpose.

    Args:
        message: what is wrong, where, and what to do.
        code: what kind of error it is: a short word that stays the same when the message is put better. Each class has
            its own for the rest.
        field: the argument that is wrong or would mend it, such as `strength`, or the place in a file, such as
            `attributes.0.name`; None where there is none.
    """

    exit_code: ClassVar[int] = 4
    default: ClassVar[Code] = "failed"

    def __init__(self, message: str, *, code: Code | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.code: Code = code or self.default
        self.field = field

    def at(self, place: str) -> Self:
        """The same error, its message with the place in front."""
        return type(self)(f"{place}: {self}", code=self.code, field=self.field)


class InputError(TrimtabError):
    """The caller's input cannot be used: a file, an argument, a row, an artifact. Exit code 2."""

    exit_code = 2
    default: ClassVar[Code] = "invalid-input"


class PlanError(InputError):
    """A `Plan` asks for something that contradicts itself or the model."""

    default: ClassVar[Code] = "contradictory-plan"


class NotFiniteError(InputError):
    """A figure came out NaN or infinite, mostly since an edit is too strong for the dtype."""

    default: ClassVar[Code] = "not-finite"


class InertSteeringError(TrimtabError):
    """A steering with a non-zero strength selected tokens, and yet its edit never ran."""

    default: ClassVar[Code] = "inert-steering"
