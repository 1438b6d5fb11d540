"""A real OpenAI-compatible server on loopback that answers with a digest of what it was shown."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import pytest
from model_server import ModelHandler, ModelServer, serving

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
class CaptionServer(ModelServer):
    """``misbehave``: 400, 429, 500, garbage, page, odd, drop, slow."""

    models: tuple[str, ...] = (MODEL,)
    says: Callable[[str, str | None], str] = lambda _, seen: f"seen {seen}"
    """Prompt and digest of the frames (None: there are none) to the answer."""
    refuses: frozenset[str] = frozenset()
    """Fields of a request's body that are answered with status 400."""
    withdraws_after: int | None = None
    """Requests after which it knows the key no longer."""


def caption_server(
    answers: type[CaptionHandler] | None = None,
) -> contextlib.AbstractContextManager[CaptionServer]:
    """Serve on a free port of loopback; ``answers`` may answer otherwise than with captions."""
    return serving(CaptionServer(), answers or CaptionHandler, path="/v1")


@contextlib.contextmanager
def known_server(
    monkeypatch: pytest.MonkeyPatch, answers: type[CaptionHandler] | None = None
) -> Iterator[CaptionServer]:
    """Serve; the program finds the server, its key and its models."""
    forget_models()
    with caption_server(answers) as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        yield running


class CaptionHandler(ModelHandler):
    def do_GET(self) -> None:
        if self.is_dead() or not self._may_enter():
            return
        models = [{"id": name, "object": "model"} for name in self.server_state.models]
        self.send(200, {"object": "list", "data": models})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.is_dead() or not self._may_enter():
            return
        with self.server_state.counted(body) as number:
            self._answer(body, self.server_state.misbehave(number))

    def _answer(self, body: dict[str, Any], how: str | None) -> None:
        if how == "slow":
            time.sleep(0.3)
        if how == "429":
            self.send(429, {"error": {"message": "later"}}, {"Retry-After": "0"})
        elif how == "400":
            text = "This model's maximum context length is 32 tokens; the request has 100"
            self.send(400, {"error": {"message": text}})
        elif how == "500":
            self.send(500, {"error": {"message": "broken"}})
        elif how == "garbage":
            self.send_bytes(200, b"<html>no JSON</html>", {"Content-Type": "application/json"})
        elif how == "page":
            self.send_bytes(200, b"<html>no JSON</html>", {"Content-Type": "text/html"})
        elif how == "odd":
            self.send(200, {"choices": [{}], "usage": {"prompt_tokens": None}})
        elif how == "drop":
            self.drop()
        else:
            self._complete(body)

    def _complete(self, body: dict[str, Any]) -> None:
        if set(body) & self.server_state.refuses:
            self.send(400, {"error": {"message": f"unknown field among {sorted(body)}"}})
            return
        *videos, text = body["messages"][0]["content"]
        seen = None
        for video in videos:
            url = video["video_url"]["url"].removeprefix("data:video/mp4;base64,")
            seen = frames_digest(base64.b64decode(url))
        if body["model"] not in self.server_state.models or not text["text"]:
            self.server_state.problems.append(f"odd request: {body['model']} {text}")
        answer = self.server_state.says(text["text"], seen)
        self.send(200, self._completion(body, answer))

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

    def _may_enter(self) -> bool:
        state = self.server_state
        is_known = state.withdraws_after is None or len(state.requests) < state.withdraws_after
        if is_known and self.headers.get("Authorization") == f"Bearer {KEY}":
            return True
        self.send(401, {"error": {"message": f"bad key {self.headers.get('Authorization')}"}})
        return False
