"""The one family of errors: what is wrong, where, and what to do about it.

A message is plain text and names no command-line flag: the command line adds the flag of the `field`, prints the
message and ends with `exit_code`; HTTP answers with the status of the `code`. Users never see a traceback.
"""

from typing import ClassVar, Literal, Self

from trimtab.phrases import Phrase, untranslated

Code = Literal[
    "failed",  # the work failed although nothing is wrong with the input
    "invalid-input",  # none of the kinds below
    # what was given
    "wrong-type",
    "wrong-shape",  # of an array, or not as wide as the activations
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
    # examples and what is computed from them
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
    "other-settings",  # a stored result was made with other settings
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
    # releases and their store
    "conflict",  # the state allows no such step, or somebody else was faster
    "unfit-evidence",  # no check, or one of something else than what is to be served
    "other-schema",  # the store is of another version
    "store-failed",  # it cannot be reached, or failed
]


class TrimtabError(Exception):
    """Base of every error that trimtab raises on purpose.

    Args:
        message: what is wrong, where, and what to do.
        code: what kind of error it is: a short word that stays the same when the message is reworded. Each class has
            its own default.
        field: the argument that is wrong or would fix it, such as `strength`, or the place in a file, such as
            `attributes.0.name`; None where there is none.

    Example:
        >>> import trimtab as tt
        >>> try:
        ...     tt.Behavior("empty", [])
        ... except tt.TrimtabError as error:
        ...     print(error, error.code, error.exit_code)
        behavior 'empty' has no examples invalid-input 2
    """

    exit_code: ClassVar[int] = 4
    default: ClassVar[Code] = "failed"

    def __init__(self, message: str, *, code: Code | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.code: Code = code or self.default
        self.field = field

    @property
    def message(self) -> Phrase:
        """The message, to stand in a record as the reason why something was not measured."""
        (said,) = self.args
        return untranslated(said)

    def at(self, place: str) -> Self:
        """The same error, its message with the place in front."""
        said = Phrase("{place}: {message}", place=place, message=self.message)
        return type(self)(said, code=self.code, field=self.field)


class InputError(TrimtabError):
    """The caller's input cannot be used: a file, an argument, a row, an artifact. Exit code 2.

    Example:
        >>> import trimtab as tt
        >>> try:
        ...     tt.Behavior.load("none.csv")
        ... except tt.InputError as error:
        ...     print(error.code, error.field)
        no-such-file source
    """

    exit_code = 2
    default: ClassVar[Code] = "invalid-input"


class PlanError(InputError):
    """A `Plan` asks for something that contradicts itself or the model."""

    default: ClassVar[Code] = "contradictory-plan"


class NotFiniteError(InputError):
    """A figure came out NaN or infinite, mostly because an edit is too strong for the dtype."""

    default: ClassVar[Code] = "not-finite"


class InertSteeringError(TrimtabError):
    """A steering with a non-zero strength selected tokens, and yet its edit never ran."""

    default: ClassVar[Code] = "inert-steering"
