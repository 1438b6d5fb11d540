"""A real server of embeddings on loopback: its vectors tell the pictures they were made of."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
from caption_server import CaptionHandler
from numpy.typing import NDArray
from PIL import Image


def frames_vector(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return number, size, mean colour and the place of the mean in time of RGB frames."""
    numbers = np.arange(1, len(frames) + 1)[:, None]
    means = frames.reshape(len(frames), -1, 3).mean(axis=1)
    height, width = frames.shape[1:3]
    parts = [[len(frames), height, width], means.mean(axis=0), (means * numbers).mean(axis=0)]
    return np.concatenate(parts).astype(np.float32)


class EmbeddingHandler(CaptionHandler):
    """Answers ``/embeddings``; misbehaves as the caption server does."""

    def _complete(self, body: dict[str, Any]) -> None:
        state = self.server_state
        if self.path != "/v1/embeddings" or body["model"] not in state.models:
            state.problems.append(f"odd request: {self.path} {body['model']}")
        [message] = body["messages"]
        if message["role"] != "user" or {one["type"] for one in message["content"]} != {
            "image_url"
        }:
            state.problems.append(f"odd message: {json.dumps(message)[:200]}")
        frames = np.stack([_picture(one["image_url"]["url"]) for one in message["content"]])
        data = [{"object": "embedding", "index": 0, "embedding": frames_vector(frames).tolist()}]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        self.send(200, {"object": "list", "data": data, "model": body["model"], "usage": usage})


def _picture(url: str) -> NDArray[np.uint8]:
    data = base64.b64decode(url.removeprefix("data:image/jpeg;base64,"))
    picture = Image.open(io.BytesIO(data))
    assert picture.format == "JPEG"
    return np.asarray(picture)
