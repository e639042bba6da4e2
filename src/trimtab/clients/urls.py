"""Which URLs other servers may be asked at."""

from typing import Final

import httpx2

from trimtab.errors import InputError

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def check_base(url: str, key: str, what: str = "endpoint") -> None:
    """Check the base of a server's URLs, and that a key is not sent to it unencrypted.

    Args:
        url: such as `https://host/v1`.
        key: sent as a bearer token; empty for none.
        what: the server, for messages; its URL is the field `what.url`.

    Raises:
        InputError: it is none, or the key would be sent unencrypted.
    """
    field = f"{what}.url"
    try:
        read = httpx2.URL(url)
    except (httpx2.InvalidURL, TypeError) as error:
        raise InputError(f"{what} {url!r} is not a URL: {error}", code="invalid-endpoint", field=field) from None
    if read.scheme not in ("http", "https") or not read.host:
        raise InputError(
            f"{what} {url!r}: give the server's base URL, such as https://host/v1", code="invalid-endpoint", field=field
        )
    if read.userinfo or read.query or read.fragment:
        raise InputError(
            f"{what} {read.host}: give the base URL alone, and the key by an environment variable",
            code="invalid-endpoint",
            field=field,
        )
    if key and read.scheme == "http" and read.host not in _LOOPBACK:
        raise InputError(
            f"{what} {url}: the key would be sent unencrypted; use https", code="invalid-endpoint", field=field
        )
