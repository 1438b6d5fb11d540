"""The stage that embeds: batches, order, and what becomes of clips that have no vector."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from transforms.annotate.embed_clips import EmbedClips, EmbedHandler, with_frames
from transforms.annotate.embedding_settings import EmbedderSpec, EmbeddingSettings
from transforms.errors import CurateError
from transforms.media.clip_files import embedding_frames, embedding_path, frames_folder
from transforms.media.look_settings import FrameSettings
from transforms.models.embeddings.embedder import EmbeddingError, Frames, Vector
from transforms.models.embeddings.embedding_file import read_vector
from transforms.records import Clip, ClipFile, Rejection
from transforms.run_context import RunContext


class ShapeEmbedder:
    """A model whose vector says which clip it saw; notes its batches in a file."""

    device = "cpu"

    def __init__(self, log: Path) -> None:
        self._log = log
        with log.open("a") as file:
            file.write("loaded\n")

    def embed(self, clips: Sequence[Frames]) -> list[Vector | EmbeddingError]:
        with self._log.open("a") as file:
            file.write(f"{len(clips)}\n")
        return [self._one(frames) for frames in clips]

    def _one(self, frames: Frames) -> Vector | EmbeddingError:
        if len(frames) == 13:
            return EmbeddingError("model_error", "13 frames bring bad luck")
        return np.array([[len(frames), int(frames[0, 0, 0, 0])]], np.float32)


@dataclass(frozen=True)
class ShapeSpec(EmbedderSpec):
    """Loads that model."""

    log: str = ""

    def load(self) -> ShapeEmbedder:
        return ShapeEmbedder(Path(self.log))


FILE = ClipFile(1, "0" * 64, 8, 6, 25.0, 50, "h264", (0, 50), "encode", ())


def clip(number: int, scratch: Path, *, frames: int = 0) -> Clip:
    """Return a clip, and write its frames where there are to be any."""
    made = Clip(f"clip{number:02}", "plan", "a.mp4", number, 0, file=FILE, scratch=str(scratch))
    if frames:
        folder = frames_folder(scratch, made.clip_id)
        folder.mkdir(parents=True)
        np.save(embedding_frames(folder), np.full((frames, 6, 8, 3), number, np.uint8))
    return made


def embedded(clips: list[Clip], tmp_path: Path, batch_size: int) -> tuple[list[Clip], list[str]]:
    """Run the stage; return the clips as they come out, and what the model noted."""
    spec = ShapeSpec("clip", "shapes", "1", log=str(tmp_path / "log"))
    settings = EmbeddingSettings(spec, batch_size, FrameSettings())
    context = RunContext(str(tmp_path), "run", str(tmp_path), str(tmp_path / "progress"), (), "")
    out = tmp_path / "seen"
    out.mkdir()
    with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as root:
        _ = (
            root
            | beam.Create([clips], reshuffle=False)
            | beam.FlatMap(lambda all_clips: all_clips)
            | EmbedClips(settings, context)
            | beam.Map(lambda one: (out / one.clip_id).write_bytes(pickle.dumps(one)))
        )
    found = [pickle.loads(path.read_bytes()) for path in sorted(out.iterdir())]
    return found, (tmp_path / "log").read_text().split()


def test_batches_are_full_when_four_of_five_clips_are_rejected(tmp_path: Path) -> None:
    clips = []
    for number in range(100):
        if number % 5 == 2:
            clips.append(clip(number, tmp_path, frames=number + 20))
        else:
            rejected = clip(number, tmp_path).rejected(Rejection("motion", 0.0, 1.0))
            clips.append(rejected)
    found, log = embedded(clips, tmp_path, batch_size=8)
    assert log == ["loaded", "8", "8", "4"], "one model, and no batch of less but the last"
    assert [one.clip_id for one in found] == [one.clip_id for one in clips]
    for before, after in zip(clips, found, strict=True):
        if before.outcome == "rejected":
            assert after == before
            continue
        assert after.embedding is not None
        vector = read_vector(embedding_path(tmp_path, after.clip_id).read_bytes())
        assert vector.tolist() == [[after.clip_index + 20, after.clip_index]]
        assert dataclasses.replace(after, embedding=None) == before
        assert after.embedding.shape == (1, 2)
        assert after.embedding.dtype == "float32"
        assert not embedding_frames(frames_folder(tmp_path, after.clip_id)).exists()


def test_a_clip_of_which_the_model_makes_nothing_stays_with_a_note(tmp_path: Path) -> None:
    too_short = clip(0, tmp_path).updated(notes=(("embedding_missing", "too_few_frames"),))
    clips = [too_short, clip(1, tmp_path, frames=13), clip(2, tmp_path, frames=12)]
    found, log = embedded(clips, tmp_path, batch_size=2)
    assert log == ["loaded", "2"], "a clip of too few frames is not shown"
    assert found[0] == too_short
    assert found[1].outcome == "pending"
    assert dict(found[1].notes) == {
        "embedding_missing": "model_error",
        "embedding_message": "13 frames bring bad luck",
    }
    assert found[1].embedding is None
    assert not embedding_path(tmp_path, "clip01").exists()
    assert found[2].embedding is not None


def test_clips_that_need_no_embedding_are_not_asked_for_frames(tmp_path: Path) -> None:
    done = clip(0, tmp_path).updated(redone=True, done=("cut", "embeddings"))
    decided = dataclasses.replace(clip(1, tmp_path), file=None, redone=True)
    committed = clip(2, tmp_path).updated(outcome="committed")
    for one in (done, decided, committed):
        assert with_frames(one) == (one, None)
    with pytest.raises(CurateError, match="the clip's frames are gone"):
        with_frames(clip(3, tmp_path))


def test_a_model_that_leaves_a_clip_out_is_found_out(tmp_path: Path) -> None:
    class Forgetful(ShapeEmbedder):
        def embed(self, clips: Sequence[Frames]) -> list[Vector | EmbeddingError]:
            return super().embed(clips)[1:]

    settings = EmbeddingSettings(EmbedderSpec("clip", "m", "1"), 8, FrameSettings())
    handler = EmbedHandler(settings, str(tmp_path / "progress"))
    asked = [with_frames(clip(number, tmp_path, frames=2))[1] for number in range(3)]
    with pytest.raises(RuntimeError, match="2 embeddings for 3 clips"):
        list(handler.run_inference([None, *asked], Forgetful(tmp_path / "log")))
