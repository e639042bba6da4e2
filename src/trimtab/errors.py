"""The one family of errors: what is wrong, where, and what to do about it.

The command line prints the message and ends with `exit_code`; nobody sees a traceback.
"""


class TrimtabError(Exception):
    """Base of every error that trimtab raises on purpose."""

    exit_code = 4


class InputError(TrimtabError):
    """The caller's input cannot be used: a file, a flag, a row, an artifact. Exit code 2."""

    exit_code = 2


class PlanError(InputError):
    """A `Plan` asks for something that contradicts itself or the model."""


class NotFiniteError(InputError):
    """A figure came out NaN or infinite, mostly since an edit is too strong for the dtype."""


class InertSteeringError(TrimtabError):
    """A steering with a non-zero strength selected tokens, and yet its edit never ran."""
