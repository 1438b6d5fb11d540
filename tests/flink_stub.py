"""What answers where Flink's REST interface is expected."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

OVERVIEW = {"taskmanagers": 2, "slots-total": 4, "slots-available": 4, "jobs-running": 0}
MANAGERS = [
    {"id": "a", "path": "pekko.tcp://flink@10.0.0.1:4000/user/rpc/x", "slotsNumber": 2},
    {"id": "b", "path": "pekko.tcp://flink@10.0.0.2:4000/user/rpc/x", "slotsNumber": 2},
]


class Answers:
    """The answers by path; what is not there is answered by 404."""

    def __init__(self) -> None:
        self.by_path: dict[str, Any] = {
            "/config": {"flink-version": "1.19.3"},
            "/overview": OVERVIEW,
            "/taskmanagers": {"taskmanagers": MANAGERS},
        }
        self.status = 200
        self.asked: list[str] = []
        self.address = ""

    def job(self, state: str, *stacktraces: str) -> None:
        """Let ``/jobs/1`` be in a state, after these failures."""
        entries = [{"stacktrace": text, "endpoint": "node7:4000"} for text in stacktraces]
        self.by_path["/jobs/1"] = {"state": state, "vertices": []}
        self.by_path["/jobs/1/exceptions"] = {"exceptionHistory": {"entries": entries}}


@contextlib.contextmanager
def answering() -> Iterator[Answers]:
    """Serve answers while the context is open."""
    answers = Answers()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answers.asked.append(f"{self.command} {self.path}")
            found = answers.by_path.get(self.path)
            body = json.dumps(found).encode()
            self.send_response(404 if found is None else answers.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_PATCH = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        answers.address = f"127.0.0.1:{server.server_address[1]}"
        yield answers
        server.shutdown()
