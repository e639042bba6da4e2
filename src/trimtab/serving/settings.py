"""How a server is set up."""

from dataclasses import dataclass, field
from ipaddress import ip_address

from trimtab.errors import InputError


@dataclass(frozen=True)
class Limits:
    """What a request, a key and the server as a whole may use.

    Args:
        body_bytes: of a request.
        usual_tokens: of a chat's answer at most, where the request names no maximum.
        answer_tokens: the largest maximum that a request may name.
        choices: answers of one request.
        running: answers at the same time, of all keys.
        running_per_key: those of one key.
        requests_per_minute: of one key; as many may come at once.
        body_seconds: for a request's body to arrive.
        answer_seconds: for an answer, reading included.
        ready_seconds: for the engine to say that it is there.
    """

    body_bytes: int = 1 << 20
    usual_tokens: int = 512
    answer_tokens: int = 4096
    choices: int = 16
    running: int = 128
    running_per_key: int = 64
    requests_per_minute: int = 600
    body_seconds: float = 30.0
    answer_seconds: float = 600.0
    ready_seconds: float = 10.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise InputError(f"the limit {name} {value!r} must be above 0", code="out-of-range", field=name)


@dataclass(frozen=True)
class Settings:
    """How a server is set up.

    Args:
        model: the name by which requests ask for it.
        host: where it listens.
        no_auth: whether everybody who reaches it may do everything; on loopback alone.
        other_weights: whether steerings made for other weights of the same shapes may steer.
        log_text: whether logs hold prompts and answers.
        playground: whether there is a page at `/`.
        console: whether there is one at `/console`.
        limits: see `Limits`.

    Raises:
        InputError: no name, or `no_auth` where others can reach it.
    """

    model: str
    host: str = "127.0.0.1"
    no_auth: bool = False
    other_weights: bool = False
    log_text: bool = False
    playground: bool = True
    console: bool = True
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not self.model.strip():
            raise InputError("the model's name is empty; give one", code="missing-value", field="model")
        if self.no_auth and not is_loopback(self.host):
            raise InputError(
                f"a server on {self.host!r} can be reached from other machines and needs keys; make one with trimtab "
                "keys create, or listen on 127.0.0.1",
                code="conflicting-arguments",
                field="no_auth",
            )


def is_loopback(host: str) -> bool:
    """Whether a name or address means this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
