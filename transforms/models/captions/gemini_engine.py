"""Captions by the Gemini API: small windows inside the request, large ones uploaded first."""

from __future__ import annotations

import base64
import functools
import json
import logging
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from transforms.models.api_access import ApiAccess
from transforms.models.captions.engine import CaptionRequest, EngineGoneError
from transforms.models.captions.gemini_answer import read_answer
from transforms.models.captions.gemini_client import (
    GeminiAwayError,
    GeminiClient,
    GeminiError,
    GeminiRefusedError,
    GeminiTimeoutError,
)
from transforms.models.captions.gemini_settings import GeminiSettings
from transforms.models.daemon_pool import DaemonPool
from transforms.models.stubborn import BrokenOffError, Failed, GivenUpError, Stubborn
from transforms.records import CaptionAnswer

_MP4 = "video/mp4"
_POLL_SECONDS = 1.0
_BAD_REQUEST = 400
_TOO_LARGE = 413
_NOT_FOUND = 404

_logger = logging.getLogger(__name__)


class GeminiEngine:
    """Sends each window's mp4 and the prompt to ``generateContent`` (contract §1.14)."""

    def __init__(self, settings: GeminiSettings, access: ApiAccess) -> None:
        self.slots = settings.slots
        self._settings = settings
        self._refused = threading.Event()
        self._client = GeminiClient(
            access, timeout_seconds=settings.timeout_seconds, connections=settings.slots
        )
        self._stubborn = Stubborn(settings, (GeminiError,), self._judged)
        self._pool = DaemonPool(settings.slots, "caption")

    def submit(self, request: CaptionRequest) -> Future[CaptionAnswer]:
        """Begin a request."""
        return self._pool.submit(functools.partial(self._answer, request))

    def close(self) -> None:
        """End the threads; waiting requests are not sent any more."""
        self._stubborn.closed.set()
        self._pool.close()
        self._client.close()

    def _answer(self, request: CaptionRequest) -> CaptionAnswer:
        path = Path(request.mp4_path) if request.mp4_path is not None else None
        video = _Video(path, self._settings, self._client, self._stubborn.closed)
        try:
            return self._stubborn_answer(request, video)
        finally:
            video.remove()

    def _stubborn_answer(self, request: CaptionRequest, video: _Video) -> CaptionAnswer:
        def send() -> CaptionAnswer:
            parts = [*video.parts(), {"text": request.prompt}]
            return read_answer(self._generated(parts, request.json_schema))

        try:
            return self._stubborn.ask(send)
        except BrokenOffError as error:
            return CaptionAnswer("error", reason="exception", message=str(error))
        except GivenUpError as given_up:
            failure = given_up.__cause__
            assert isinstance(failure, GeminiError)
            self._raise_if_gone(failure)
            return _failed(request, failure, given_up.attempts)

    def _generated(self, parts: list[dict[str, Any]], schema: str | None) -> dict[str, Any]:
        """Return the API's response; a schema that it refuses is left out: it only helps."""
        model = self._settings.model
        if schema is None or self._refused.is_set():
            return self._client.generate(model, self._body(parts, {}))
        guided = {"responseMimeType": "application/json", "responseJsonSchema": json.loads(schema)}
        try:
            return self._client.generate(model, self._body(parts, guided))
        except GeminiRefusedError as error:
            if error.status != _BAD_REQUEST or error.is_about_access:
                raise
            response = self._client.generate(model, self._body(parts, {}))
            # It was that: no later request tries again.
            self._refused.set()
            _logger.warning("%s: refuses the JSON schema (%s)", self._client.where, error)
            return response

    def _body(self, parts: list[dict[str, Any]], guided: dict[str, Any]) -> dict[str, Any]:
        generation = dict(guided)
        if self._settings.max_tokens is not None:
            generation["maxOutputTokens"] = self._settings.max_tokens
        body: dict[str, Any] = {"contents": [{"role": "user", "parts": parts}]}
        return {**body, "generationConfig": generation} if generation else body

    def _judged(self, error: GeminiError) -> Failed:
        """Return whether it may pass.

        Raises:
            EngineGoneError: The day's quota is used up: every other window would fail, too.
        """
        if isinstance(error, GeminiRefusedError) and error.is_day_s_end:
            raise EngineGoneError(
                f"{self._client.where}: the day's quota of {self._settings.model} is used up "
                f"({error}); give the same command again tomorrow, or raise the quota"
            ) from None
        return Failed(error.is_temporary, error.retry_after)

    def _raise_if_gone(self, error: GeminiError) -> None:
        """Raise when it is no fault of the window: nobody is there, or nothing is allowed any more.

        Raises:
            EngineGoneError: The API cannot even be reached, or refuses the key or the model.
        """
        is_refusal = isinstance(error, GeminiRefusedError) and (
            error.is_about_access or error.status == _NOT_FOUND
        )
        if not is_refusal and not isinstance(error, GeminiAwayError):
            return
        try:
            self._client.model(self._settings.model)
        except GeminiAwayError:
            raise EngineGoneError(
                f"{self._client.where}: the Gemini API does not answer any more; give the same "
                "command again when it does"
            ) from None
        except GeminiRefusedError as refusal:
            if refusal.is_about_access or refusal.status == _NOT_FOUND:
                raise EngineGoneError(
                    f"{self._client.where}: refuses the key or {self._settings.model} by now "
                    f"({refusal}); set GEMINI_API_KEY and give the same command again"
                ) from None
        except GeminiError:
            # It answers, if only nonsense.
            return


class _Video:
    """The part of a request that shows the window; a large one is uploaded once and removed."""

    def __init__(
        self,
        path: Path | None,
        settings: GeminiSettings,
        client: GeminiClient,
        closed: threading.Event,
    ) -> None:
        self._path = path
        self._settings = settings
        self._client = client
        self._closed = closed
        self._uploaded: dict[str, Any] | None = None

    def parts(self) -> list[dict[str, Any]]:
        """Return the part, none when only text is asked about.

        Raises:
            GeminiError: It cannot be uploaded.
        """
        if self._path is None:
            return []
        if self._path.stat().st_size <= self._settings.max_inline_bytes:
            data = base64.b64encode(self._path.read_bytes()).decode()
            return [{"inlineData": {"mimeType": _MP4, "data": data}}]
        if self._uploaded is None:
            self._uploaded = self._client.upload(self._path, _MP4)
        self._uploaded = self._active(self._uploaded)
        return [{"fileData": {"mimeType": _MP4, "fileUri": str(self._uploaded["uri"])}}]

    def remove(self) -> None:
        """Remove what was uploaded."""
        if self._uploaded is None:
            return
        try:
            self._client.delete(str(self._uploaded["name"]))
        except GeminiError as error:
            _logger.info("an uploaded window stays until the API forgets it (2 days): %s", error)

    def _active(self, file: dict[str, Any]) -> dict[str, Any]:
        """Return an uploaded file once it can be asked about."""
        deadline = time.monotonic() + self._settings.timeout_seconds
        while file.get("state") != "ACTIVE":
            if file.get("state") == "FAILED":
                refusal = {"message": "the API cannot read the uploaded window"}
                raise GeminiRefusedError(400, refusal, None)
            if time.monotonic() > deadline or self._closed.wait(_POLL_SECONDS):
                raise GeminiTimeoutError("the uploaded window is still being prepared")
            file = self._client.file(str(file["name"]))
        return file


def _failed(request: CaptionRequest, error: GeminiError, attempts: int) -> CaptionAnswer:
    is_timeout = isinstance(error, GeminiTimeoutError)
    cure = ""
    if isinstance(error, GeminiRefusedError) and error.status == _TOO_LARGE:
        cure = "; lower --gemini_max_inline_mb: larger windows are uploaded before they are asked"
    return CaptionAnswer(
        "error",
        reason="timeout" if is_timeout else "exception",
        message=f"{request.request_id}: {type(error).__name__} after {attempts}: {error}{cure}",
    )
