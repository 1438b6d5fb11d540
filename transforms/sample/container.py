"""Writing drawn frames into a video file, and reading back the times the file gives them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream
from numpy.typing import NDArray

from transforms.sample.audio import play_melody
from transforms.sample.planes import Planes
from transforms.sample.recipes import VideoRecipe
from transforms.sample.timeline import Timeline

_CODECS = {"h264": "libx264", "hevc10": "libx265", "vp9": "libvpx-vp9"}
_PIXEL_FORMATS = {"h264": "yuv420p", "hevc10": "yuv420p10le", "vp9": "yuv420p"}
_FORMATS = {"mp4": "mp4", "mkv": "matroska", "webm": "webm"}
_AUDIO_RATE = 48_000


@dataclass(frozen=True)
class WrittenTimes:
    """What a finished file says about its frames."""

    time_base: Fraction
    pts: NDArray[np.int64]
    """PTS of every frame, increasing. Shape (num_frames,)."""
    num_keyframes: int


def write_video(
    path: Path, frames: Iterable[Planes], recipe: VideoRecipe, timeline: Timeline, *, seed: int
) -> None:
    """Encode upright ``frames`` into ``path`` as ``recipe`` says.

    Same frames, recipe and seed give the same bytes on the same machine: one thread each, no
    version or date in the file.
    """
    options = {"fflags": "+bitexact"}
    with av.open(str(path), "w", format=_FORMATS[recipe.container], options=options) as output:
        video = _add_video(output, recipe, timeline)
        sound = _add_audio(output, recipe)
        blocks: Iterator[NDArray[np.float32]] = iter(())
        if sound is not None:
            sound.codec_context.open()
            block = sound.codec_context.frame_size
            blocks = play_melody(seed, rate=_AUDIO_RATE, duration=timeline.duration, block=block)
        heard = 0
        for number, picture in enumerate(frames):
            frame = _to_frame(picture, recipe)
            frame.pts = int(timeline.ticks[number])
            frame.duration = int(timeline.ticks[number + 1]) - frame.pts
            frame.time_base = timeline.time_base
            output.mux(video.encode(frame))
            end = int(timeline.ticks[number + 1]) * timeline.time_base
            heard = _write_audio(output, sound, blocks, (heard, end))
        output.mux(video.encode(None))
        if sound is not None:
            _write_audio(output, sound, blocks, (heard, timeline.duration + 1))
            output.mux(sound.encode(None))


def read_times(path: Path) -> WrittenTimes:
    """Return the packet times of the first video stream of ``path``."""
    with av.open(str(path)) as source:
        stream = source.streams.video[0]
        packets = [(p.pts, p.is_keyframe) for p in source.demux(stream) if p.pts is not None]
        if stream.time_base is None:
            raise ValueError(f"{path}: the video stream has no time base")
        pts = np.sort(np.array([pts for pts, _ in packets], dtype=np.int64))
        return WrittenTimes(stream.time_base, pts, sum(is_key for _, is_key in packets))


def _add_video(
    output: av.container.OutputContainer, recipe: VideoRecipe, timeline: Timeline
) -> VideoStream:
    name, options = _CODECS[recipe.codec], _options(recipe)
    stream = cast(VideoStream, output.add_stream(name, rate=recipe.fps, options=options))
    width, height = recipe.size
    if recipe.rotation in (90, 270):
        width, height = height, width
    stream.width, stream.height = width, height
    stream.pix_fmt = _PIXEL_FORMATS[recipe.codec]
    context = stream.codec_context
    context.time_base = timeline.time_base
    context.thread_count = 1
    context.color_primaries = ColorPrimaries.BT709
    context.color_trc = ColorTrc.BT709
    context.colorspace = Colorspace.ITU709
    context.color_range = ColorRange.MPEG
    if recipe.codec == "hevc10":
        # Apple players know HEVC in mp4 by this tag only.
        context.codec_tag = "hvc1"
    if recipe.rotation:
        stream.set_display_rotation(recipe.rotation)
    return stream


def _options(recipe: VideoRecipe) -> dict[str, str]:
    if recipe.codec == "vp9":
        return {
            "deadline": "realtime",
            "cpu-used": "8",
            "crf": "30",
            "b": "0",
            "lag-in-frames": "0",
        }
    if recipe.codec == "hevc10":
        params = "pools=none:frame-threads=1:log-level=none"
        return {"preset": "ultrafast", "crf": "22", "x265-params": params}
    params = "cpu-independent=1:threads=1"
    if recipe.single_keyframe:
        params += ":keyint=infinite:scenecut=0"
    return {"preset": "superfast", "crf": "21", "x264-params": params}


def _add_audio(output: av.container.OutputContainer, recipe: VideoRecipe) -> AudioStream | None:
    if recipe.audio is None:
        return None
    stream = output.add_stream(recipe.audio, rate=_AUDIO_RATE)
    stream.layout = "stereo"
    stream.format = "fltp" if recipe.audio == "aac" else "flt"
    stream.bit_rate = 96_000
    return stream


def _write_audio(
    output: av.container.OutputContainer,
    stream: AudioStream | None,
    blocks: Iterator[NDArray[np.float32]],
    span: tuple[int, Fraction],
) -> int:
    """Write blocks from sample ``span[0]`` up to ``span[1]`` seconds; return the next sample."""
    start, end = span
    if stream is None:
        return start
    while start < end * _AUDIO_RATE:
        block = next(blocks, None)
        if block is None:
            break
        both = np.stack([block, block])
        if stream.format.name == "flt":
            both = np.ascontiguousarray(both.T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(both, format=stream.format.name, layout="stereo")
        frame.sample_rate, frame.pts = _AUDIO_RATE, start
        frame.time_base = Fraction(1, _AUDIO_RATE)
        output.mux(stream.encode(frame))
        start += len(block)
    return start


def _to_frame(picture: Planes, recipe: VideoRecipe) -> av.VideoFrame:
    """Return ``picture`` as it is stored: turned, and in the bit depth of the codec."""
    # A player turns the stored picture counter-clockwise, so it is stored turned clockwise.
    turned = Planes(*(np.rot90(plane, -(recipe.rotation // 90)) for plane in picture))
    height, width = turned.y.shape
    name = _PIXEL_FORMATS[recipe.codec]
    frame = av.VideoFrame(width, height, name)
    dtype = np.uint16 if name.endswith("10le") else np.uint8
    for target, plane in zip(frame.planes, turned, strict=True):
        rows, columns = plane.shape
        stored = np.frombuffer(memoryview(target), dtype).reshape(rows, -1)[:, :columns]
        if dtype is np.uint16:
            np.left_shift(plane, 2, out=stored, dtype=np.uint16)
        else:
            stored[...] = plane
    return frame
