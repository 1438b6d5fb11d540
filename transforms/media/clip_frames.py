"""The frames that a caption model is to see, from a clip that was looked at before."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av

from transforms.errors import MediaError
from transforms.media.observers.window_frames import WindowFrames, WindowFramesPlan
from transforms.media.open_input import open_clip


def write_window_frames(
    path: Path, plans: Sequence[WindowFramesPlan], folder: Path
) -> tuple[Path, ...]:
    """Return the file of each window's frames; the clip is decoded where one is missing.

    They are missing when the look was another machine's, or was asked for no frames.

    Args:
        path: The clip.
        plans: One per window, windows increasing and disjoint.
        folder: Of the files, made if needed.

    Raises:
        MediaError: ``clip_does_not_decode``: the clip does not yield the frames.
    """
    files = tuple(folder / plan.name for plan in plans)
    if all(file.exists() for file in files):
        return files
    folder.mkdir(parents=True, exist_ok=True)
    observer = WindowFrames(plans, folder)
    try:
        with open_clip(path) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_type = "NONE"
            stream.codec_context.thread_count = 1
            for index, frame in enumerate(container.decode(stream)):
                observer.observe(frame, index)
    except (av.FFmpegError, IndexError) as error:
        raise MediaError(
            "clip_does_not_decode", f"the clip {path.name} fails to decode: {error}"
        ) from error
    finally:
        observer.finish()
    if not all(file.exists() for file in files):
        raise MediaError("clip_does_not_decode", f"the clip {path.name} lacks frames it once had")
    return files
