"""A real server on loopback that speaks the Gemini API and answers with a digest of the video."""

from __future__ import annotations

import base64
import json
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from caption_server import frames_digest
from model_server import ModelHandler, ModelServer, serving

MODEL = "models/gemini-tiny"
KEY = "AIza-a-secret-of-the-tests"
EMBEDDER = "models/text-embedder"


@dataclass
class GeminiServer(ModelServer):
    """It misbehaves as ``_Handler._answer`` says; see also ``_ANSWERS`` and ``_REFUSALS``."""

    key: str = KEY
    files: dict[str, bytes] = field(default_factory=dict)
    """What was uploaded and is still there, by name."""
    num_uploads: int = 0
    file_states: list[str] = field(default_factory=lambda: ["PROCESSING", "ACTIVE"])
    """What is said about an uploaded file, one after the other; the last stays."""


def gemini_server() -> AbstractContextManager[GeminiServer]:
    """Serve on a free port of loopback."""
    return serving(GeminiServer(), _Handler)


class _Handler(ModelHandler):
    def do_GET(self) -> None:
        if self.is_dead() or not self._may_enter():
            return
        path, state = self.path.partition("?")[0].removeprefix("/v1beta/"), self.server_state
        models = {
            name: {"name": name, "supportedGenerationMethods": [method]}
            for name, method in ((MODEL, "generateContent"), (EMBEDDER, "embedContent"))
        }
        if path == "models":
            self.send(200, {"models": list(models.values())})
        elif path in models:
            self.send(200, models[path])
        elif path in state.files:
            self.send(200, self._file(path))
        else:
            self._refuse(404, "NOT_FOUND", f"{path} is not found")

    def do_DELETE(self) -> None:
        if self.is_dead() or not self._may_enter():
            return
        self.server_state.files.pop(self.path.removeprefix("/v1beta/"))
        self.send(200, {})

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.is_dead() or not self._may_enter():
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
            self.send(200, {}, {"X-Goog-Upload-URL": place})
            return
        if not self.path.endswith(f"size={len(data)}"):
            state.problems.append(f"{self.path}: {len(data)} bytes")
        with state.lock:
            state.num_uploads += 1
            name = f"files/{state.num_uploads}"
            state.files[name] = data
        self.send(200, {"file": {"name": name, "uri": f"uri-of/{name}", "state": "PROCESSING"}})

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
            self.drop()
        elif how == "garbage":
            self.send_bytes(200, b"<html>no JSON</html>", {"Content-Type": "text/html"})
        elif how == "unguided" and "responseJsonSchema" in body["generationConfig"]:
            self._refuse(400, "INVALID_ARGUMENT", "this schema is too deep")
        elif how in _REFUSALS:
            self._refuse(*_REFUSALS[how])
        elif how in _ANSWERS:
            self.send(200, _ANSWERS[how])
        else:
            self.send(200, _seen(self._video(body), body))

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

    def _may_enter(self) -> bool:
        if self.headers.get("x-goog-api-key") == self.server_state.key:
            return True
        key = self.headers.get("x-goog-api-key")
        details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": _BAD_KEY}]
        self._refuse(400, "INVALID_ARGUMENT", f"API key not valid: {key}", details)
        return False

    def _refuse(self, code: int, status: str, message: str, details: Any = ()) -> None:
        error = {"code": code, "status": status, "message": message, "details": list(details)}
        self.send(code, {"error": error})


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
