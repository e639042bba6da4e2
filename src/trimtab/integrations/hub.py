"""Steerings and reports on the Hugging Face Hub: pushed with their card, pulled at a pinned commit and verified.

A steering is a model repository, the report of a check a data set. What is pulled is read as untrusted input: only
files that belong to it, none larger than it may be, and nothing is in its place before all of it was read and fits.
"""

import os
import re
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from trimtab.errors import InputError, TrimtabError
from trimtab.evaluation.held_out import NAME as CLASSIFIER
from trimtab.reports.check.card import report_card
from trimtab.reports.check.html import page
from trimtab.results.report import Report
from trimtab.steering import artifact
from trimtab.steering.stored import load
from trimtab.storage.atomic import fault, into_place, output_path, outside_steerings, scratch

if TYPE_CHECKING:
    from huggingface_hub import HfApi

Kind = Literal["steering", "report"]

_TYPES: Final[Mapping[Kind, str]] = {"steering": "model", "report": "dataset"}
_REPORT: Final[Mapping[str, int]] = {"examples.parquet": 1 << 30, "report.html": 64 << 20, "report.json": 64 << 20}
_CARD: Final = artifact.CARD
_PAGE: Final = "report.html"
_NAME: Final = re.compile(r"[A-Za-z0-9]([\w.-]*\w)?/[A-Za-z0-9]([\w.-]*\w)?", re.ASCII)
_LONGEST_NAME: Final = 96  # characters, by the Hub's own rule
_OUTDATED: Final = 412  # what the Hub answers where the newest commit is no longer the one that was looked at


@dataclass(frozen=True)
class OnHub:
    """What lies on the Hub, and where it is here.

    Args:
        kind: `steering` or `report`.
        name: `org/name` of the repository.
        commit: forty hexadecimal digits; the same one gives the same files for ever.
        folder: here.
        id: of the steering; None for a report.
        decisions: verdicts by attribute or behavior; empty where nothing was checked.
    """

    kind: Kind
    name: str
    commit: str
    folder: Path
    id: str | None
    decisions: Mapping[str, str]


def push(folder: str | Path, name: str, *, private: bool = True, message: str | None = None) -> OnHub:
    """Put a steering or a check's report on the Hub, in one commit; the repository is made if there is none.

    A part that an older one has there and this one has not, such as a report, is removed by the same commit. Of two
    pushes at once one is refused.

    Whose it is says the token of `hf auth login` or HF_TOKEN.

    Args:
        folder: that `Steering.save`, `trimtab fit` or `trimtab check` wrote.
        name: `org/name`.
        private: whether a repository that is made now is seen by its owners alone.
        message: of the commit.

    Raises:
        InputError: neither a steering nor a report, or one that does not verify; a name that is none; no access.
        TrimtabError: the Hub cannot be reached, or failed; somebody else pushed there in the meantime.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    source = Path(folder)
    _check_name(name)
    found = _found(source)
    files = artifact.MAX_BYTES if found.kind == "steering" else _REPORT
    contents = {file: _plain(source / file) for file in files if os.path.lexists(source / file)}
    operations: list[CommitOperationAdd | CommitOperationDelete] = []
    operations += [CommitOperationAdd(file, path) for file, path in contents.items()]
    if found.kind == "report":
        operations.append(CommitOperationAdd(_CARD, report_card(Report.load(source)).encode()))
    said = message or f"trimtab {found.kind}" + ("" if found.id is None else f" {found.id[:12]}")
    with _told(name) as api:
        api.create_repo(name, repo_type=_TYPES[found.kind], private=private, exist_ok=True)
        parent, there = _newest(api, name, found.kind)
        operations += [CommitOperationDelete(file) for file in files if file in there and file not in contents]
        done = api.create_commit(
            name, operations, commit_message=said, repo_type=_TYPES[found.kind], parent_commit=parent
        )
    return _on_hub(found, name, done.oid)


def pull(
    name: str, folder: str | Path, *, kind: Kind = "steering", revision: str | None = None, id: str | None = None
) -> OnHub:
    """Take a steering or a check's report from the Hub.

    Args:
        name: `org/name`.
        folder: where it goes; an older steering there is replaced.
        kind: `steering` or `report`.
        revision: a commit, branch or tag; None for the newest.
        id: that the steering must have.

    Raises:
        InputError: no such repository or revision, or no access; files that are missing, too large or do not verify;
            another id; a folder that cannot be written or holds something else.
        TrimtabError: the Hub cannot be reached, or failed.
    """
    _check_name(name)
    if kind not in _TYPES:
        raise InputError(f"kind {kind!r}: give {' or '.join(_TYPES)}", code="unknown-choice", field="kind")
    if id is not None and kind != "steering":
        raise InputError("a report has no id; leave it out", code="conflicting-arguments", field="id")
    target = _checked_target(Path(folder), kind)
    allowed = artifact.MAX_BYTES if kind == "steering" else _REPORT
    with tempfile.TemporaryDirectory(prefix="trimtab-") as temporary:
        work = Path(temporary)
        with _told(name, revision) as api:
            commit, there = _newest(api, name, kind, revision)
            wanted = [file for file in _wanted(f"{name} at {commit}", there, allowed) if file != _PAGE]
            for file in wanted:
                api.hf_hub_download(name, file, repo_type=_TYPES[kind], revision=commit, local_dir=work)
        found = _found(work, kind, f"{name} at {commit}")
        if id is not None and found.id != id:
            raise InputError(
                f"{name} at {commit} holds the steering {found.id}, not {id}; somebody changed it",
                code="damaged-file",
                field="id",
            )
        contents = {file: (work / file).read_bytes() for file in wanted}
        if kind == "report":  # a page from elsewhere may run scripts: it is made here, of what was read
            contents[_PAGE] = page(Report.load(work)).encode()
    if kind == "steering":
        artifact.write(target, contents)
    else:
        target.mkdir(parents=True, exist_ok=True)
        with scratch(target, "report") as new:
            for file, content in contents.items():
                (new / file).write_bytes(content)
            into_place(new, target, sorted(contents))
        for file in {*_REPORT, CLASSIFIER} - set(contents):  # of an older report there
            (target / file).unlink(missing_ok=True)
    return _on_hub(found, name, commit, target)


def _plain(file: Path) -> Path:
    """A file that is one itself: what a link leads to may be none of this folder.

    Raises:
        InputError: it is a link, or no file.
    """
    if not stat.S_ISREG(file.lstat().st_mode):
        raise InputError(f"{file} is no plain file; put the file itself there", code="wrong-file", field="folder")
    return file


@dataclass(frozen=True)
class _Found:
    """What a folder holds."""

    kind: Kind
    folder: Path
    id: str | None
    decisions: Mapping[str, str]


def _found(folder: Path, kind: Kind | None = None, what: str | None = None) -> _Found:
    """What a folder holds, verified.

    Raises:
        InputError: nothing of the kind, or damaged.
    """
    if kind is None:
        is_steering = (folder / artifact.MANIFEST).is_file() or not (folder / "report.json").is_file()
        kind = "steering" if is_steering else "report"
    try:
        if kind == "report":
            report = Report.load(folder)
            return _Found(kind, folder, None, {report.behavior: report.verdict.decision})
        _, stored = load(folder)
    except InputError as error:
        raise InputError(
            str(error).replace(str(folder), what) if what else str(error), code=error.code, field=error.field
        ) from error
    return _Found(kind, folder, stored.id, _decisions(stored.reliability or {}))


def _decisions(reliability: Mapping[str, Any]) -> dict[str, str]:
    own = reliability.get("attributes")
    checked = own.items() if isinstance(own, Mapping) else ()
    return {str(n): str(v["decision"]) for n, v in checked if isinstance(v, Mapping) and "decision" in v}


def _on_hub(found: _Found, name: str, commit: str, folder: Path | None = None) -> OnHub:
    return OnHub(found.kind, name, commit, folder or found.folder, found.id, found.decisions)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or ".." in name or "--" in name or len(name) > _LONGEST_NAME:
        raise InputError(f"{name!r} is no name on the Hub; give org/name", code="invalid-input", field="name")


def _checked_target(target: Path, kind: Kind) -> Path:
    """A folder that may be written, known before anything is downloaded.

    Raises:
        InputError: it may not.
    """
    if kind == "steering":
        artifact.check_artifact_folder(target)
        outside_steerings(target.parent)
        return target
    target = output_path(target)
    if target.exists() and not target.is_dir():
        raise InputError(f"{target} is a file; give a folder", code="file-exists", field="folder")
    if why := fault(target):
        raise InputError(f"{str(target)!r} {why}; give another folder", code="unwritable-file", field="folder")
    return target


def _newest(api: "HfApi", name: str, kind: Kind, revision: str | None = None) -> tuple[str, Mapping[str, int | None]]:
    """The newest commit of a repository, or that of a revision, and sizes in bytes by file."""
    ask = api.model_info if kind == "steering" else api.dataset_info
    info = ask(name, revision=revision, files_metadata=True)
    return str(info.sha), {file.rfilename: file.size for file in info.siblings or []}


def _wanted(what: str, there: Mapping[str, int | None], allowed: Mapping[str, int]) -> list[str]:
    """The files that belong to it, none of them too large.

    Raises:
        InputError: one is, or none is there.
    """
    sizes = {file: size for file, size in there.items() if file in allowed}
    for file, size in sizes.items():
        if size is not None and size > allowed[file]:
            raise InputError(
                f"{what}: {file} has {size:,} bytes, more than the {allowed[file]:,} that it may have",
                code="damaged-file",
                field="name",
            )
    if not sizes:
        raise InputError(
            f"{what} holds none of {', '.join(sorted(allowed))}; is it another kind of repository?",
            code="wrong-file",
            field="name",
        )
    return sorted(sizes)


@contextmanager
def _told(name: str, revision: str | None = None) -> Iterator["HfApi"]:
    """The Hub's interface, while inside; its errors are messages of ours, which hold no token.

    Raises:
        InputError, TrimtabError: what it raised.
    """
    from httpx2 import TransportError
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        LocalTokenNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    access = "check the name, and log in with: hf auth login"
    silent = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield HfApi(library_name="trimtab")
    except RevisionNotFoundError as error:
        raise InputError(
            f"{name} has no revision {revision!r} on the Hub", code="no-such-file", field="revision"
        ) from error
    except (RepositoryNotFoundError, GatedRepoError, LocalTokenNotFoundError) as error:
        raise InputError(
            f"{name} is not on the Hub, or not for you; {access}", code="no-such-file", field="name"
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise InputError(
                f"the Hub refuses it to you ({status}) for {name}; {access}", code="endpoint-refused", field="name"
            ) from error
        if status == _OUTDATED:
            raise TrimtabError(
                f"somebody else changed {name} in the meantime, and nothing was pushed; see what is there, "
                "and push again if this one is still meant",
                code="conflict",
                field="name",
            ) from error
        raise TrimtabError(
            f"the Hub answered {status} for {name}; try again later", code="endpoint-failed", field="name"
        ) from error
    except ValueError as error:  # what it says of the front matter
        raise InputError(
            f"the Hub refuses the card of {name}: {' '.join(str(error).split())}", code="endpoint-refused", field="name"
        ) from error
    except RuntimeError as error:  # what it makes of an upload that failed
        raise TrimtabError(f"{name}: {error}; try again later", code="endpoint-failed", field="name") from error
    except (TransportError, ConnectionError, LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise TrimtabError(
            f"the Hub cannot be reached: {type(error).__name__}; is there a network?",
            code="endpoint-failed",
            field="name",
        ) from error
    except OSError as error:  # a download that was cut off, a disk that is full
        raise TrimtabError(f"{name}: {error}; try again", code="endpoint-failed", field="name") from error
    finally:
        if not silent:
            enable_progress_bars()
