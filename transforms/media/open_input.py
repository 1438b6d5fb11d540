"""Open a media file for reading: allowed formats only, errors by name."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import av
from av.stream import Disposition

from transforms.errors import MediaError

_FORMATS = (
    "mov,matroska,avi,mpegts,flv,mpeg,mpegvideo,m4v,asf,ogg,mxf,nut,ivf,h264,hevc,dv,rm,"
    "mp3,wav,flac,aac"
)
"""Demuxers that may be chosen. Leaves out those that open further files or addresses (hls, concat)
and those that take text or still images for video (tty, image2, *_pipe)."""

_OPTIONS = {"format_whitelist": _FORMATS}
_PATH_OPTIONS = {**_OPTIONS, "protocol_whitelist": "file"}
_TAGS = "replace"
"""Titles and other tags in a foreign encoding are no reason to refuse a file."""


def open_input(source: str | BinaryIO, *, name: str) -> av.container.InputContainer:
    """Return the opened container; the caller closes it.

    Args:
        source: Local path, or a seekable binary file, read from its beginning.
        name: What messages call the file.

    Raises:
        MediaError: ``not_media`` when no allowed format fits; ``unreadable`` when reading fails.
    """
    try:
        if isinstance(source, str):
            # "file:" keeps FFmpeg from reading a protocol or options into the path.
            path = f"file:{source}"
            return av.open(path, mode="r", options=_PATH_OPTIONS, metadata_errors=_TAGS)
        source.seek(0)
        return av.open(source, mode="r", options=_OPTIONS, metadata_errors=_TAGS)
    except (av.error.InvalidDataError, av.error.ArgumentError) as error:
        raise MediaError(
            "not_media",
            f"{name}: needed a video file (mp4, mov, mkv, webm, avi, ts, flv, ...), "
            f"but no such format was recognised ({error.strerror}); remove the file from the input",
        ) from error
    except (av.error.FFmpegError, OSError) as error:
        raise unreadable(name, "the header", error) from error


def open_clip(path: Path) -> av.container.InputContainer:
    """Return a clip opened; the caller closes it.

    Clips may have been written by others: the same formats are allowed as for inputs.

    Raises:
        av.error.FFmpegError: It is no media file, or cannot be read.
    """
    return av.open(f"file:{path}", mode="r", options=_PATH_OPTIONS, metadata_errors=_TAGS)


def choose_video_stream(container: av.container.InputContainer, *, name: str) -> av.VideoStream:
    """Return the video stream that FFmpeg calls the best one; cover pictures do not count.

    Raises:
        MediaError: ``no_video_stream``; ``no_decoder`` when nothing here decodes any of them.
    """
    moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    # PyAV gives streams of an unknown codec no context, against its own type.
    known = [s for s in moving if s.codec_context is not None]
    best = container.streams.best("video")
    if best in known:
        return best
    if known:
        return known[0]
    if moving:
        raise MediaError(
            "no_decoder",
            f"{name}: needed a video stream that can be decoded, got one whose codec is unknown; "
            "convert the video to a common codec, or remove the file from the input",
        )
    kinds = ", ".join(stream.type or "unknown" for stream in container.streams) or "none"
    raise MediaError(
        "no_video_stream",
        f"{name}: needed a video stream, got streams: {kinds}; remove the file from the input",
    )


def unreadable(name: str, what: str, error: Exception) -> MediaError:
    """Return the error for a failed read of ``what``."""
    return MediaError(
        "unreadable",
        f"{name}: {what} could not be read: {error}; check the file and its storage, then retry",
    )
