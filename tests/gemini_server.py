"""A real server on loopback that speaks the Gemini API and answers with a digest of the video."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from caption_server import frames_digest

MODEL = "models/gemini-tiny"
KEY = "AIza-a-secret-of-the-tests"
EMBEDDER = "models/text-embedder"


@dataclass
class GeminiServer:
    """What it was asked, and how it misbehaves."""

    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    """Bodies of the requests for captions, in the order in which they came."""
    problems: list[str] = field(default_factory=list)
    most_at_once: int = 0
    misbehave: Callable[[int], str | None] = lambda _: None
    """Number of a request for a caption, from 0, to the name of an answer; see ``_ANSWERS``."""
    key: str = KEY
    dies_after: int | None = None
    """Requests after which it closes every connection without a word."""
    files: dict[str, bytes] = field(default_factory=dict)
    """What was uploaded and is still there, by name."""
    num_uploads: int = 0
    file_states: list[str] = field(default_factory=lambda: ["PROCESSING", "ACTIVE"])
    """What is said about an uploaded file, one after the other; the last stays."""
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


@contextlib.contextmanager
def gemini_server() -> Iterator[GeminiServer]:
    """Serve on a free port of loopback."""
    state = GeminiServer()

    class Handler(_Handler):
        server_state = state

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server_state: GeminiServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        if self._is_dead() or not self._may_enter():
            return
        path, state = self.path.partition("?")[0].removeprefix("/v1beta/"), self.server_state
        models = {
            name: {"name": name, "supportedGenerationMethods": [method]}
            for name, method in ((MODEL, "generateContent"), (EMBEDDER, "embedContent"))
        }
        if path == "models":
            self._send(200, {"models": list(models.values())})
        elif path in models:
            self._send(200, models[path])
        elif path in state.files:
            self._send(200, self._file(path))
        else:
            self._refuse(404, "NOT_FOUND", f"{path} is not found")

    def do_DELETE(self) -> None:
        if self._is_dead() or not self._may_enter():
            return
        self.server_state.files.pop(self.path.removeprefix("/v1beta/"))
        self._send(200, {})

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self._is_dead() or not self._may_enter():
            return
        if self.path.startswith("/upload/"):
            self._upload(data)
            return
        body = json.loads(data)
        if self.path != f"/v1beta/{MODEL}:generateContent":
            self.server_state.problems.append(self.path)
        with self.server_state.counted(body) as number:
            self._answer(body, self.server_state.misbehave(number))

    def _upload(self, data: bytes) -> None:
        state = self.server_state
        if self.headers["X-Goog-Upload-Command"] == "start":
            # Like the API behind a proxy, it names its own host.
            size = self.headers["X-Goog-Upload-Header-Content-Length"]
            place = f"https://elsewhere.invalid/upload/v1beta/files?upload_id=1&size={size}"
            self._send(200, {}, {"X-Goog-Upload-URL": place})
            return
        if not self.path.endswith(f"size={len(data)}"):
            state.problems.append(f"{self.path}: {len(data)} bytes")
        with state.lock:
            state.num_uploads += 1
            name = f"files/{state.num_uploads}"
            state.files[name] = data
        self._send(200, {"file": {"name": name, "uri": f"uri-of/{name}", "state": "PROCESSING"}})

    def _file(self, name: str) -> dict[str, str]:
        states = self.server_state.file_states
        state = states.pop(0) if len(states) > 1 else states[0]
        return {"name": name, "uri": f"uri-of/{name}", "state": state}

    def _answer(self, body: dict[str, Any], how: str | None) -> None:
        if how == "slow":
            time.sleep(0.3)
        elif how == "silent":
            time.sleep(2)
        if how == "drop":
            self.close_connection = True
            self.connection.close()
        elif how == "garbage":
            self._send_bytes(200, b"<html>no JSON</html>", {"Content-Type": "text/html"})
        elif how == "unguided" and "responseJsonSchema" in body["generationConfig"]:
            self._refuse(400, "INVALID_ARGUMENT", "this schema is too deep")
        elif how in _REFUSALS:
            self._refuse(*_REFUSALS[how])
        elif how in _ANSWERS:
            self._send(200, _ANSWERS[how])
        else:
            self._send(200, _seen(self._video(body), body))

    def _video(self, body: dict[str, Any]) -> bytes | None:
        *videos, text = body["contents"][0]["parts"]
        if not text["text"]:
            self.server_state.problems.append(f"no prompt: {text}")
        if not videos:
            return None
        if "fileData" in videos[0]:
            found = videos[0]["fileData"]
            data = self.server_state.files[found["fileUri"].removeprefix("uri-of/")]
        else:
            found = videos[0]["inlineData"]
            data = base64.b64decode(found["data"])
        if found["mimeType"] != "video/mp4":
            self.server_state.problems.append(f"odd video: {found['mimeType']}")
        return data

    def _is_dead(self) -> bool:
        state = self.server_state
        if state.dies_after is None or len(state.requests) < state.dies_after:
            return False
        self.close_connection = True
        self.connection.close()
        return True

    def _may_enter(self) -> bool:
        if self.headers.get("x-goog-api-key") == self.server_state.key:
            return True
        key = self.headers.get("x-goog-api-key")
        details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": _BAD_KEY}]
        self._refuse(400, "INVALID_ARGUMENT", f"API key not valid: {key}", details)
        return False

    def _refuse(self, code: int, status: str, message: str, details: Any = ()) -> None:
        error = {"code": code, "status": status, "message": message, "details": list(details)}
        self._send(code, {"error": error})

    def _send(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        sent = {"Content-Type": "application/json", **(headers or {})}
        self._send_bytes(status, json.dumps(content).encode(), sent)

    def _send_bytes(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


_BAD_KEY = "API_KEY_INVALID"
_RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.01s"}
_DAY = {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}],
}
_REFUSALS = {
    "429": (429, "RESOURCE_EXHAUSTED", "later", [_RETRY]),
    "day": (429, "RESOURCE_EXHAUSTED", "quota exceeded", [_DAY, _RETRY]),
    "500": (500, "INTERNAL", "broken"),
    "413": (413, "INVALID_ARGUMENT", "too large"),
    "400": (400, "INVALID_ARGUMENT", "this video is not one"),
    "403": (403, "PERMISSION_DENIED", "not this one"),
}
_USAGE = {"promptTokenCount": 100, "candidatesTokenCount": 7, "thoughtsTokenCount": 5}


def _said(text: str | None, finish: str) -> dict[str, Any]:
    parts = [] if text is None else [{"text": "hm", "thought": True}, {"text": text}]
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": finish}
    return {"candidates": [candidate], "usageMetadata": _USAGE}


_ANSWERS: dict[str, dict[str, Any]] = {
    "blocked": {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": _USAGE},
    "unsafe": _said(None, "SAFETY"),
    "truncated": _said("A car is", "MAX_TOKENS"),
    "thoughtful": _said(None, "MAX_TOKENS"),
    "other": _said("A", "OTHER"),
    "odd": {"candidates": [7]},
    "nothing": {},
}


def _seen(video: bytes | None, body: dict[str, Any]) -> dict[str, Any]:
    if video is None:
        return _said(f"text {body['contents'][0]['parts'][0]['text']}", "STOP")
    return _said(f"seen {frames_digest(video)}", "STOP")
