"""Any order of steps: the store says what a plain model of the states says, and the audit holds."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.operations.releases.conftest import defined, releases_of

from trimtab.errors import InputError
from trimtab.operations import ReleaseView, Store, entries, verify
from trimtab.operations.releases.emergency import OffSwitch

STAGES = (10.0, 50.0, 100.0)
# state -> action -> next state; written down by hand, as the documentation says it
TABLE = {
    "draft": {"start": "running", "dry-run": "dry-run", "rollback": "rolled-back"},
    "dry-run": {"start": "running", "rollback": "rolled-back"},
    "running": {"promote": "running", "pause": "paused", "rollback": "rolled-back", "finish": "finished"},
    "paused": {"resume": "running", "rollback": "rolled-back", "finish": "finished"},
    "finished": {"rollback": "rolled-back"},
    "rolled-back": {},
}
UNITS = [f"user-{i}" for i in range(40)]


class Machine(RuleBasedStateMachine):
    """A release, beside a model of it."""

    @initialize()
    def begin(self) -> None:
        self.folder = TemporaryDirectory()
        self.store = Store(Path(self.folder.name) / "s.db", create=True)
        self.releases = releases_of(self.store)
        self.releases.add(defined(stages=STAGES), by="ada")
        self.state, self.stage, self.version = "draft", -1, 1
        self.treated: set[str] = set()
        self.view = ReleaseView(self.store, "tiny", OffSwitch(Path(self.folder.name) / "OFF"), poll=3600)

    @rule(
        action=st.sampled_from(["start", "dry-run", "promote", "pause", "resume", "rollback", "finish"]),
        keep=st.sampled_from(["treatment", "control"]),
    )
    def act(self, action: str, keep: str) -> None:
        try:
            self.releases.act("first", action, by="ada", keep=keep)
            done = True
        except InputError:
            done = False
        expected = action in TABLE[self.state] and not (
            (action == "promote" and self.stage == len(STAGES) - 1)
            or (action == "finish" and keep == "treatment" and (self.state, self.stage) != ("running", 2))
        )
        assert done == expected
        if not done:
            return
        self.version += 1
        self.state = TABLE[self.state][action]
        if action in ("start", "dry-run"):
            self.stage = 0
        elif action == "promote":
            self.stage += 1
        elif action == "rollback" or (action == "finish" and keep == "control"):
            self.stage = -1

    @rule()
    def a_step_for_a_former_version_changes_nothing(self) -> None:
        before = self.releases.get("first")
        try:
            self.releases.act("first", "rollback", by="eve", expected=self.version - 1)
            raise AssertionError("it was done")
        except InputError:
            assert self.releases.get("first") == before

    @invariant()
    def the_store_says_what_the_model_says(self) -> None:
        if not hasattr(self, "state"):
            return
        release = self.releases.get("first")
        share = STAGES[self.stage] if self.stage >= 0 else 0.0
        assert (release.state, release.share, release.version) == (self.state, share, self.version)

    @invariant()
    def nobody_is_treated_unless_it_runs_and_nobody_leaves_while_it_grows(self) -> None:
        if not hasattr(self, "state"):
            return
        self.view._look()
        given = {unit: self.view.assign(unit, "r") for unit in UNITS}
        steered = {unit for unit, one in given.items() if one is not None and one.steering is not None}
        if self.state in ("running", "finished") and self.stage >= 0:
            assert steered >= self.treated
            self.treated = steered
            assert (len(steered) == len(UNITS)) == (self.stage == 2)
        else:
            assert not steered

    def teardown(self) -> None:
        if hasattr(self, "store"):
            assert verify(self.store).holds
            assert len(list(entries(self.store))) == self.version
            self.view.close()
            self.store.close()
            self.folder.cleanup()


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=8, stateful_step_count=12, deadline=None)
