"""Embeddings by a server that speaks OpenAI's API and takes pictures (contract §1.12)."""

from __future__ import annotations

import base64
import functools
import io
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import openai
from PIL import Image

from transforms.errors import CurateError
from transforms.models.api_access import ApiAccess
from transforms.models.captions.backoff import wait_seconds
from transforms.models.daemon_pool import DaemonPool
from transforms.models.embeddings.embedder import EmbeddingError, Frames, Vector, each_alone
from transforms.models.embeddings.served_settings import ServedSettings
from transforms.storage.endpoints import shown_endpoint

JPEG_QUALITY = 95
_TEMPORARY = (408, 409, 429)
_REFUSED = (401, 403)
_SERVER_ERRORS = 500
_ANSWER_SECONDS = 10.0
"""For a question that costs the server nothing."""


class EmbeddingServerGoneError(CurateError):
    """The endpoint cannot be reached any more, or refuses the key; what is finished stays."""


class ServedEmbedder:
    """All frames of a clip as JPEG in one chat-like message; the answer's vector: float32, (D,)."""

    device = "served"

    def __init__(self, settings: ServedSettings, access: ApiAccess) -> None:
        self._settings = settings
        self._access = access
        self._pause = threading.Event()
        self._client = openai.OpenAI(
            api_key=access.api_key,
            base_url=access.base_url,
            timeout=settings.timeout_seconds,
            # It would not take our delays.
            max_retries=0,
        )
        self._pool = DaemonPool(settings.slots, "embedding")

    def embed(self, clips: Sequence[Frames]) -> list[Vector | EmbeddingError]:
        """Return one vector per clip; as many requests are open as there are slots.

        Raises:
            EmbeddingServerGoneError: Nobody is there any more.
        """
        answers = [
            self._pool.submit(functools.partial(each_alone, [frames], self._ask))
            for frames in clips
        ]
        try:
            return [answer.result()[0] for answer in answers]
        finally:
            # Of use after an error alone: what is not sent yet never is.
            for answer in answers:
                answer.cancel()

    def _ask(self, frames: Frames) -> Vector:
        body = {"model": self._settings.model, "messages": messages(frames)}
        attempt = 0
        while True:
            attempt += 1
            try:
                return read_vector(self._client.post("/embeddings", body=body, cast_to=object))
            except (openai.OpenAIError, ValueError) as error:
                # An answer that is no JSON is a ValueError.
                retry_after = _retry_after(error)
                if attempt > self._settings.retries or not _is_temporary(error):
                    self._raise_if_gone(error)
                    raise self._failed(error, attempt) from error
            self._pause.wait(
                wait_seconds(
                    attempt,
                    base_seconds=self._settings.retry_delay_seconds,
                    retry_after=retry_after,
                )
            )

    def _raise_if_gone(self, error: Exception) -> None:
        where = shown_endpoint(str(self._client.base_url))
        if isinstance(error, openai.APIStatusError) and error.status_code in _REFUSED:
            raise EmbeddingServerGoneError(
                f"{where}: the endpoint for embeddings refuses the API key (HTTP "
                f"{error.status_code}); set OPENAI_API_KEY, then run the same command again"
            )
        if not isinstance(error, openai.APIConnectionError):
            return
        try:
            self._client.models.list(timeout=_ANSWER_SECONDS)
        except openai.APIConnectionError:
            raise EmbeddingServerGoneError(
                f"{where}: the endpoint for embeddings does not answer any more; start it again, "
                "then run the same command again"
            ) from None
        except openai.OpenAIError:
            # It answers, if only to refuse.
            return

    def _failed(self, error: Exception, attempts: int) -> EmbeddingError:
        reason = "timeout" if isinstance(error, openai.APITimeoutError) else "request_failed"
        text = self._access.without_key(str(error))
        return EmbeddingError(reason, f"{type(error).__name__} after {attempts}: {text}")


def messages(frames: Frames) -> list[dict[str, Any]]:
    """Return the message that shows all frames."""
    return [{"role": "user", "content": [_image(frame) for frame in frames]}]


def _image(frame: Frames) -> dict[str, Any]:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(frame)).save(file, "JPEG", quality=JPEG_QUALITY)
    data = base64.b64encode(file.getvalue()).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}}


def read_vector(answer: Any) -> Vector:
    """Return the vector of an answer.

    Raises:
        ValueError: It is no answer with one vector of numbers.
    """
    try:
        [item, *_] = answer["data"]
        vector = np.asarray(item["embedding"], dtype=np.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"what the server sent is no embedding ({error})") from error
    if vector.ndim != 1 or not vector.size or not np.isfinite(vector).all():
        raise ValueError(f"what the server sent is no vector of numbers (shape {vector.shape})")
    return vector


def _is_temporary(error: Exception) -> bool:
    if isinstance(error, openai.APIStatusError):
        return error.status_code in _TEMPORARY or error.status_code >= _SERVER_ERRORS
    # Connections break; what cannot be read as an answer may be another server's in between.
    broken = openai.APIConnectionError, openai.APIResponseValidationError, ValueError
    return isinstance(error, broken)


def _retry_after(error: Exception) -> str | None:
    if isinstance(error, openai.APIStatusError):
        header: str | None = error.response.headers.get("retry-after")
        return header
    return None
