"""What a server with a store does beside answering: follows releases, keeps exposures, and says how it stands."""

from collections import Counter
from collections.abc import Callable
from threading import Event, Thread
from typing import Any, Final

from trimtab.clients.webhook import Webhook
from trimtab.errors import InputError, TrimtabError
from trimtab.interventions import Capabilities
from trimtab.operations import (
    Arm,
    Assignment,
    Exposure,
    ExposureLog,
    ExposureWriter,
    OffSwitch,
    OutcomeLog,
    Release,
    Releases,
    ReleaseView,
    Store,
    TextCipher,
)
from trimtab.operations.releases.view import Condition
from trimtab.serving.live.beside import Beside
from trimtab.serving.live.classifying import Classifying
from trimtab.serving.live.files import Unchanged
from trimtab.serving.live.following import OFF, Following, misfit, resolved_arm
from trimtab.serving.live.judging import Judging
from trimtab.serving.live.watching import WATCH_EVERY, Watching
from trimtab.serving.registry import Registry
from trimtab.serving.resolution import Resolved
from trimtab.steering.artifact import read

GRACE: Final = 60.0  # seconds that the last state is good for without the store
_LOOK: Final = 0.25  # seconds between looks at how the server stands
_TIDY: Final = 3600.0  # seconds between removals of old texts


class Operations:
    """The releases of a store as one server follows them. What requests need is in memory and never waits.

    Args:
        store: closed by `close`.
        model: by which requests ask for the model.
        registry: the steerings that this server has.
        off: the emergency off.
        log: takes lines about what changes.
        other_weights: whether steerings made for other weights of the same shapes may steer.
        texts: whether prompts and answers are kept, and what feedback says in words.
        keep_days: for how long; None until somebody removes them.
        grace: seconds that the last state is good for without the store.
        watch_every: seconds between looks at experiments, on which guardrails act; 0 leaves that to others.
        webhook: is told of what guardrails do.

    Raises:
        TrimtabError: the store cannot be read.
    """

    def __init__(
        self,
        store: Store,
        model: str,
        registry: Registry,
        off: OffSwitch,
        log: Any,
        *,
        other_weights: bool = False,
        texts: bool = False,
        keep_days: float | None = None,
        grace: float = GRACE,
        watch_every: float = WATCH_EVERY,
        webhook: Webhook | None = None,
    ) -> None:
        self.store, self.model, self.registry, self.texts = store, model, registry, texts
        self.releases = Releases(store, self._artifact_now)
        self.exposures = ExposureLog(store, TextCipher.load())
        self.outcomes = OutcomeLog(store, self.exposures.cipher, texts=texts)
        self.assigned: Counter[tuple[str, str]] = Counter()  # requests by release and arm
        self.unsteered: Counter[str] = Counter()  # those by release that should have been steered, and were not
        self.faults: dict[str, str] = {}  # by release, why this server leaves its requests unsteered
        self.watching = Watching(self.releases, model, log, webhook)
        self.judging: Judging | None = None  # rates a sample of answers; closed by `close`
        self.classifying: Classifying | None = None  # scores a sample of answers; closed by `close`
        self._able: Capabilities | None = None
        self._other_weights, self._log = other_weights, log
        self._files, self._keep_days = Unchanged(), keep_days
        self._said: dict[str, Any] = {}
        self._stop = Event()
        self.view = ReleaseView(store, model, off, grace=grace)
        self.writer = ExposureWriter(self.exposures)
        self._threads = [self._every(_LOOK, self._look)]
        if watch_every:
            self._threads.append(self._every(watch_every, self.watching.watch))
        if keep_days is not None:
            self._threads.append(self._every(_TIDY, self._expire))

    def knows(self, able: Capabilities) -> None:
        """What the engine runs, by which it is said whether the releases can be served here."""
        self._able = able

    def follow(self, unit: str | None, request: str, able: Capabilities, *, chat: bool) -> Following:
        """What a request gets that names no steering; never an error.

        Args:
            unit: id of its unit; None if it names none.
            request: its id.
            able: what the engine can do.
            chat: whether the prompt goes through the chat template.
        """
        given, off = self.view.assign(unit, request), self.view.off_reason
        if given is None:
            return Following("none", unit, departure=None if off is None else OFF)
        try:
            resolved = self._resolved(given, able, chat)
        except InputError as error:
            return Following(given.arm, unit, given).unsteered(str(error))
        return Following(given.arm, unit, given, resolved)

    def named(self, unit: str | None, resolved: Resolved) -> Following:
        """What a request gets that names its steering: that, unless all steering is off."""
        if (off := self.view.off_reason) is not None:
            return Following("named", unit, fault=off, departure=OFF)
        return Following("named", unit, resolved=resolved)

    def put(self, exposure: Exposure, following: Following) -> None:
        """Keep what a request was given; waits for nothing."""
        if (given := following.assignment) is not None:
            self.assigned[given.release, given.arm] += 1
            self.unsteered[given.release] += following.fault is not None
        self.writer.put(exposure)

    @property
    def beside(self) -> tuple[Beside, ...]:
        """What is done with samples of answers."""
        return tuple(one for one in (self.judging, self.classifying) if one is not None)

    @property
    def notes(self) -> list[str]:
        """What somebody should look at, in words that name nothing, for whoever may ask."""
        said = {
            "store-lost": "the store does not answer; releases are followed by its last state",
            "unsteered": "the store has not answered for too long; nobody is steered by a release",
            "off": "all steering is switched off",
        }
        notes = [said[self.condition]] if self.condition in said else []
        if self.faults:
            notes.append("a live release cannot be served here, and its requests go unsteered; the log says why")
        if self.writer.record["fault"] is not None:
            notes.append("exposures cannot be written, and wait; the log says why")
        return notes

    @property
    def condition(self) -> Condition:
        """See `trimtab.operations.releases.view.Condition`."""
        return self.view.condition

    @property
    def record(self) -> dict[str, Any]:
        """How the server stands: condition and why, releases and what is wrong with them, exposures."""
        return self.view.record | {"faults": dict(self.faults), "exposures": self.writer.record}

    def close(self) -> None:
        """Write what waits, and let the store go; says in the log if something could not be written."""
        self._stop.set()
        for one in self.beside:
            one.close()
        for thread in self._threads:
            thread.join()
        self.watching.close()
        lost = self.writer.close()
        self.view.close()
        self.store.close()
        if lost:
            self._log.error("exposures_lost", n=lost)

    def _resolved(self, given: Assignment, able: Capabilities, chat: bool) -> Resolved | None:
        release = next((one for one in self.view.releases if one.name == given.release), None)
        fault = (release and misfit(release, able)) or (given.steering and self.faults.get(given.release))
        if fault:
            raise InputError(fault, code="other-settings", field="steering")
        if given.steering is None:
            return None
        mismatch = self._other_weights
        return resolved_arm(given.steering, self.registry, able, chat=chat, mismatch=mismatch)

    def _artifact_now(self, arm: Arm) -> str | None:
        folder = self.registry.folder_of(arm.artifact)
        return None if folder is None or not folder.is_dir() else read(folder).id

    def _fault(self, release: Release, able: Capabilities) -> str | None:
        """Why this server cannot serve a release."""
        if fault := misfit(release, able):
            return fault
        chat = release.definition.chat_template
        for which, arm in release.served.items():
            try:
                resolved_arm(arm, self.registry, able, chat=chat, mismatch=self._other_weights)
            except InputError as error:
                return f"{which}: {error}"
            folder = self.registry.folder_of(arm.artifact)
            if folder is not None and (fault := self._files.fault(folder, arm.artifact)):
                return f"{which}: {arm.name}: {fault}"
        return None

    def _look(self) -> None:
        """See how the server stands, and log what changed."""
        if (able := self._able) is not None:
            found = {one.name: self._fault(one, able) for one in self.view.releases}
            self.faults = {name: fault for name, fault in found.items() if fault is not None}
        said = self.record
        now = {
            "condition": {name: said[name] for name in ("condition", "reason")},
            "releases": said["releases"],
            "faults": said["faults"],
            "exposures": said["exposures"]["fault"],
        }
        for name, value in now.items():
            if name in self._said and self._said[name] == value:
                continue
            wrong = bool(value) if name in ("faults", "exposures") else self.condition != "live"
            if wrong or name in self._said:
                (self._log.error if wrong else self._log.info)(f"releases_{name}", **_named(name, value))
            self._said[name] = value

    def _expire(self) -> None:
        assert self._keep_days is not None
        try:
            self.exposures.expire(self._keep_days, by="server")
        except TrimtabError as error:
            self._log.error("texts_not_expired", reason=str(error))

    def _every(self, seconds: float, act: Callable[[], None]) -> Thread:
        """A thread that does something again and again until the end, whatever happens in it."""

        def run() -> None:
            while True:
                try:
                    act()
                except Exception as error:
                    self._log.error("unexpected", error=f"{type(error).__name__}: {error}")
                if self._stop.wait(seconds):
                    return

        thread = Thread(target=run, name=f"trimtab-{act.__name__.strip('_')}", daemon=True)
        thread.start()
        return thread


def _named(name: str, value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) and name == "condition" else {name: value}
