"""The one look at a finished clip: decode it once, let every observer see every frame."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
from av.codec.context import Flags2

from transforms.annotate.windows import caption_windows
from transforms.errors import MediaError
from transforms.media.clip_packets import ClipPackets, read_packets, undecodable, video_stream
from transforms.media.look_settings import LookSettings, MotionSettings, PreviewSettings
from transforms.media.observers.frame_count import FrameCount
from transforms.media.observers.luma_scores import LumaScores
from transforms.media.observers.motion import PATCH, Motion
from transforms.media.observers.motion_proxy import ProxyMotion
from transforms.media.observers.observer import Findings, Observer
from transforms.media.observers.preview_frames import PreviewFrames, preview_size
from transforms.media.observers.sampled_frames import embedding_observer
from transforms.media.observers.window_frames import WindowFrames, frames_plan
from transforms.media.open_input import open_clip
from transforms.media.stopwatch import Stopwatch
from transforms.records import Window

__all__ = ["LookResult", "LookSettings", "MotionSettings", "PreviewSettings", "look"]

HASH_BLOCK_BYTES = 1 << 20
_BLIND = (FrameCount, Motion)
"""Observers that look at no pixel."""


@dataclass(frozen=True, slots=True)
class LookResult:
    """What the look found."""

    num_bytes: int
    """Size of the file."""
    sha256: str
    """Of the file, as hexadecimal digits."""
    width: int
    """Pixels, as stored."""
    height: int
    """Pixels, as stored."""
    framerate: float
    """Average frames per second as the container states it; 0.0 when it does not."""
    num_frames: int
    """Decoded frames."""
    video_codec: str
    """For example h264, av1: the format, not the decoder."""
    windows: tuple[Window, ...]
    """Caption windows; they tile the clip. Empty for clips of fewer than four frames."""
    scores: dict[str, float]
    """``motion_global_mean`` and ``motion_per_patch_min_256`` when measured, and what the scorers
    of ``observers.luma_scores`` found."""
    notes: dict[str, str]
    """``motion_missing``: ``resolution_too_small`` or ``no_vectors``."""
    preview_files: tuple[str, ...]
    """Names inside the preview folder, one per window."""
    seconds: dict[str, float] = field(compare=False)
    """Processor time of ``read`` (checksum and packet list), ``decode`` and each observer."""


def look(
    path: Path, settings: LookSettings, *, preview_folder: Path, frames_folder: Path | None = None
) -> LookResult:
    """Return what there is to know about a finished clip, from one decode of its file.

    The file is read three times (checksum, packet list, decode) and decoded once.

    Args:
        path: The clip; its best video stream is looked at.
        settings: Which observers to run.
        preview_folder: Where previews are written; made when there are any. Nothing is written
            there for windows that do not decode.
        frames_folder: Where frames for models are written, needed if any are wanted; made when
            there are any. Of a clip with too few frames to be embedded none are, and the note
            ``embedding_missing`` says so.

    Raises:
        MediaError: ``clip_does_not_decode``: the file cannot be opened as video, holds fewer
            packets than it states, fails to decode, changes its frame size, or yields another
            number of frames than it has packets.
        OSError: The file or the preview folder cannot be read or written.
    """
    watch = Stopwatch()
    num_bytes, sha256 = _checksum(path)
    clip = read_packets(path)
    watch.lap("read")
    spans = caption_windows(
        len(clip.packet_bytes), size=settings.window_size, remainder=settings.remainder_threshold
    )
    count = FrameCount(name=path.name, num_expected=len(clip.packet_bytes), size=clip.size)
    observers: dict[str, Observer] = {"decode": count}
    folders = preview_folder, frames_folder
    observers.update(_observers(clip, settings, spans, folders, watch))
    findings = _observed(path, observers, watch)
    return LookResult(
        num_bytes=num_bytes,
        sha256=sha256,
        width=clip.size[0],
        height=clip.size[1],
        framerate=float(clip.fps or 0),
        num_frames=count.num_frames,
        video_codec=clip.codec,
        windows=tuple(
            Window(start, end, int(clip.packet_bytes[start:end].sum())) for start, end in spans
        ),
        scores={name: value for found in findings for name, value in found.scores.items()},
        notes={name: text for found in findings for name, text in found.notes.items()},
        preview_files=tuple(name for found in findings for name in found.files),
        seconds=watch.seconds,
    )


def _observers(
    clip: ClipPackets,
    settings: LookSettings,
    spans: list[tuple[int, int]],
    folders: tuple[Path, Path | None],
    watch: Stopwatch,
) -> Iterator[tuple[str, Observer]]:
    """Yield the observers that the settings ask for, each with its name."""
    preview_folder, frames_folder = folders
    if settings.motion is not None:
        yield "motion", _motion_observer(clip, settings.motion)
    if settings.scores:
        yield "scores", LumaScores(settings.scores, fps=float(clip.fps or 0), watch=watch)
    if settings.previews is not None and spans:
        preview_folder.mkdir(parents=True, exist_ok=True)
        yield "previews", _preview_observer(clip, settings.previews, spans, preview_folder)
    if frames_folder is None:
        return
    if settings.caption_fps is not None and spans:
        yield from _frames_observer(clip, settings.caption_fps, spans, frames_folder).items()
    if settings.embedding_frames is not None:
        yield (
            "embedding_frames",
            embedding_observer(
                clip.pts.tolist(),
                clip.time_base,
                clip.size,
                settings.embedding_frames,
                frames_folder,
            ),
        )


def _observed(path: Path, observers: dict[str, Observer], watch: Stopwatch) -> list[Findings]:
    """Show every frame to every observer and return what they found, in their order."""
    export_vectors = "motion" in observers
    needs_pixels = not all(isinstance(observer, _BLIND) for observer in observers.values())
    frames = _decode(path, export_vectors=export_vectors, needs_pixels=needs_pixels)
    for index, frame in enumerate(frames):
        for name, observer in observers.items():
            # The first one checks the frame: that is part of decoding.
            observer.observe(frame, index)
            watch.lap(name)
    findings = []
    for name, observer in observers.items():
        findings.append(observer.finish())
        watch.lap(name)
    return findings


def _checksum(path: Path) -> tuple[int, str]:
    """Return size and SHA-256 of a file."""
    digest, num_bytes = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(HASH_BLOCK_BYTES):
            digest.update(block)
            num_bytes += len(block)
    return num_bytes, digest.hexdigest()


def _decode(path: Path, *, export_vectors: bool, needs_pixels: bool) -> Iterator[av.VideoFrame]:
    """Yield the clip's frames in presentation order, with H.264 motion vectors if asked for.

    Where no pixels are needed they are not smoothed at the edges of blocks: a filter that cannot
    fail, and up to two fifths of the time.
    """
    try:
        with open_clip(path) as container:
            stream = video_stream(container, path)
            stream.codec_context.thread_type = "NONE"
            stream.codec_context.thread_count = 1
            if export_vectors and stream.codec_context.name == "h264":
                stream.codec_context.flags2 |= Flags2.export_mvs
            if not needs_pixels:
                stream.codec_context.options = {"skip_loop_filter": "all"}
            yield from container.decode(stream)
    except av.FFmpegError as error:
        raise undecodable(path, f"fails to decode: {error}") from error


def _motion_observer(clip: ClipPackets, settings: MotionSettings) -> Observer:
    """Return the observer that scores motion: directly on H.264, else on a proxy."""
    if clip.codec == "h264" or min(clip.size) < PATCH:
        return Motion(
            settings, size=clip.size, fps=clip.fps, duration_seconds=clip.duration_seconds
        )
    return ProxyMotion(
        settings,
        size=clip.size,
        fps=clip.fps,
        duration_seconds=clip.duration_seconds,
        time_base=clip.time_base,
    )


def _preview_observer(
    clip: ClipPackets, settings: PreviewSettings, spans: list[tuple[int, int]], folder: Path
) -> Observer:
    """Return the observer that writes the previews."""
    size = preview_size(
        *clip.size,
        sample_aspect_ratio=clip.sample_aspect_ratio,
        target_height=settings.target_height,
    )
    return PreviewFrames(
        settings, windows=spans, time_base=clip.time_base, size=size, folder=folder
    )


def _frames_observer(
    clip: ClipPackets, sampling_fps: float, spans: list[tuple[int, int]], folder: Path
) -> dict[str, Observer]:
    """Return the observer that keeps the frames that a caption model is to see, if it can."""
    fps = float(clip.fps or 0)
    try:
        plans = [
            frames_plan(span, size=clip.size, fps=fps, sampling_fps=sampling_fps) for span in spans
        ]
    except MediaError:
        # No fault of the clip: who asks for captions finds no frames, and says why.
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    return {"frames": WindowFrames(plans, folder)}
