"""The bodies of a caller's key and of events."""

from typing import Literal

from trimtab.serving.keys import KeyScope
from trimtab.serving.protocol.answers import Answered


class KeyCard(Answered):
    """The answer of `GET /v1/key`: the caller's own key.

    Args:
        name: of the key, under which the audit keeps what is done with it.
        scopes: what it allows.
        store: whether this server has a store, and with it releases.
        model: by which requests ask for the server's model.
    """

    object: Literal["key"] = "key"
    name: str
    scopes: list[KeyScope]
    store: bool
    model: str


class Versions(Answered):
    """The data of an event of `GET /v1/events`; what differs from the event before is worth reading again.

    Args:
        store: `none` where the server has none, `lost` while it does not answer.
        condition: how the server follows releases; null without a store.
        releases: number of the last change of any release.
        audit: how many entries it has.
        exposures: number of the last answer on record; looked at every few seconds.
        outcomes: likewise, of feedback.
        monitoring: of canaries, shadows and drift; likewise.
        alarms: how many they raised since the server started.
    """

    store: Literal["none", "lost", "there"]
    condition: Literal["live", "store-lost", "unsteered", "off"] | None
    releases: int
    audit: int
    exposures: int
    outcomes: int
    monitoring: str
    alarms: int
