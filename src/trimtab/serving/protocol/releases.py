"""The bodies of releases: what is asked of them, and how they stand."""

from typing import Annotated, Literal

from pydantic import Field

from trimtab.interventions import Scope
from trimtab.operations import Adapt, Definition, Epoch
from trimtab.operations.experiments import Decision, Effect, Finding, PolicyEstimate, SampleRatio, Standing
from trimtab.operations.releases.plan import OnAlarm, OnHarm
from trimtab.operations.releases.release import State, WithoutUnit
from trimtab.serving.protocol.answers import Answered
from trimtab.serving.protocol.requests import Asked, Name, Text

ReleaseName = Annotated[Text, Field(min_length=1, max_length=100)]
Why = Annotated[Text, Field(max_length=2000)]
Percent = Annotated[float, Field(ge=0, le=100)]
Percents = Annotated[list[Percent], Field(min_length=1, max_length=100)]
Folder = Annotated[Text, Field(pattern=r"^[^/\\.][^/\\]*(/[^/\\.][^/\\]*)?$", max_length=300)]
Strengths = float | Name | dict[str, float]


class ReleaseCard(Answered):
    """A release as it is.

    Args:
        name: of the release.
        model: by which servers know the model.
        state: draft, dry-run, running, paused, finished or rolled-back.
        share: per cent of its traffic that the stage gives to treatment.
        version: of the state; `expected` of the next step.
        asked_by: who asked for 100 %, where a second person has yet to agree.
        time: when it got there, in seconds since 1970.
        epoch: shares of the arms of a release with several, and which are excluded; null for one that tests.
        definition: all that never changes.
        fault: why this server leaves its requests unsteered; null if it does not.
    """

    object: Literal["release"] = "release"
    name: str
    model: str
    state: State
    share: float
    version: int
    asked_by: str | None
    time: float
    epoch: Epoch | None
    definition: Definition
    fault: str | None


class ReleaseList(Answered):
    """The answer of `GET /v1/releases`, the oldest first; `condition` is how this server follows them, `reason` why."""

    object: Literal["list"] = "list"
    data: list[ReleaseCard]
    condition: Literal["live", "store-lost", "unsteered", "off"]
    reason: str | None


class ArmCount(Answered):
    """Requests and units of an arm."""

    arm: str
    dry_run: bool
    requests: int
    units: int


class ReleaseStatus(ReleaseCard):
    """The answer of `GET /v1/releases/NAME`."""

    exposures: list[ArmCount]


class ExperimentCard(Answered):
    """The answer of `GET /v1/releases/NAME/experiment`.

    Args:
        release: its name.
        version: of its state.
        state: of the release.
        share: per cent of its traffic that treatment has.
        dry_run: whether a dry run is compared, in which both arms were answered alike.
        since: version of the state from which on evidence counts.
        alpha: error rate; 0 where nothing is compared.
        exposures: number of the last that was read.
        outcomes: likewise.
        stage_units: units of control and treatment seen in this stage.
        findings: of each metric, the primary one first.
        sample_ratio: whether the arms get their shares.
        decision: what the next watch will do; null for nothing.
        note: what somebody should know beside; of a factorial release which attribute moves what.
        arms: of a release with several, how each does.
        effects: of a factorial release, what each attribute moves.
        scored_by: by metric, who scored its values, where it was a classifier (with its AUROC) or a judge.
    """

    object: Literal["experiment"] = "experiment"
    release: str
    version: int
    state: State
    share: float
    dry_run: bool
    since: int
    alpha: float
    exposures: int
    outcomes: int
    stage_units: tuple[int, int]
    findings: list[Finding]
    sample_ratio: SampleRatio
    decision: Decision | None
    note: str
    arms: list[Standing]
    effects: list[Effect]
    scored_by: dict[str, str]


class EstimateCard(Answered):
    """The answer of `GET /v1/releases/NAME/estimate`: what a policy would have given.

    Args:
        release: its name.
        metric: by which it is judged.
        policy: probability of each arm.
        visits: at which it could have been followed, and of how many.
        alpha: chance that an interval ever leaves the truth out.
        estimates: by method.
    """

    object: Literal["estimate"] = "estimate"
    release: str
    metric: str
    policy: dict[str, float]
    visits: tuple[int, int]
    alpha: float
    estimates: list[PolicyEstimate]


class StepCard(Answered):
    """A state that a release had, and who brought it there; `entry` is the audit's number."""

    version: int
    state: State
    share: float
    asked_by: str | None
    time: float
    entry: int
    by: str
    what: str
    why: str


class History(Answered):
    """The answer of `GET /v1/releases/NAME/history`, the oldest first."""

    object: Literal["list"] = "list"
    data: list[StepCard]


class AskedArm(Asked):
    """One of several arms: a loaded steering, and a preset, a number, or numbers by attribute."""

    steering: Name
    strength: Strengths | None = None


class CreateRelease(Asked):
    """The body of `POST /v1/releases`; the release is held against the weights and the dtype that this server runs.

    Args:
        name: of the release.
        treatment: name of a loaded steering; left out where there are `arms`.
        strength: of the treatment: a preset, a number, or numbers by attribute; by default the steering's own.
        control: name of a loaded steering; by default the model as it is.
        control_strength: of the control.
        scope: of both; by default the checked one.
        arms: several steerings or presets, for a release that adapts.
        adapt: how the shares of the arms change.
        factorial: switch each attribute of the treatment on and off, and find out what each moves.
        stages: per cent of the traffic, rising; only of a release that tests.
        traffic: slice of the model's traffic, in per cent from and to.
        unit: what its unit ids are.
        without_unit: what requests without a unit id get.
        metric: by which it is judged: `NAME`, `NAME:EFFECT` or `NAME:EFFECT:MARGIN`.
        guardrails: what must not get worse: `NAME`, `NAME:MARGIN` or `NAME:MARGIN:ACTION`.
        on_harm: what harm beyond a margin leads to, unless a guardrail says its own.
        on_alarm: what a canary or shadow that finds the treatment wrong leads to.
        alpha: chance that a release that changes nothing is ever taken back for harm.
        min_units: units that either arm must have in a stage before it is promoted by itself.
        decide_by: units of both arms by which a decision is wanted.
        auto_promote: whether it goes to the next stage by itself where no metric shows harm.
        four_eyes: whether 100 % needs the key of a second person.
        checks: folders of finished checks of the treatment, in the folder of steerings or in one of its folders.
        max_age_days: older checks do not count.
        unchecked: why it is released although the checks are not enough.
        accepted: why serving it otherwise than checked does no harm.
        chat_template: whether requests go through the chat template.
        why: for the audit.
    """

    name: ReleaseName
    treatment: Name | None = None
    strength: Strengths | None = None
    control: Name | None = None
    control_strength: Strengths | None = None
    scope: Scope | None = None
    arms: Annotated[list[AskedArm], Field(max_length=20)] = Field(default=[])
    adapt: Adapt | None = None
    factorial: bool = False
    stages: Percents | None = None
    traffic: Annotated[list[Percent], Field(min_length=2, max_length=2)] = Field(default=[0.0, 100.0])
    unit: ReleaseName = "user"
    without_unit: WithoutUnit = "control"
    metric: Name | None = None
    guardrails: Annotated[list[Name], Field(max_length=100)] = Field(default=[])
    on_harm: OnHarm = "pause"
    on_alarm: OnAlarm = "pause"
    alpha: Annotated[float, Field(gt=0, le=0.2)] = 0.05
    min_units: Annotated[int, Field(ge=30, le=10**9)] = 100
    decide_by: Annotated[int, Field(ge=60, le=10**9)] = 2000
    auto_promote: bool = False
    four_eyes: bool = False
    checks: Annotated[list[Folder], Field(max_length=20)] = Field(default=[])
    max_age_days: Annotated[float, Field(gt=0, le=10_000)] = 30.0
    unchecked: Why | None = None
    accepted: Why | None = None
    chat_template: bool = True
    why: Why = ""


class Act(Asked):
    """The body of `POST /v1/releases/NAME/ACTION`.

    Args:
        why: for the audit.
        expected: do it only if the release is still at this version.
        to: of `promote`: the stage that is meant, which must be the next.
        keep: of `finish`: the arm that everybody gets from now on: treatment, control, or one of several by name.
    """

    why: Why = ""
    expected: Annotated[int, Field(ge=1)] | None = None
    to: Percent | None = None
    keep: Annotated[Text, Field(min_length=1, max_length=100)] = "treatment"
