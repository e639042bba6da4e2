"""How much a key may ask for."""

import pytest

from trimtab.errors import InputError
from trimtab.serving.errors import HttpError
from trimtab.serving.limits import Admission
from trimtab.serving.settings import Limits, Settings


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_key_may_send_so_many_requests_a_minute_and_is_told_how_long_to_wait() -> None:
    clock = Clock()
    admission = Admission(Limits(requests_per_minute=3), clock)
    for _ in range(3):
        admission.count("a")
    with pytest.raises(HttpError) as raised:
        admission.count("a")
    assert (raised.value.status, raised.value.headers) == (429, {"retry-after": "20"})
    admission.count("b")
    clock.now = 20.1
    admission.count("a")
    with pytest.raises(HttpError):
        admission.count("a")
    clock.now = 1e6
    for _ in range(3):
        admission.count("a")


def test_only_so_many_answers_are_made_at_once() -> None:
    admission = Admission(Limits(running=5, running_per_key=3))
    with admission.answers("a", 3):
        with pytest.raises(HttpError, match="3 answers of this key"), admission.answers("a", 1):
            pass
        with admission.answers("b", 2):
            assert admission.running == 5
            with pytest.raises(HttpError, match="5 answers of all keys") as raised, admission.answers("c", 1):
                pass
            assert (raised.value.status, raised.value.headers) == (429, {"retry-after": "1"})
    assert admission.running == 0
    with pytest.raises(RuntimeError), admission.answers("a", 3):
        raise RuntimeError
    assert admission.running == 0
    with pytest.raises(InputError, match="ask for fewer"), admission.answers("a", 4):
        pass


def test_a_server_without_keys_listens_on_loopback_alone() -> None:
    for host in ("127.0.0.1", "127.0.0.9", "::1", "[::1]", "localhost"):
        assert Settings("m", host, no_auth=True).no_auth
    for host in ("0.0.0.0", "::", "192.168.0.1", "example.org", ""):
        with pytest.raises(InputError, match="needs keys"):
            Settings("m", host, no_auth=True)
    with pytest.raises(InputError, match="must be above 0"):
        Limits(running=0)
