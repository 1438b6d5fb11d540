"""A web server on this machine that holds archives: GET with ranges, PUT, and a signature."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

SIGNATURE = "never-to-be-printed-0f3a9c"
"""Stands in the query of every URL; a test searches for it in all that was said and stored."""
_RANGE = re.compile(r"bytes=(\d+)-")


@dataclass
class ArchiveServer:
    """The server; ``objects`` are what it holds by path."""

    port: int
    has_versions: bool = True
    """Whether answers have an ETag, and ranges are given."""
    tells_length: bool = True
    objects: dict[str, bytes] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    """Method, path and range of each request."""

    def url(self, path: str, *, port: int = 0, signature: str = SIGNATURE) -> str:
        """Return a URL of a path; with the port of a proxy, one that leads through it."""
        return f"http://127.0.0.1:{port or self.port}{path}?X-Amz-Signature={signature}"


@contextlib.contextmanager
def running_archives() -> Iterator[ArchiveServer]:
    """Run the server in a thread until the context ends."""
    httpd = _Server(("127.0.0.1", 0), _Handler)
    server = ArchiveServer(httpd.server_address[1])
    httpd.archives = server  # type: ignore[attr-defined]
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """Say nothing: clients and proxies of tests hang up as they please."""


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self._server()
        path = self._allowed()
        if path is None:
            return
        if path not in server.objects:
            self._refuse(404, "NoSuchKey")
            return
        data = server.objects[path]
        version = f'"{hashlib.md5(data).hexdigest()}"'
        match = _RANGE.fullmatch(self.headers.get("Range", ""))
        start = int(match.group(1)) if match and server.has_versions else 0
        if self.headers.get("If-Range", version) != version:
            start = 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        if server.has_versions:
            self.send_header("ETag", version)
        if server.tells_length:
            self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        self.wfile.write(data[start:])

    def do_PUT(self) -> None:
        length = self.headers.get("Content-Length")
        path = self._allowed()
        if path is None:
            return
        # As a store with signatures of the second version, which covers this header.
        if length is None or self.headers.get("Content-Type") is not None:
            self._refuse(411 if length is None else 403, "SignatureDoesNotMatch")
            return
        self._server().objects[path] = self.rfile.read(int(length))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass

    def _server(self) -> ArchiveServer:
        return self.server.archives  # type: ignore[attr-defined, no-any-return]

    def _allowed(self) -> str | None:
        parts = urlsplit(self.path)
        self._server().seen.append(f"{self.command} {parts.path} {self.headers.get('Range', '')}")
        if parts.query == f"X-Amz-Signature={SIGNATURE}" and "Authorization" not in self.headers:
            return parts.path
        self._refuse(403, "SignatureDoesNotMatch")
        return None

    def _refuse(self, status: int, code: str) -> None:
        body = f"<Error><Code>{code}</Code><Key>{self.path}</Key></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
