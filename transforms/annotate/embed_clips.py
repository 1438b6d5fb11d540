"""Give every kept clip an embedding. Only graphs with embeddings import this: Beam's inference
imports torch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.ml.inference.base import KeyedModelHandler, RunInference

from transforms.annotate.embedding_settings import EmbedderSpec, EmbeddingSettings
from transforms.errors import CurateError
from transforms.media.clip_files import embedding_frames, embedding_path, frames_folder
from transforms.models.embeddings.embedder import Embedder, EmbeddingError, Vector
from transforms.models.embeddings.embedding_file import vector_bytes
from transforms.models.exact_handler import ExactHandler, ModelError
from transforms.progress import count
from transforms.records import Clip, ClipEmbedding
from transforms.run_context import RunContext

STAGE = "embeddings"
MISSING, MESSAGE = "embedding_missing", "embedding_message"
"""Notes of a clip that has no embedding: short cause, and one for people."""
Embedded = ClipEmbedding | ModelError


@dataclass(frozen=True, slots=True)
class ClipFrames:
    """A clip that is to be embedded; small, as it travels between steps."""

    clip_id: str
    scratch: str
    """Handle of the clip's files."""


@dataclass
class EmbedClips(beam.PTransform):
    """Embed each clip that is kept so far.

    Input: clips, in any order; the frames of those to be embedded lie in scratch. Output: the same
    clips, one for one. An embedded clip carries what its vector is; the vector lies in scratch
    until WriteClips takes it. A clip of which the model makes nothing stays, with a note. Clips
    wait until a batch of those to be embedded is full, or the bundle ends.
    """

    settings: EmbeddingSettings
    context: RunContext

    def expand(self, clips: beam.PCollection[Clip]) -> beam.PCollection[Clip]:
        """Attach the stage."""
        handler: Any = KeyedModelHandler(EmbedHandler(self.settings, self.context.progress_folder))
        return (
            clips
            | beam.Map(with_frames).with_output_types(tuple[Clip, ClipFrames | None])
            | RunInference(handler)
            | beam.Map(with_embedding, self.context.progress_folder).with_output_types(Clip)
        )


def with_frames(clip: Clip) -> tuple[Clip, ClipFrames | None]:
    """Return the clip and its frames' handle, None when it is not to be embedded.

    Raises:
        CurateError: The frames are gone.
    """
    if clip.outcome != "pending" or clip.file is None or STAGE in clip.done:
        return clip, None
    if MISSING in dict(clip.notes):
        # The look found too few frames.
        return clip, None
    path = _frames(clip.scratch, clip.clip_id)
    if not path.exists():
        raise CurateError(f"{path}: the clip's frames are gone; run the command again")
    return clip, ClipFrames(clip.clip_id, clip.scratch)


def _frames(scratch: str, clip_id: str) -> Path:
    return embedding_frames(frames_folder(Path(scratch), clip_id))


def with_embedding(embedded: tuple[Clip, Embedded | None], progress_folder: str) -> Clip:
    """Return the clip with what the model gave, or a note of why it gave nothing."""
    clip, result = embedded
    if clip.scratch:
        # They are large, and the clip may wait for its captions.
        _frames(clip.scratch, clip.clip_id).unlink(missing_ok=True)
    if result is None:
        return clip
    if isinstance(result, ModelError):
        count(progress_folder, embeddings_failed=1)
        missing = {MISSING: result.reason, MESSAGE: result.message}
        return clip.updated(notes=tuple(sorted({**dict(clip.notes), **missing}.items())))
    count(progress_folder, clips_embedded=1)
    return clip.updated(embedding=result)


class EmbedHandler(ExactHandler[ClipFrames, Embedded, Embedder]):
    """Writes each clip's vector to scratch; what it gives says what the vector is."""

    def __init__(self, settings: EmbeddingSettings, progress_folder: str) -> None:
        super().__init__(batch_size=settings.batch_size, example_bytes=256, fills_batches=True)
        self._embedder = settings.embedder
        self._progress_folder = progress_folder

    def load_model(self) -> Embedder:
        """Load the model, once per process."""
        return self._embedder.load()

    def predict(self, examples: Sequence[ClipFrames], model: Embedder) -> list[Embedded]:
        """Return what each clip's vector is, or why there is none."""
        started = time.monotonic()
        frames = [
            np.load(_frames(one.scratch, one.clip_id), mmap_mode="r", allow_pickle=False)
            for one in examples
        ]
        results = model.embed(frames)
        if len(results) != len(examples):
            raise RuntimeError(f"{len(results)} embeddings for {len(examples)} clips")
        embedded = [
            _kept(one, result, self._embedder, model.device)
            for one, result in zip(examples, results, strict=True)
        ]
        count(self._progress_folder, seconds_of_embedding=time.monotonic() - started)
        return embedded


def _kept(
    example: ClipFrames, result: Vector | EmbeddingError, embedder: EmbedderSpec, device: str
) -> Embedded:
    if isinstance(result, EmbeddingError):
        return ModelError(result.reason, str(result))
    path = embedding_path(Path(example.scratch), example.clip_id)
    path.write_bytes(vector_bytes(result))
    return ClipEmbedding(
        algorithm=embedder.algorithm,
        model_name=embedder.model_name,
        model_version=embedder.model_version,
        device=device,
        dtype=result.dtype.name,
        shape=tuple(result.shape),
    )
