"""Copy a stretch of a video's packets into a file of its own: a sample for trial cuts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import av

from transforms.media.open_input import open_input
from transforms.records import VideoFacts

STRETCH_SECONDS = 5 / 2


def copy_stretch(source: BinaryIO, facts: VideoFacts, path: Path, *, name: str) -> None:
    """Copy about two and a half seconds of video, from the keyframe before the first third's end.

    Args:
        source: A seekable binary file.
        facts: What ``probe`` found in it.
        path: The matroska file to write.
        name: What messages call the source.

    Raises:
        MediaError: The source cannot be opened.
        FFmpegError: A packet cannot be read or written.
        ValueError: Packets without times cannot be copied.
    """
    with (
        open_input(source, name=name) as container,
        av.open(str(path), "w", format="matroska") as target,
    ):
        stream = container.streams[facts.stream_index]
        copy = target.add_stream_from_template(stream)
        middle = facts.first_pts + int(facts.duration_seconds / 3 / facts.time_base)
        with contextlib.suppress(av.FFmpegError):
            container.seek(middle, stream=stream, backward=True)
        shift: int | None = None
        count = int(facts.average_rate * STRETCH_SECONDS) + 1
        for packet in _first_packets(container, stream, count):
            if packet.pts is None or packet.dts is None:
                raise ValueError("packets without times cannot be copied")
            # A file that begins late would look as if its beginning were missing.
            shift = packet.dts if shift is None else shift
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = copy
            target.mux_one(packet)


def _first_packets(
    source: av.container.InputContainer, stream: av.stream.Stream, count: int
) -> Iterator[av.Packet]:
    for packet in source.demux(stream):
        if packet.size and count > 0:
            count -= 1
            yield packet
        elif count <= 0:
            return
