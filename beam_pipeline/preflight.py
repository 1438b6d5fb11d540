"""What is checked before a run starts, each with what to do about it."""

from __future__ import annotations

import os
import uuid

from transforms.errors import PreflightError, UsageError
from transforms.ingest.list_videos import VideoInput, list_videos
from transforms.storage.interface import NotFoundError, StorageError
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import absolute, is_inside, join, scheme_of


def check_input(config: VideoInput) -> None:
    """Raise unless the input exists and holds something that may be a video.

    Raises:
        UsageError: No input is given, or a listed path lies outside it.
        PreflightError: The input is missing, unreadable or empty.
    """
    if not config.input_video_path:
        raise UsageError("input_video_path is missing: give a folder of videos or one video file")
    uri = absolute(config.input_video_path)
    if not scheme_of(uri) and not os.path.exists(uri):
        raise PreflightError(f"input_video_path={uri}: no such file or folder")
    try:
        listing = list_videos(config)
    except NotFoundError as error:
        raise PreflightError(f"input: {error}") from error
    if listing.videos:
        return
    problems = "; ".join(f"{path} {reason}" for path, reason in listing.problems[:3])
    sidecars = f"; {listing.num_sidecars} files are no videos by their names"
    raise PreflightError(
        f"input_video_path={uri}: holds no video"
        + (sidecars if listing.num_sidecars else "")
        + (f"; {problems}" if problems else "")
    )


def check_apart(input_uri: str, output_uri: str, *, names: tuple[str, str]) -> None:
    """Raise UsageError when one of two locations lies inside the other (contract §1.3)."""
    one, other = absolute(input_uri), absolute(output_uri)
    if is_inside(one, other) or is_inside(other, one):
        raise UsageError(
            f"{names[1]}={other} and {names[0]}={one} lie one inside the other; "
            "choose folders side by side, or a run would read its own output"
        )


def check_writable(output_uri: str, *, name: str) -> None:
    """Raise PreflightError unless an object can be written to and removed from the output."""
    uri = absolute(output_uri)
    probe = join(uri, ".work", f"probe-{uuid.uuid4().hex}")
    storage = storage_for(uri)
    if not scheme_of(uri) and os.path.exists(uri) and not os.path.isdir(uri):
        raise PreflightError(f"{name}={uri}: is a file, not a folder")
    try:
        storage.write(probe, b"x")
        storage.delete(probe)
    except StorageError as error:
        raise PreflightError(f"{name}={uri}: cannot be written to ({error})") from error
    except PermissionError as error:
        raise PreflightError(f"{name}={uri}: cannot be written to ({error.strerror})") from error
