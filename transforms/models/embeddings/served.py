"""Embeddings by a server that speaks OpenAI's API and takes pictures (contract §1.12)."""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from transforms.errors import CurateError
from transforms.models.api_access import ApiAccess
from transforms.models.daemon_pool import DaemonPool
from transforms.models.embeddings.embedder import EmbeddingError, Frames, Vector, each_alone
from transforms.models.embeddings.served_settings import ServedSettings
from transforms.models.openai_server import OpenAIServer, RequestFailedError, ServerGoneError

JPEG_QUALITY = 95
_REFUSED = (401, 403)


class EmbeddingServerGoneError(CurateError):
    """The endpoint cannot be reached any more, or refuses the key; what is finished stays."""


class ServedEmbedder:
    """All frames of a clip as JPEG in one chat-like message; the answer's vector: float32, (D,)."""

    device = "served"

    def __init__(self, settings: ServedSettings, access: ApiAccess) -> None:
        self._model = settings.model
        self._server = OpenAIServer(settings, access, refusals=_REFUSED)
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
        body = {"model": self._model, "messages": messages(frames)}
        post = self._server.client.post
        try:
            return self._server.ask(
                lambda: read_vector(post("/embeddings", body=body, cast_to=object))
            )
        except RequestFailedError as error:
            reason = "timeout" if error.is_timeout else "request_failed"
            raise EmbeddingError(reason, str(error)) from error
        except ServerGoneError as gone:
            raise EmbeddingServerGoneError(f"{self._server.where}: {_why_gone(gone)}") from None


def _why_gone(gone: ServerGoneError) -> str:
    if gone.status is None:
        return (
            "the endpoint for embeddings does not answer any more; start it again, then run the "
            "same command again"
        )
    return (
        f"the endpoint for embeddings refuses the API key (HTTP {gone.status}); set "
        "OPENAI_API_KEY, then run the same command again"
    )


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
