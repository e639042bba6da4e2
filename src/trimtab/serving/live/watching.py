"""Guardrails on a server: experiments are looked at in the background, and what follows is done, logged and told."""

from collections import Counter
from typing import Any, Final

from trimtab.clients.webhook import Webhook
from trimtab.errors import TrimtabError
from trimtab.operations import Releases
from trimtab.operations.experiments import Look, Watch, Watched

WATCH_EVERY: Final = 60.0  # seconds


class Watching:
    """The watch of one server.

    Args:
        releases: of its store.
        model: by which requests ask for its model.
        log: takes lines about what is done and what fails.
        webhook: is told of what is done; closed by `close`.
    """

    def __init__(self, releases: Releases, model: str, log: Any, webhook: Webhook | None = None) -> None:
        self.done: Counter[tuple[str, str]] = Counter()  # decisions made here, by release and action
        self.looks: dict[str, Look] = {}  # the last of each release that runs
        self._watch = Watch(releases, model=model)
        self._log, self._webhook = log, webhook
        self._faults: dict[str, str] = {}

    def watch(self) -> None:
        """Look at everything once."""
        try:
            watched = self._watch.once()
        except TrimtabError as error:
            self._told("", str(error))
            return
        self._told("", None)
        for one in watched:
            self._told(one.release, one.fault)
            self._act(one)
        self.looks = {one.release: one.look for one in watched if one.look is not None}

    def look(self, name: str) -> Look:
        """How a release's experiment stands now.

        Raises:
            InputError: there is no such release.
            TrimtabError: the store cannot be read.
        """
        return self._watch.look(name)

    def close(self) -> None:
        """Let go of the webhook."""
        if self._webhook is not None:
            self._webhook.close()

    def _act(self, one: Watched) -> None:
        if (event := one.event) is None or one.decision is None:
            return
        self.done[one.release, one.decision.action] += 1
        write = self._log.info if one.decision.action == "promote" else self._log.error
        write("release_decided", **{name: value for name, value in event.items() if name not in ("event", "time")},
              action=one.decision.action)  # fmt: skip
        if self._webhook is not None:
            self._webhook.send(f"{one.release}-{event['version']}", event)

    def _told(self, release: str, fault: str | None) -> None:
        """Log a fault when it begins or changes, not at every look."""
        if fault is not None and self._faults.get(release) != fault:
            self._log.error("watch_failed", release=release or None, reason=fault)
        if fault is None:
            self._faults.pop(release, None)
        else:
            self._faults[release] = fault
