"""A real OpenAI-compatible server on loopback that answers with a digest of what it was shown."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av

from beam_pipeline.models.caption_engines import served

MODEL = "tiny-vlm"
KEY = "sk-a-secret-of-the-tests"


def frames_digest(video: bytes | Path, frames: tuple[int, int] | None = None) -> str:
    """Return a digest of the decoded frames of a video, or of those in ``[start, end)``."""
    source = io.BytesIO(video) if isinstance(video, bytes) else str(video)
    digest = hashlib.sha256()
    with av.open(source) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if frames is None or frames[0] <= number < frames[1]:
                digest.update(frame.to_ndarray(format="rgb24").tobytes())
    return digest.hexdigest()


def forget_models() -> None:
    """Let the program ask its endpoint again what it serves; it asks once per process."""
    served.served_model.cache_clear()


@dataclass
class CaptionServer:
    """What it was asked, and how it misbehaves."""

    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    """Bodies of the requests for captions, in the order in which they came."""
    problems: list[str] = field(default_factory=list)
    """What was wrong with requests."""
    most_at_once: int = 0
    misbehave: Callable[[int], str | None] = lambda _: None
    """Number of a request, from 0, to ``400``, ``429``, ``500``, ``garbage``, ``page``, ``odd``,
    ``drop``, ``slow`` or None."""
    models: tuple[str, ...] = (MODEL,)
    says: Callable[[str, str | None], str] = lambda _, seen: f"seen {seen}"
    """Prompt and digest of the frames (None: there are none) to the answer."""
    refuses: frozenset[str] = frozenset()
    """Fields of a request's body that are answered with status 400."""
    dies_after: int | None = None
    """Requests after which it closes every connection without a word."""
    withdraws_after: int | None = None
    """Requests after which it knows the key no longer."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _open: int = 0

    @contextlib.contextmanager
    def counted(self, body: dict[str, Any]) -> Iterator[int]:
        """Count a request that is being answered; give its number."""
        with self._lock:
            number = len(self.requests)
            self.requests.append(body)
            self._open += 1
            self.most_at_once = max(self.most_at_once, self._open)
        try:
            yield number
        finally:
            with self._lock:
                self._open -= 1


@contextlib.contextmanager
def caption_server(answers: type[CaptionHandler] | None = None) -> Iterator[CaptionServer]:
    """Serve on a free port of loopback; ``answers`` may answer otherwise than with captions."""
    state = CaptionServer()

    class Handler(answers or CaptionHandler):  # type: ignore[misc]
        server_state = state

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class CaptionHandler(BaseHTTPRequestHandler):
    server_state: CaptionServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        if self._is_dead() or not self._may_enter():
            return
        models = [{"id": name, "object": "model"} for name in self.server_state.models]
        self._send(200, {"object": "list", "data": models})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self._is_dead() or not self._may_enter():
            return
        with self.server_state.counted(body) as number:
            self._answer(body, self.server_state.misbehave(number))

    def _answer(self, body: dict[str, Any], how: str | None) -> None:
        if how == "slow":
            time.sleep(0.3)
        if how == "429":
            self._send(429, {"error": {"message": "later"}}, {"Retry-After": "0"})
        elif how == "400":
            text = "This model's maximum context length is 32 tokens; the request has 100"
            self._send(400, {"error": {"message": text}})
        elif how == "500":
            self._send(500, {"error": {"message": "broken"}})
        elif how == "garbage":
            self._send_bytes(200, b"<html>no JSON</html>", {"Content-Type": "application/json"})
        elif how == "page":
            self._send_bytes(200, b"<html>no JSON</html>", {"Content-Type": "text/html"})
        elif how == "odd":
            self._send(200, {"choices": [{}], "usage": {"prompt_tokens": None}})
        elif how == "drop":
            self.close_connection = True
            self.connection.close()
        else:
            self._complete(body)

    def _complete(self, body: dict[str, Any]) -> None:
        if set(body) & self.server_state.refuses:
            self._send(400, {"error": {"message": f"unknown field among {sorted(body)}"}})
            return
        *videos, text = body["messages"][0]["content"]
        seen = None
        for video in videos:
            url = video["video_url"]["url"].removeprefix("data:video/mp4;base64,")
            seen = frames_digest(base64.b64decode(url))
        if body["model"] not in self.server_state.models or not text["text"]:
            self.server_state.problems.append(f"odd request: {body['model']} {text}")
        answer = self.server_state.says(text["text"], seen)
        self._send(200, self._completion(body, answer))

    def _completion(self, body: dict[str, Any], answer: str) -> dict[str, Any]:
        return {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": answer},
                }
            ],
            "usage": {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107},
        }

    def _is_dead(self) -> bool:
        state = self.server_state
        if state.dies_after is None or len(state.requests) < state.dies_after:
            return False
        self.close_connection = True
        self.connection.close()
        return True

    def _may_enter(self) -> bool:
        state = self.server_state
        is_known = state.withdraws_after is None or len(state.requests) < state.withdraws_after
        if is_known and self.headers.get("Authorization") == f"Bearer {KEY}":
            return True
        self._send(401, {"error": {"message": f"bad key {self.headers.get('Authorization')}"}})
        return False

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
