"""What real servers of models on loopback have in common: what they were asked, and their ends."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, TypeVar


@dataclass
class ModelServer:
    """What it was asked, and how it misbehaves."""

    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    """Bodies of the requests that a model answers, in the order in which they came."""
    problems: list[str] = field(default_factory=list)
    """What was wrong with requests."""
    most_at_once: int = 0
    misbehave: Callable[[int], str | None] = lambda _: None
    """Number of such a request, from 0, to how it is answered; None: well."""
    dies_after: int | None = None
    """Requests after which it closes every connection without a word."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    num_open: int = 0

    @contextlib.contextmanager
    def counted(self, body: dict[str, Any]) -> Iterator[int]:
        """Count a request that is being answered; give its number."""
        with self.lock:
            number = len(self.requests)
            self.requests.append(body)
            self.num_open += 1
            self.most_at_once = max(self.most_at_once, self.num_open)
        try:
            yield number
        finally:
            with self.lock:
                self.num_open -= 1


State = TypeVar("State", bound=ModelServer)


class ModelHandler(BaseHTTPRequestHandler):
    """Answers in JSON."""

    server_state: ClassVar[Any]
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def is_dead(self) -> bool:
        """Return whether the server has died; then the connection is closed."""
        state = self.server_state
        if state.dies_after is None or len(state.requests) < state.dies_after:
            return False
        self.drop()
        return True

    def drop(self) -> None:
        """Close the connection without a word."""
        self.close_connection = True
        self.connection.close()

    def send(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        """Answer with JSON."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        self.send_bytes(status, json.dumps(content).encode(), sent)

    def send_bytes(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        """Answer with whatever it is."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextlib.contextmanager
def serving(state: State, handler: type[ModelHandler], *, path: str = "") -> Iterator[State]:
    """Serve on a free port of loopback; ``path`` is the end of the server's address."""
    bound = type("Handler", (handler,), {"server_state": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), bound)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}{path}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
