"""The Hugging Face Hub's HTTP interface, as far as pushing and pulling needs it, on this machine and in memory."""

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import unquote, urlsplit

TOKEN: Final = "hf_of-the-tests"
_LFS: Final = (".safetensors", ".parquet")  # what the Hub keeps apart from git
_API: Final = re.compile(r"/api/(models|datasets)/([\w.-]+/[\w.-]+)(?:/(preupload|commit|revision)/(.+))?")
_BATCH: Final = re.compile(r"/(datasets/)?([\w.-]+/[\w.-]+)\.git/info/lfs/objects/batch")
_FILE: Final = re.compile(r"/(datasets/)?([\w.-]+/[\w.-]+)/resolve/([^/]+)/(.+)")


@dataclass
class Repository:
    """One repository: its commits, the newest last."""

    private: bool
    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """A commit and its files."""
        if revision == "main":
            return self.commits[-1] if self.commits else ("0" * 40, {})
        return next((c for c in self.commits if c[0] == revision), None)

    def add(self, files: Mapping[str, bytes | None], message: str) -> str:
        """A new commit on top; None takes a file away."""
        before = self.commits[-1][1] if self.commits else {".gitattributes": b"*.safetensors filter=lfs\n"}
        commit = sha1(f"{len(self.commits)}".encode() + message.encode()).hexdigest()
        after = {file: content for file, content in {**before, **files}.items() if content is not None}
        self.commits.append((commit, after))
        self.messages.append(message)
        return commit


@dataclass
class Hub:
    """A Hub of our own.

    Args:
        url: of it.
        repositories: by type and name.
        large: contents by digest.
        requests: methods and paths, in their order.
        faults: what it says of every card.
        failing: status that everything is answered with, if any.
        meanwhile: what others do, one after another, each before a commit is taken.
    """

    url: str = ""
    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    failing: int | None = None
    meanwhile: list[Callable[[], object]] = field(default_factory=list)


@contextmanager
def hub_server() -> Iterator[Hub]:
    """A Hub, while inside."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        body = self._body()
        if self.hub.failing is not None:
            self._send(self.hub.failing, b"{}")
        elif self.command == "PUT" and path.startswith("/large/"):
            assert sha256(body).hexdigest() == path.removeprefix("/large/")
            self.hub.large[path.removeprefix("/large/")] = body
            self._send(200, b"")
        elif path == "/api/validate-yaml":
            found_faults = [{"message": fault} for fault in self.hub.faults]
            self._json(400 if found_faults else 200, {"errors": found_faults, "warnings": []})
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif found := _API.fullmatch(path):
            self._api(found, body)
        elif _BATCH.fullmatch(path):
            self._batch(json.loads(body))
        elif found := _FILE.fullmatch(path):
            self._file(found)
        else:
            self._send(404, b"{}")

    def _body(self) -> bytes:
        """What was sent, also in chunks."""
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    @property
    def _allowed(self) -> bool:
        return self.headers.get("authorization") == f"Bearer {TOKEN}"

    def _create(self, asked: dict[str, Any]) -> None:
        if not self._allowed:
            self._send(401, b"{}")
            return
        key = f"{asked.get('type') or 'model'}s", f"{asked['organization']}/{asked['name']}"
        status = 409 if key in self.hub.repositories else 200
        self.hub.repositories.setdefault(key, Repository(asked.get("visibility") == "private"))
        self._json(status, {"url": f"{self.hub.url}/{'datasets/' if key[0] == 'datasets' else ''}{key[1]}"})

    def _repository(self, kind: str, name: str) -> Repository | None:
        found = self.hub.repositories.get((kind, name))
        if found is None or (found.private and not self._allowed):
            self._send(404 if self._allowed else 401, b"{}", {"X-Error-Code": "RepoNotFound"})
            return None
        return found

    def _api(self, found: re.Match[str], body: bytes) -> None:
        kind, name, what, revision = found.groups()
        repository = self._repository(kind, name)
        if repository is None:
            return
        if what == "preupload":
            files = [f["path"] for f in json.loads(body)["files"]]
            modes = [{"path": f, "uploadMode": "lfs" if f.endswith(_LFS) else "regular"} for f in files]
            self._json(200, {"files": [{**mode, "shouldIgnore": False} for mode in modes]})
        elif what == "commit":
            self._commit(repository, [json.loads(line) for line in body.splitlines()])
        else:
            at = repository.at(revision or "main")
            if at is None:
                self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
                return
            siblings = [{"rfilename": f, "size": len(content)} for f, content in sorted(at[1].items())]
            self._json(200, {"id": name, "sha": at[0], "private": repository.private, "siblings": siblings, "tags": []})

    def _commit(self, repository: Repository, lines: list[dict[str, Any]]) -> None:
        if not self._allowed:
            self._send(403, b"{}")
            return
        if self.hub.meanwhile:
            self.hub.meanwhile.pop(0)()
        files: dict[str, bytes | None] = {}
        message = ""
        newest = repository.at("main")
        assert newest is not None
        for line in lines:
            key, value = line["key"], line["value"]
            if key == "header":
                if value.get("parentCommit", newest[0]) != newest[0]:
                    self._send(412, b'{"error": "A commit has happened since. Please refresh and try again."}')
                    return
                message = value["summary"]
            elif key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
            elif key == "deletedFile":
                files[value["path"]] = None
        commit = repository.add(files, message)
        self._json(200, {"commitOid": commit, "commitUrl": f"{self.hub.url}/x/y/commit/{commit}"})

    def _batch(self, asked: dict[str, Any]) -> None:
        actions = [
            {"oid": o["oid"], "size": o["size"], "actions": {"upload": {"href": f"{self.hub.url}/large/{o['oid']}"}}}
            for o in asked["objects"]
        ]
        self._json(200, {"transfer": "basic", "objects": actions}, "application/vnd.git-lfs+json")

    def _file(self, found: re.Match[str]) -> None:
        data, name, revision, file = found.groups()
        repository = self._repository("datasets" if data else "models", name)
        if repository is None:
            return
        at = repository.at(revision)
        if at is None or file not in at[1]:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound" if at else "RevisionNotFound"})
            return
        content = at[1][file]
        self._send(200, content, {"X-Repo-Commit": at[0], "ETag": f'"{sha256(content).hexdigest()}"'})

    def _json(self, status: int, answer: object, kind: str = "application/json") -> None:
        self._send(status, json.dumps(answer).encode(), {"Content-Type": kind})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
