"""The releases of a store: made, and brought from state to state, each step with its entry in the audit."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from time import time
from typing import Any

from sqlalchemy import Connection, select

from trimtab.interventions import Scope, Strength
from trimtab.operations.audit import Change
from trimtab.operations.audit.entries import parsed
from trimtab.operations.metrics.kept import frozen
from trimtab.operations.metrics.metric import digest_of
from trimtab.operations.releases.arms import ArtifactNow, arm_of, artifact_on_disk, check_artifacts
from trimtab.operations.releases.evidence import MAX_AGE_DAYS, allowed, gathered
from trimtab.operations.releases.plan import completed
from trimtab.operations.releases.release import Definition, Release
from trimtab.operations.releases.rows import Kept, add, advance, current, latest, started, states
from trimtab.operations.releases.several import adapted, after_several, check_several
from trimtab.operations.releases.steps import Step, as_expected, change_of
from trimtab.operations.releases.traffic import check_traffic, check_unused
from trimtab.operations.releases.transitions import Action, ConflictError, after
from trimtab.operations.store.database import Store
from trimtab.operations.store.tables import AUDIT_ENTRIES, RELEASE_STATES, RELEASES


class Releases:
    """The releases of a store.

    Args:
        store: see `Store`.
        artifact_now: looks up an arm's steering before it is given traffic; by default on disk.

    Example:
        >>> from trimtab.operations import Arm, Definition, Releases, Store
        >>> warm = Arm(name="warm", artifact="5f2c", strength={"warm": 1.0})
        >>> made = Definition(name="first", model="smollm2", treatment=warm, stages=(1, 5, 100), salt="s")
        >>> with Store("releases.db", create=True) as store:
        ...     releases = Releases(store, artifact_now=lambda arm: arm.artifact)
        ...     _ = releases.add(made, by="ada", why="a pilot")
        ...     _ = releases.act("first", "start", by="ada", why="on Monday")
        ...     print(releases.act("first", "promote", by="ada", why="no complaints"))
        release 'first' is running at 5 % (version 3)
    """

    def __init__(self, store: Store, artifact_now: ArtifactNow = artifact_on_disk) -> None:
        self.store = store
        self._artifact_now = artifact_now

    def create(
        self,
        name: str,
        treatment: str | Path,
        control: str | Path | None = None,
        *,
        by: str,
        why: str = "",
        model: str,
        stages: Sequence[float] = (1, 5, 25, 50, 100),
        strength: Strength | None = None,
        control_strength: Strength | None = None,
        scope: Scope | None = None,
        checks: Sequence[str | Path] = (),
        max_age_days: float = MAX_AGE_DAYS,
        unchecked: str | None = None,
        accepted: str | None = None,
        digest: str | None = None,
        chat_template: bool = True,
        dtype: str | None = None,
        **others: Any,
    ) -> Release:
        """Make a release, as a draft: nobody gets it before `start`.

        Args:
            name: of the release.
            treatment: folder of the steering.
            control: folder of the steering that it is compared with; None is the unsteered model.
            by: who makes it.
            why: in words.
            model: by which servers know the model.
            stages: per cent of the traffic, rising.
            strength: of the treatment; by default the steering's own.
            control_strength: of the control.
            scope: of both; by default the checked one.
            checks: folders of `trimtab check --steering`, of the treatment and of a control that steers.
            max_age_days: older checks count as none.
            unchecked: why it is released though the checks are not enough.
            accepted: why what differs from what was checked does no harm.
            digest: of the weights that are served; by default those that the steering was made for.
            chat_template: whether requests go through the chat template.
            dtype: that is served; by default that of the checks, and any where there is none.
            others: further fields of `Definition`, such as `traffic` or `four_eyes`; `planned` makes those of metrics,
                `named_arms` and `factorial_arms` make `arms`, of which the treatment is the first.

        Raises:
            InputError: the evidence is not enough or does not fit; a field is wrong; the name is taken.
            TrimtabError: the store cannot be written.
        """
        arm, artifact = arm_of(treatment, strength, scope)
        served = [*others.get("arms", {}).values()] or [arm]
        other = None if control is None else arm_of(control, control_strength, scope)[0]
        made_for = artifact.made_for
        weights = digest or (None if made_for is None else made_for.digest)
        found = gathered(
            served if other is None else [*served, other], checks, digest=weights, dtype=dtype,
            chat_template=chat_template, max_age_days=max_age_days,
        )  # fmt: skip
        definition = Definition.made(
            name=name,
            model=model,
            treatment=served[0],
            control=other,
            stages=tuple(stages),
            salt=secrets.token_hex(16),
            digest=weights,
            dtype=dtype or found.dtype,
            chat_template=chat_template,
            evidence=allowed(found, unchecked, accepted),
            **others,
        )
        return self.add(definition, by=by, why=why)

    def add(self, definition: Definition, *, by: str, why: str = "") -> Release:
        """Keep a definition as a draft, with what its metrics mean now, and nothing in its plan left open.

        `create` makes one from folders and checks.

        Raises:
            InputError: the name is taken; a metric is not known.
            TrimtabError: the store cannot be written.
        """
        plan = completed(definition.metric, definition.guardrails, definition.plan)
        with self.store.changing() as connection:
            metrics = frozen(connection, definition.metric, definition.guardrails)
            check_several(definition, plan, metrics)
            digest = digest_of(metrics) if metrics else None
            whole = definition.model_copy(update={"metrics": metrics, "metrics_digest": digest, "plan": plan})
            change = Change(by, "release.create", whole.name, why, None, whole.model_dump(mode="json"))
            return add(connection, whole, change)

    def act(
        self,
        name: str,
        action: Action,
        *,
        by: str,
        why: str = "",
        expected: int | None = None,
        to: float | None = None,
        keep: str = "treatment",
        figures: Mapping[str, Any] | None = None,
    ) -> Release:
        """Bring a release a step further: one row, seen by every server within a second.

        Where the release needs four eyes, the first call for 100 % asks for it, and one by somebody else does it.

        Args:
            name: of the release.
            action: see `Action`.
            by: who does it.
            why: in words.
            expected: the version that was looked at; None for the one before this call. If another came in between,
                nothing is done.
            to: of `promote`: the stage that is meant.
            keep: of `finish`: the arm that everybody gets from then on; of several one must be named.
            figures: on which it was decided, for the audit.

        Returns:
            The release in its new state.

        Raises:
            ConflictError: somebody else was faster; the state does not allow it; another release has the traffic.
            InputError: no such release; a stage out of order; a steering that is gone or was changed on disk.
            TrimtabError: the store cannot be written.
        """
        if expected is None:
            expected = self.get(name).version
        with self.store.changing() as connection:
            kept = as_expected(connection, name, expected)
            new = self._checked(connection, kept, action, to, keep, by)
            what = f"release.{action}{'.asked' if new.asked_by else ''}"
            return advance(connection, kept, new, change_of(kept.release, new, by, what, why, figures))

    def adapt(
        self,
        name: str,
        shares: Mapping[str, float],
        excluded: Mapping[str, str] | None = None,
        *,
        by: str,
        expected: int,
        why: str = "",
        figures: Mapping[str, Any] | None = None,
    ) -> Release:
        """Give the arms of an adaptive release other shares: a new epoch, by one row.

        Args:
            name: of the release.
            shares: of each arm and control; 1 together.
            excluded: arms that get nothing any more, beside those that were, and why.
            by: who does it.
            expected: the version that was looked at; if another came in between, nothing is done.
            why: in words.
            figures: on which it was decided, for the audit.

        Raises:
            ConflictError: somebody else was faster; it does not run.
            InputError: it does not adapt; shares that do not fit its arms; an excluded arm that would get some.
            TrimtabError: the store cannot be written.
        """
        with self.store.changing() as connection:
            kept = as_expected(connection, name, expected)
            new = adapted(kept.release, shares, excluded or {})
            return advance(connection, kept, new, change_of(kept.release, new, by, "release.adapt", why, figures))

    def pause_all(self, *, by: str, why: str = "") -> Iterator[str]:
        """Pause every release that runs, as an emergency off does; gives the name of each when it is done.

        Raises:
            TrimtabError: the store cannot be written.
        """
        for one in self.all():
            while self.get(one.name).state == "running":
                with suppress(ConflictError):  # somebody else was faster, such as a watch: what they did is looked at
                    self.act(one.name, "pause", by=by, why=why or "emergency off")
                    yield one.name

    def get(self, name: str) -> Release:
        """A release as it is.

        Raises:
            InputError: there is none of this name.
        """
        with self.store.reading() as connection:
            return current(connection, name).release

    def all(self, model: str | None = None) -> list[Release]:
        """All releases as they are, the oldest first; of one model, if it is named."""
        with self.store.reading() as connection:
            return [kept.release for kept in latest(connection, model)]

    def history(self, name: str) -> list[Step]:
        """All states that a release had, and how it got there.

        Raises:
            InputError: there is none of this name.
        """
        with self.store.reading() as connection:
            current(connection, name)
            kept = list(states(connection, name=name))
            theirs = select(RELEASE_STATES.c.entry).join(RELEASES).where(RELEASES.c.name == name)
            rows = connection.execute(select(AUDIT_ENTRIES).where(AUDIT_ENTRIES.c.number.in_(theirs))).all()
        said = {row.number: parsed(row.content) for row in rows}
        return [Step(one.release, said[one.entry]) for one in kept]

    def check_unused(self, artifact: str) -> None:
        """Call before a steering is removed or unloaded.

        Raises:
            ConflictError: a release serves it, or could again.
        """
        with self.store.reading() as connection:
            models = {kept.release.definition.model for kept in latest(connection)}
            for model in sorted(models):
                check_unused(started(connection, model), artifact)

    def _checked(
        self, connection: Connection, kept: Kept, action: Action, to: float | None, keep: str, by: str
    ) -> Release:
        before = kept.release
        if before.definition.arms:
            state, share, epoch = after_several(before, action, keep)
            epoch = epoch and epoch.model_copy(update={"asked_for": None})
        else:
            (state, share), epoch = after(before, action, to, keep), None
        if action in ("start", "dry-run", "promote", "resume"):
            check_artifacts(before.definition, self._artifact_now)
        if action in ("start", "dry-run") and before.state == "draft":
            check_traffic(started(connection, before.definition.model), before.definition)
        new = Release(before.definition, before.version + 1, state, share, None, time(), epoch)
        now = state == "running" or epoch is not None  # of several arms one gets all when it is kept
        whole = new.treated == 100 > before.treated and now and action != "resume"
        if not (before.definition.four_eyes and whole):
            return new
        meant = before.epoch and before.epoch.model_copy(update={"asked_for": keep})
        if before.asked_by is None:
            return replace(before, version=new.version, asked_by=by, time=new.time, epoch=meant)
        if before.asked_by == by:
            raise ConflictError(f"{before}; somebody else than {by} must agree", release=before)
        if before.epoch != meant:
            raise ConflictError(
                f"{before}; agree to that, or pause and resume it, which takes the wish back", field="keep",
                release=before,
            )  # fmt: skip
        return new
