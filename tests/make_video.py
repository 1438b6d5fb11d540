"""Make small test videos with PyAV: every frame differs, every option that the tests need."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from transforms.media.scheduling import own_scheduling

_FORMATS = {".ts": "mpegts", ".mkv": "matroska"}
_X264 = "cpu-independent=1:keyint=infinite:min-keyint=1:scenecut=0"


@dataclass(frozen=True)
class VideoSpec:
    """What a made video looks like; the file name's ending chooses the container."""

    seconds: float = 2.0
    size: tuple[int, int] = (160, 96)
    """Width and height in pixels."""
    fps: Fraction = Fraction(25)
    codec: str = "libx264"
    keyframe_every: int = 12
    """Frames; 0: only the first frame is a keyframe."""
    b_frames: int = 0
    pixel_format: str = "yuv420p"
    audio: str = ""
    """Audio encoder, e.g. "aac"; empty: no audio."""
    rotation: int = 0
    """Clockwise turn stored in the container that shows the picture upright."""
    frame_ticks: tuple[int, ...] = ()
    """Durations of frames in ticks of 1/1000 s, repeated: variable frame rate."""
    encoder_options: tuple[tuple[str, str], ...] = ()
    container_options: tuple[tuple[str, str], ...] = ()
    noise: bool = False
    """Incompressible pictures, for big files."""

    @property
    def num_frames(self) -> int:
        """Frames in the video."""
        return round(self.seconds * float(self.fps))


def make_video(path: Path, spec: VideoSpec) -> Path:
    """Write the video and return ``path``."""
    with own_scheduling():
        _make_video(path, spec)
    return path


def _make_video(path: Path, spec: VideoSpec) -> None:
    container_options = dict(spec.container_options)
    file_format = _FORMATS.get(path.suffix)
    with av.open(str(path), "w", format=file_format, options=container_options) as out:
        video = _add_video(out, spec)
        audio = out.add_stream(spec.audio, rate=48000) if spec.audio else None
        if isinstance(audio, av.AudioStream):
            audio.layout = "mono"
            _write_audio(out, audio, spec.seconds)
        _write_video(out, video, spec)


def _add_video(out: av.container.OutputContainer, spec: VideoSpec) -> av.VideoStream:
    options = dict(spec.encoder_options)
    if spec.codec == "libx264":
        options = {"preset": "veryfast", "x264-params": _X264, **options}
    stream = out.add_stream(spec.codec, rate=spec.fps, options=options)
    assert isinstance(stream, av.VideoStream)
    stream.width, stream.height = spec.size
    stream.pix_fmt = spec.pixel_format
    stream.codec_context.max_b_frames = spec.b_frames
    stream.codec_context.gop_size = spec.keyframe_every or 100_000
    stream.codec_context.thread_count = 1
    stream.codec_context.time_base = Fraction(1, 1000) if spec.frame_ticks else 1 / spec.fps
    if spec.rotation:
        stream.set_display_rotation(-spec.rotation)
    return stream


def _write_video(
    out: av.container.OutputContainer, stream: av.VideoStream, spec: VideoSpec
) -> None:
    generator = np.random.default_rng(0)
    pts = 0
    for number in range(spec.num_frames):
        frame = av.VideoFrame.from_ndarray(picture(number, spec, generator), format="rgb24")
        frame = frame.reformat(format=spec.pixel_format)
        frame.pts = pts
        frame.time_base = stream.codec_context.time_base
        pts += spec.frame_ticks[number % len(spec.frame_ticks)] if spec.frame_ticks else 1
        if spec.keyframe_every and number % spec.keyframe_every == 0:
            frame.pict_type = av.video.frame.PictureType.I
        for packet in stream.encode(frame):
            out.mux(packet)
    for packet in stream.encode(None):
        out.mux(packet)


def picture(number: int, spec: VideoSpec, generator: np.random.Generator) -> np.ndarray:
    """Return frame ``number``, (H, W, 3) uint8 RGB: a moving square on a changing ground."""
    width, height = spec.size
    if spec.noise:
        return generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = np.empty((height, width, 3), np.uint8)
    image[:] = np.linspace(0, 180, width, dtype=np.uint8)[None, :, None]
    image[..., 2] = (number * 5) % 256
    side = max(8, min(size // 4 for size in spec.size))
    top = (number * 3) % max(1, height - side)
    left = (number * 7) % max(1, width - side)
    image[top : top + side, left : left + side] = (255, (number * 11) % 256, 40)
    return image


def _write_audio(out: av.container.OutputContainer, stream: av.AudioStream, seconds: float) -> None:
    total = round(seconds * 48000)
    times = np.arange(total) / 48000
    samples = (0.3 * np.sin(2 * np.pi * 440 * times)).astype(np.float32)
    for start in range(0, total, 1024):
        part = samples[start : start + 1024]
        frame = av.AudioFrame.from_ndarray(part[None, :], format="fltp", layout="mono")
        frame.sample_rate = 48000
        frame.pts = start
        frame.time_base = Fraction(1, 48000)
        for packet in stream.encode(frame):
            out.mux(packet)
    for packet in stream.encode(None):
        out.mux(packet)
