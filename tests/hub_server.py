"""A real HTTP server on loopback that speaks the part of the hub's API that its client uses."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_a_secret_of_the_tests"
_LARGE = 1_000_000
OLD, NEW = "a" * 40, "b" * 40


@dataclass
class Repository:
    """One model."""

    commits: dict[str, dict[str, bytes]]
    """Commit to its files."""
    branches: dict[str, str] = field(default_factory=lambda: {"main": NEW})
    gated: bool = False

    def commit(self, revision: str) -> str | None:
        """Return the commit that a revision means."""
        found = self.branches.get(revision, revision)
        return found if found in self.commits else None


@dataclass
class HubServer:
    """What it has, how it misbehaves, and what it was asked."""

    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    breaks: list[int] = field(default_factory=list)
    """Bytes after which the connection breaks, for each of the next answers that are large."""
    refuses: str | None = None
    """A file that it answers with 500."""
    wrong_size: bool = False
    """Whether it lists files as one byte longer than they are."""
    ranges: list[str] = field(default_factory=list)
    """``Range`` of the requests that had one."""
    served: list[str] = field(default_factory=list)
    """Names of the files that were sent."""
    tokens: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        if self.headers.get("Authorization"):
            self.hub.tokens.add(self.headers["Authorization"])
        if parts[:2] == ["api", "models"] and len(parts) >= 4:
            self._info("/".join(parts[2:4]), parts[5] if len(parts) > 5 else "main")
        elif len(parts) >= 5 and parts[2] == "resolve":
            self._resolve("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        elif parts[0] == "cdn":
            self._blob(parts[1], with_body=with_body)
        else:
            if parts[0] != "api":
                self.hub.problems.append(self.path)
            self._error(404, "EntryNotFound")

    def _repository(self, name: str, revision: str) -> tuple[Repository, str] | None:
        repository = self.hub.repositories.get(name)
        if repository is None:
            self._error(401, "RepoNotFound")
        elif repository.gated and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._error(403, "GatedRepo")
        elif (commit := repository.commit(revision)) is None:
            self._error(404, "RevisionNotFound")
        else:
            return repository, commit
        return None

    def _info(self, name: str, revision: str) -> None:
        found = self._repository(name, revision)
        if found is None:
            return
        repository, commit = found
        siblings = [
            {"rfilename": file, "size": len(data) + self.hub.wrong_size}
            for file, data in repository.commits[commit].items()
        ]
        content = {"id": name, "sha": commit, "siblings": siblings, "private": False, "tags": []}
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _resolve(self, name: str, revision: str, file: str) -> None:
        found = self._repository(name, revision)
        if found is None:
            return
        repository, commit = found
        data = repository.commits[commit].get(file)
        if data is None:
            self._error(404, "EntryNotFound")
            return
        digest = hashlib.sha256(data).hexdigest()
        headers = {
            "X-Repo-Commit": commit,
            "X-Linked-Etag": f'"{digest}"',
            "X-Linked-Size": str(len(data)),
            # Another host, as the hub's: its headers count, not those of where the file lies.
            "Location": f"{self.hub.url.replace('127.0.0.1', 'localhost')}/cdn/{digest}",
        }
        self._send(302, b"", headers)

    def _blob(self, digest: str, *, with_body: bool) -> None:
        blobs = {
            hashlib.sha256(data).hexdigest(): (name, data)
            for repository in self.hub.repositories.values()
            for files in repository.commits.values()
            for name, data in files.items()
        }
        name, data = blobs[digest]
        start, status = 0, 200
        if wanted := self.headers.get("Range"):
            self.hub.ranges.append(wanted)
            start, status = int(wanted.removeprefix("bytes=").split("-")[0]), 206
        headers = {"ETag": f'"{digest}"'}
        if status == 206:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        if name == self.hub.refuses:
            self._error(500, "InternalError")
            return
        if not with_body:
            self._send(status, b"", {**headers, "Content-Length": str(len(data))})
            return
        self.hub.served.append(name)
        self._send(status, data[start:], headers)

    def _error(self, status: int, code: str) -> None:
        self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": code})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.hub.breaks and len(body) > _LARGE:
            self.wfile.write(body[: self.hub.breaks.pop(0)])
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()
            return
        if self.command == "GET":
            self.wfile.write(body)


@contextlib.contextmanager
def hub_server() -> Iterator[HubServer]:
    """Run the server while the context is open."""
    hub = HubServer()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
