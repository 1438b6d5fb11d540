"""Small frames of footage and files, and the network's scores of them, made once."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.shot_footage import Encoding, Event, Footage, write_footage
from transforms.media.decode import DecodeCounters
from transforms.media.packet_index import build_packet_index
from transforms.media.probe import probe
from transforms.media.small_frames import small_frames
from transforms.models.transnetv2 import ShotScorer
from transforms.models.weights import find_weights
from transforms.shots.frame_changes import FrameChanges, frame_changes
from transforms.shots.score_windows import Frames, Scores, score_segment, segments_of


@dataclass(frozen=True)
class Scored:
    """A video with known boundaries and what detectors see of it."""

    name: str
    path: Path
    boundaries: Sequence[Event]
    traps: Sequence[Event]
    scores: Scores
    changes: FrameChanges


class Scorer:
    """Scores videos; what was scored before in the same folder is not scored again."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._network: ShotScorer | None = None

    def footage(self, footage: Footage, encoding: Encoding) -> Scored:
        """Encode the footage and score it."""
        path = write_footage(footage, self._folder / f"{footage.name}.mp4", encoding)
        return self.video(path, footage.boundaries, footage.traps)

    def video(self, path: Path, boundaries: Sequence[Event], traps: Sequence[Event]) -> Scored:
        """Score a file."""
        frames = frames_of_file(path)
        scores = self._scores(frames)
        return Scored(path.stem, path, boundaries, traps, scores, frame_changes(frames))

    def _scores(self, frames: Frames) -> Scores:
        digest = hashlib.sha256(frames.tobytes()).hexdigest()[:16]
        stored = self._folder / f"scores-{digest}.npy"
        if stored.exists():
            known: Scores = np.load(stored, allow_pickle=False)
            return known
        if self._network is None:
            threads = os.cpu_count() or 1
            self._network = ShotScorer(
                find_weights("transnetv2"), device="cpu", num_threads=threads
            )
        (whole,) = segments_of(len(frames), windows_per_segment=len(frames))
        scores = score_segment(whole, frames, self._network.score, pad_end=True)
        np.save(stored, scores, allow_pickle=False)
        return scores


def frames_of_file(path: Path) -> Frames:
    """Return all small frames of a file."""
    facts = probe(str(path), name=str(path), num_bytes=path.stat().st_size)
    index = build_packet_index(str(path), facts)
    return small_frames(
        path,
        facts,
        index,
        frames=(0, len(index.pts)),
        all_pixels=False,
        counters=DecodeCounters(),
    )


def default_folder() -> Path:
    """Return where scores are kept from one benchmark to the next."""
    return Path(tempfile.gettempdir()) / "beam-curate-shot-scores"
