"""What a release is, and what state it is in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from trimtab.errors import InputError
from trimtab.interventions import Scope
from trimtab.operations.metrics.metric import Metric, digest_of
from trimtab.operations.releases.adapting import CONTROL, Adapt, Epoch, Mode, check_arms
from trimtab.operations.releases.assignment import bound, place_of
from trimtab.operations.releases.plan import OnAlarm, Plan
from trimtab.texts import name_fault

State = Literal["draft", "dry-run", "running", "paused", "finished", "rolled-back"]
"""Only created; answered with control while it is recorded what would have been; live at a stage; everybody gets
control until it is resumed; over, for good; back to control, for good."""

ArmName = Literal["control", "treatment"]

WithoutUnit = Literal["control", "request"]
"""What requests without a unit id get: control, until treatment has 100 %; or an arm drawn for the request itself."""

Percent = Annotated[float, Field(ge=0, le=100)]
WHOLE: Final = (0.0, 100.0)
"""All of the traffic, in per cent from…to."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Arm(_Record):
    """A steering as an arm gets it.

    Args:
        name: of its folder, by which servers know it.
        artifact: its id.
        strength: by attribute.
        scope: which tokens it acts on.
        folder: where it lay when the release was made.

    Example:
        >>> from trimtab.operations import Arm
        >>> Arm(name="warm", artifact="5f2c", strength={"warm": 1.0}, scope="generated").folder
        ''
    """

    name: str
    artifact: str
    strength: Mapping[str, float]
    scope: Scope = "all"
    folder: str = ""


class Evidence(_Record):
    """What a release was allowed on.

    Args:
        checks: files of the checks' reports.
        decisions: what each came to.
        faults: why they are not enough; then `unchecked` says why it is released all the same.
        differences: of what was checked and what is to be served; `accepted` says why they do no harm.
        unchecked, accepted: reasons, in somebody's words.
        dtype: that the checks were made in; None where there is none, or they differ.

    Example:
        >>> from trimtab.operations import Evidence
        >>> Evidence(faults=("no check is given",), unchecked="a demonstration").decisions
        ()
    """

    checks: tuple[str, ...] = ()
    decisions: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()
    unchecked: str | None = None
    accepted: str | None = None
    dtype: str | None = None


class Definition(_Record):
    """All of a release that never changes.

    Args:
        name: of the release.
        model: by which servers know the model.
        treatment: what is released; of several arms the first.
        control: what it is compared with; None is the unsteered model.
        stages: per cent of the traffic, rising.
        traffic: the slice of the model's units that it may touch, in per cent from…to; two releases of one model need
            slices that do not overlap.
        unit: what its unit ids are, such as `user`.
        without_unit: see `WithoutUnit`.
        metric: by which it is judged.
        guardrails: what must not get worse.
        metrics: the definitions of both, and of their parts, as they were when the release was made.
        metrics_digest: SHA-256 of these definitions.
        plan: what of them matters, what is tolerated, and what happens then; None where nothing is measured.
        arms: of a release with several: each beside control, by name; empty for one that tests.
        adapt: how their shares change; None where they do not.
        factors: attributes that are on in some arms and off in others; then the arms are all cells but that of none.
        on_alarm: what it leads to when a server's canary or shadow raises an alarm about the treatment.
        four_eyes: whether 100 % needs a second person.
        salt: of its hashes.
        digest: of the weights that it is for; None if nobody knows.
        dtype: in which they are served; None for any.
        chat_template: whether prompts go through the chat template.
        evidence: see `Evidence`.

    Raises:
        InputError: a name that is none, stages that do not rise, a slice that is none, other definitions of metrics,
            arms that do not fit.

    Example:
        >>> from trimtab.operations import Arm, Definition
        >>> warm = Arm(name="warm", artifact="5f2c", strength={"warm": 1.0})
        >>> Definition(name="first", model="smollm2", treatment=warm, stages=(1, 100), salt="s").traffic
        (0.0, 100.0)
    """

    name: str
    model: str
    treatment: Arm
    control: Arm | None = None
    stages: tuple[Percent, ...]
    traffic: tuple[Percent, Percent] = WHOLE
    unit: str = "user"
    without_unit: WithoutUnit = "control"
    metric: str | None = None
    guardrails: tuple[str, ...] = ()
    metrics: tuple[Metric, ...] = ()
    metrics_digest: str | None = None
    plan: Plan | None = None
    arms: Mapping[str, Arm] = Field(default={})
    adapt: Adapt | None = None
    factors: tuple[str, ...] = ()
    on_alarm: OnAlarm = "pause"
    four_eyes: bool = False
    salt: str
    digest: str | None = None
    dtype: str | None = None
    chat_template: bool = True
    evidence: Evidence = Evidence()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        fault = name_fault(self.name)
        if fault:
            raise ValueError(f"name: the name {fault}")
        if not self.model.strip():
            raise ValueError("model: the model's name is empty")
        if not self.stages or list(self.stages) != sorted(set(self.stages)) or self.stages[0] == 0:
            raise ValueError("stages: give rising per cents above 0, such as 1,5,25,50,100")
        if not self.traffic[0] < self.traffic[1]:
            raise ValueError("traffic: give a slice in per cent, such as 0-50")
        if self.metrics_digest is not None and self.metrics_digest != digest_of(self.metrics):
            raise ValueError("metrics: the definitions are not those of metrics_digest")
        planned = () if self.plan is None else tuple(rail.metric for rail in self.plan.guardrails)
        if planned not in ((), self.guardrails):
            raise ValueError("plan: its guardrails are not those of the release")
        adjusted = [metric.name for metric in self.metrics if metric.past_days is not None]
        if self.arms and adjusted:
            raise ValueError(
                f"metrics: {', '.join(adjusted)}: past_days is for releases of two arms; define it without"
            )
        if self.arms or self.adapt is not None or self.factors:
            check_arms(self.arms, self.adapt, self.factors)
        return self

    @property
    def mode(self) -> Mode:
        """Whether it tests, adapts, or finds effects of factors."""
        return "adapt" if self.adapt is not None else "factorial" if self.arms else "test"

    @property
    def steerings(self) -> tuple[Arm, ...]:
        """All that it may serve."""
        treated = tuple(self.arms.values()) if self.arms else (self.treatment,)
        return treated if self.control is None else (*treated, self.control)

    @staticmethod
    def made(**fields: Any) -> "Definition":
        """A definition, its faults as errors of the input.

        Raises:
            InputError: as above; names the field.
        """
        try:
            return Definition(**fields)
        except ValidationError as error:
            first = error.errors()[0]
            said = str(first["msg"]).removeprefix("Value error, ")
            place = ".".join(map(str, first["loc"])) or said.partition(":")[0]
            message = said if not first["loc"] else f"{place}: {said}"
            raise InputError(message, field=place.partition(".")[0]) from None


@dataclass(frozen=True)
class Release:
    """A release in one of its states.

    Args:
        definition: see `Definition`.
        version: of the state, from 1; each change has the next.
        state: see `State`.
        share: per cent of its traffic that the stage gives to treatment.
        asked_by: who asked for 100 %, where a second person has yet to agree.
        time: when it got there, in seconds since 1970.
        epoch: of a release with several arms, their shares; None before it is started.

    Example:
        >>> from trimtab.operations import Arm, Definition, Release
        >>> warm = Arm(name="warm", artifact="5f2c", strength={"warm": 1.0})
        >>> made = Definition(name="first", model="smollm2", treatment=warm, stages=(1, 100), salt="s")
        >>> Release(made, 2, "running", 100.0).arm("ada"), Release(made, 3, "paused", 100.0).arm("ada")
        ('treatment', 'control')
    """

    definition: Definition
    version: int
    state: State
    share: float
    asked_by: str | None = None
    time: float = 0.0
    epoch: Epoch | None = None

    @property
    def name(self) -> str:
        """Of the release."""
        return self.definition.name

    @property
    def is_open(self) -> bool:
        """Whether it serves, or could again."""
        return self.state in ("dry-run", "running", "paused")

    @property
    def treated(self) -> float:
        """Per cent of its traffic that belongs to treatment now; in a dry run, that would."""
        return self.share if self.state in ("dry-run", "running", "finished") else 0.0

    def arm(self, unit: str) -> str:
        """The arm of a unit: the same on every server, and treatment stays treatment while the share grows."""
        if self.epoch is not None:
            return self.epoch.arm(self.definition.salt, unit) if self.treated else CONTROL
        return "treatment" if place_of(self.definition.salt, unit) < bound(self.treated) else "control"

    def steering(self, arm: str) -> Arm | None:
        """What an arm is answered with; in a dry run that is control's for all."""
        if arm == CONTROL or self.state == "dry-run":
            return self.definition.control
        return self.definition.arms.get(arm, self.definition.treatment)

    @property
    def served(self) -> dict[str, Arm]:
        """Steerings that it serves or could again, by arm: while it is open all but the excluded; then what it left."""
        of = self.definition
        treated = dict(of.arms) or {"treatment": of.treatment}
        arms = treated if of.control is None else treated | {CONTROL: of.control}
        out = () if self.epoch is None else tuple(self.epoch.excluded)
        kept = self.left if self.state in ("finished", "rolled-back") else None
        return {name: arm for name, arm in arms.items() if name not in out and kept in (None, name)}

    @property
    def left(self) -> str:
        """The arm that everybody gets of one that is over."""
        if self.epoch is None or not self.treated:
            return "treatment" if self.treated else CONTROL
        shares = self.epoch.shares
        return max(shares, key=lambda arm: shares[arm])

    @property
    def record(self) -> dict[str, Any]:
        """For JSON: the state, and what it is a state of."""
        return {
            "name": self.name,
            "model": self.definition.model,
            "state": self.state,
            "share": self.share,
            "version": self.version,
            "asked_by": self.asked_by,
            "time": self.time,
            "epoch": None if self.epoch is None else self.epoch.model_dump(mode="json"),
            "definition": self.definition.model_dump(mode="json"),
        }

    def __str__(self) -> str:
        many = f" with {len(self.definition.arms) + 1} arms" if self.definition.arms else f" at {self.share:g} %"
        at = many if self.state in ("dry-run", "running", "paused") else ""
        what = "100 %" if self.epoch is None or self.epoch.asked_for is None else f"100 % {self.epoch.asked_for}"
        waits = f", {what} asked for by {self.asked_by}" if self.asked_by else ""
        return f"release {self.name!r} is {self.state}{at} (version {self.version}{waits})"
