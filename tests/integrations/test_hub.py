"""Steerings and reports on a Hub of our own: they come back as they went, verified, at the commit that is named."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.conftest import Run
from tests.hub_server import TOKEN, Hub, Repository, hub_server
from tests.reports.conftest import build

import trimtab as tt
from trimtab.errors import InputError, TrimtabError
from trimtab.integrations.hub import pull, push
from trimtab.results.report import Report
from trimtab.steering.artifact import MAX_BYTES

# of the Hub's own client
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

VERDICT = {"attributes": {"warm": {"decision": "go", "sentence": "It holds <b>."}}}


_PARTS = ("examples.parquet", "report.html", "report.json")


def _ask(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the client ask this server, whose address it knows from when it was imported."""
    from huggingface_hub import constants

    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", url)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A Hub in the place of the real one, whose token this process has."""
    with hub_server() as server:
        _ask(server.url, monkeypatch)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server


@pytest.fixture
def steering(tmp_path: Path) -> Path:
    made = tt.Steering.from_vector(3, torch.arange(8.0), "warm")
    made.save(tmp_path / "warm", VERDICT)
    return tmp_path / "warm"


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_a_steering_comes_back_as_it_went_with_its_card_and_verdict(hub, steering, tmp_path):
    pushed = push(steering, "org/warm")
    repository = hub.repositories["models", "org/warm"]
    assert repository.private
    assert repository.messages == [f"trimtab steering {tt.Steering.load(steering).id[:12]}"]
    assert "**go**, warm: It holds \\<b\\>." in repository.commits[0][1]["README.md"].decode()
    pulled = pull("org/warm", tmp_path / "back")
    assert contents(tmp_path / "back") == contents(steering)
    assert (pulled.commit, pulled.id, pulled.decisions) == (pushed.commit, pushed.id, {"warm": "go"})
    assert pushed.commit == repository.commits[0][0]


def test_a_report_comes_back_as_it_went_with_a_card_of_its_verdict(hub, tmp_path):
    report: Report = build()
    report.save(tmp_path / "report")
    pushed = push(tmp_path / "report", "org/check", private=False, message="first")
    repository = hub.repositories["datasets", "org/check"]
    assert not repository.private
    card = repository.commits[0][1]["README.md"].decode()
    assert f"**{report.verdict.decision}**: " in card
    assert all(f"| {bound.n} |" in card for bound in report.verdict.bounds)
    pulled = pull("org/check", tmp_path / "back", kind="report")
    assert contents(tmp_path / "back") == contents(tmp_path / "report")
    assert Report.load(tmp_path / "back") == Report.load(tmp_path / "report")
    assert pulled.decisions == pushed.decisions == {report.behavior: report.verdict.decision}


def test_a_page_from_elsewhere_is_not_taken_and_an_older_report_leaves_nothing_behind(hub, tmp_path):
    build().save(tmp_path / "report")
    push(tmp_path / "report", "org/check")
    repository = hub.repositories["datasets", "org/check"]
    there = dict(repository.commits[-1][1])
    repository.add({"report.html": b"<script>alert(1)</script>"}, "a page that does more")
    build(seed=1, behavior="older").save(tmp_path / "back")
    (tmp_path / "back" / "classifier.safetensors").write_bytes(b"of the older")
    pull("org/check", tmp_path / "back", kind="report")
    assert contents(tmp_path / "back") == {name: content for name, content in there.items() if name in _PARTS}
    assert not [request for request in hub.requests if "report.html" in request and "resolve" in request]


def test_a_report_without_rows_takes_those_of_an_older_one_away(hub, tmp_path):
    build().save(tmp_path / "report")
    (tmp_path / "report" / "examples.parquet").unlink()
    push(tmp_path / "report", "org/check")
    build(seed=1).save(tmp_path / "back")
    pull("org/check", tmp_path / "back", kind="report")
    assert not (tmp_path / "back" / "examples.parquet").exists()


def test_what_links_lead_to_is_not_pushed(hub, tmp_path):
    build().save(tmp_path / "report")
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "report" / "report.html").unlink()
    (tmp_path / "report" / "report.html").symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match="no plain file"):
        push(tmp_path / "report", "org/check")
    assert hub.requests == []


def test_a_report_does_not_take_the_place_of_a_file(hub, tmp_path):
    (tmp_path / "back").write_text("mine")
    with pytest.raises(InputError, match="is a file"):
        pull("org/check", tmp_path / "back", kind="report")


def test_a_pinned_commit_gives_the_same_files_whatever_came_after(hub, steering, tmp_path):
    first = push(steering, "org/warm")
    before = contents(steering)
    tt.Steering.from_vector(3, torch.ones(8), "warm").save(steering)
    second = push(steering, "org/warm")
    assert second.commit != first.commit
    assert pull("org/warm", tmp_path / "old", revision=first.commit).id == first.id
    assert contents(tmp_path / "old") == before
    assert pull("org/warm", tmp_path / "old").commit == second.commit
    assert tt.Steering.load(tmp_path / "old").id == second.id
    with pytest.raises(InputError, match=f"holds the steering {second.id}, not {first.id}") as raised:
        pull("org/warm", tmp_path / "old", id=first.id)
    assert raised.value.field == "id"


def test_what_was_changed_on_the_hub_is_refused_and_nothing_is_written(hub, steering, tmp_path):
    push(steering, "org/warm")
    repository = hub.repositories["models", "org/warm"]
    tensors = bytearray(repository.commits[-1][1]["steering.safetensors"])
    tensors[-1] ^= 1
    commit = repository.add({"steering.safetensors": bytes(tensors)}, "changed")
    with pytest.raises(InputError, match=f"org/warm at {commit}.*steering.safetensors"):
        pull("org/warm", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_other_files_of_a_repository_are_never_downloaded(hub, steering, tmp_path):
    push(steering, "org/warm")
    hub.repositories["models", "org/warm"].add({"code.py": b"print()", "pytorch_model.bin": b"x"}, "more")
    pull("org/warm", tmp_path / "back")
    assert contents(tmp_path / "back") == contents(steering)
    assert not [r for r in hub.requests if "code.py" in r or "pytorch_model" in r]


def test_a_file_that_is_too_large_is_refused_before_it_is_downloaded(hub, steering, tmp_path):
    push(steering, "org/warm")
    large = b" " * (MAX_BYTES["README.md"] + 1)
    hub.repositories["models", "org/warm"].add({"README.md": large}, "large")
    hub.requests.clear()
    with pytest.raises(InputError, match=r"README\.md has 1,048,577 bytes"):
        pull("org/warm", tmp_path / "back")
    assert not [r for r in hub.requests if "resolve" in r]


@pytest.mark.parametrize("kind", ["steering", "report"])
def test_another_kind_of_repository_is_refused(hub, tmp_path, kind):
    for type_ in ("models", "datasets"):
        hub.repositories[type_, "org/other"] = Repository(False)
        hub.repositories[type_, "org/other"].add({"config.json": b"{}"}, "x")
    with pytest.raises(InputError, match="another kind of repository") as raised:
        pull("org/other", tmp_path / "back", kind=kind)
    assert raised.value.code == "wrong-file"


@pytest.mark.parametrize(
    "name", ["warm", "a/b/c", "org/../x", "org/", "-a/b", "org/a b", "org/a.", "a-/b", "org/" + "a" * 96]
)
def test_a_name_that_is_none_is_refused_before_anything_is_asked(hub, steering, tmp_path, name):
    with pytest.raises(InputError, match="give org/name"):
        pull(name, tmp_path / "back")
    with pytest.raises(InputError, match="give org/name"):
        push(steering, name)
    assert hub.requests == []


def test_no_such_repository_revision_or_access_is_said(hub, steering, tmp_path, monkeypatch):
    push(steering, "org/warm")
    with pytest.raises(InputError, match=r"org/cold is not on the Hub, or not for you.*hf auth login"):
        pull("org/cold", tmp_path / "back")
    with pytest.raises(InputError, match="no revision 'v9'") as raised:
        pull("org/warm", tmp_path / "back", revision="v9")
    assert raised.value.field == "revision"
    monkeypatch.setenv("HF_TOKEN", "hf_of-somebody-else")
    for action in (lambda: pull("org/warm", tmp_path / "back"), lambda: push(steering, "org/warm")):
        with pytest.raises(InputError, match="hf auth login") as raised:
            action()
        assert "hf_of" not in str(raised.value)


def test_a_card_that_the_hub_does_not_take_is_a_message(hub, steering):
    hub.faults.append('"base_model" is nobody')
    with pytest.raises(InputError, match=r'the Hub refuses the card of org/warm: .*"base_model" is nobody') as raised:
        push(steering, "org/warm")
    assert raised.value.code == "endpoint-refused"


def test_a_hub_that_fails_or_is_not_there_is_a_message(hub, steering, tmp_path, monkeypatch):
    hub.failing = 400
    with pytest.raises(TrimtabError, match="the Hub answered 400 for org/warm"):
        pull("org/warm", tmp_path / "back")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        _ask(f"http://127.0.0.1:{taken.getsockname()[1]}", monkeypatch)
        with pytest.raises(TrimtabError, match="the Hub cannot be reached") as raised:
            pull("org/warm", tmp_path / "back")
    assert raised.value.code == "endpoint-failed"


def test_a_folder_that_holds_something_else_stays_as_it_is(hub, steering, tmp_path):
    push(steering, "org/warm")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    hub.requests.clear()
    with pytest.raises(InputError, match=r"letter\.txt"):
        pull("org/warm", tmp_path / "mine")
    assert hub.requests == []
    with pytest.raises(InputError, match="belongs to the steering"):
        pull("org/warm", steering, kind="report")


@pytest.mark.parametrize("earlier", [False, True])
def test_of_two_pushes_at_once_the_later_one_is_refused_and_changes_nothing(hub, steering, tmp_path, earlier):
    other = tt.Steering.from_vector(3, torch.ones(8), "warm").save(tmp_path / "other")
    if earlier:
        push(steering, "org/warm")
    hub.meanwhile.append(lambda: push(other, "org/warm"))
    with pytest.raises(TrimtabError, match="somebody else changed org/warm in the meantime") as raised:
        push(steering, "org/warm")
    assert (raised.value.code, raised.value.exit_code) == ("conflict", 4)
    repository = hub.repositories["models", "org/warm"]
    assert len(repository.commits) == 1 + earlier
    assert pull("org/warm", tmp_path / "back").id == tt.Steering.load(other).id
    assert "report.json" not in repository.commits[-1][1]  # what the first took away stays away
    assert push(steering, "org/warm").id == tt.Steering.load(steering).id  # looked at again


@pytest.mark.parametrize("made", ["nothing", "damaged"])
def test_only_what_verifies_is_pushed(hub, steering, made):
    if made == "nothing":
        for file in steering.iterdir():
            file.unlink()
    else:
        (steering / "README.md").write_text("better")
    with pytest.raises(InputError):
        push(steering, "org/warm")
    assert hub.requests == []


def test_the_command_line_pushes_pulls_and_names_the_commit(hub, steering, tmp_path, run: Run):
    code, out, _ = run("push", steering, "org/warm", "--public", "--json")
    pushed = json.loads(out)
    assert (code, pushed["decisions"], pushed["id"]) == (0, {"warm": "go"}, tt.Steering.load(steering).id)
    assert not hub.repositories["models", "org/warm"].private
    code, out, _ = run("pull", "org/warm", tmp_path / "back", "--revision", pushed["commit"], "--id", pushed["id"])
    assert code == 0
    assert out.splitlines()[:3] == [
        f"pulled: steering org/warm, commit {pushed['commit']}", f"id: {pushed['id']}", "verdict: go, warm",
    ]  # fmt: skip
    code, _, err = run("pull", "org/warm", tmp_path / "back", "--report", "--id", pushed["id"])
    assert (code, "leave one out" in err) == (2, True)
    code, _, err = run("pull", "org/none", tmp_path / "none")
    assert (code, "is not on the Hub" in err) == (2, True)
