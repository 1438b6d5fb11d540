"""A dataset as Cosmos-Predict2 trains on it: a video and a text for each captioned window.

Contract §1.16. The text embeddings beside them, ``t5_xxl/``, are not made. Everything here follows
from committed clips: whoever commits a clip, or finds it committed in a chunk that is open, writes
its windows before the chunk is closed.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transforms.clips.caption_counts import caption_text
from transforms.clips.stored_clip import mp4_uri
from transforms.layout import predict_text_uri, predict_video_uri
from transforms.models.captions.engine import CAPTIONED
from transforms.run_context import RunContext
from transforms.scratch import scratch_here
from transforms.shards.window_mp4 import write_window
from transforms.storage.interface import NotFoundError
from transforms.storage.open_storage import storage_for

STAGE = "predict_dataset"


def write_predict_windows(
    meta: dict[str, Any], context: RunContext, clip: Path | None = None, *, anew: bool = False
) -> None:
    """Write the windows of a clip as its metadata stands; those of a rejected one are removed.

    Args:
        meta: The metadata that stands.
        context: The run.
        clip: The clip's mp4 if it is at hand; else the stored one is read.
        anew: Whether the clip was made just now, so that nothing there is of it.

    Raises:
        NotFoundError: The stored mp4 is gone.
        MediaError: A window cannot be taken out of the clip.
    """
    if not context.caption_writing.predict_dataset:
        return
    root = context.root
    windows = [window for window in meta["windows"] if is_wanted(meta, window)]
    for window in meta["windows"]:
        if window not in windows:
            for uri in window_uris(root, meta, window):
                storage_for(uri).delete(uri)
    todo = [window for window in windows if anew or not _is_there(root, meta, window)]
    if not todo:
        return
    with contextlib.ExitStack() as opened:
        scratch = scratch_here(context.scratch)
        scratch.mkdir(parents=True, exist_ok=True)
        if clip is None or not clip.exists():
            stored = mp4_uri(meta, root)
            clip = opened.enter_context(storage_for(stored).local_file(stored, scratch))
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(dir=scratch)))
        for window in todo:
            video, text = window_uris(root, meta, window)
            storage_for(video).write(video, _window(clip, meta, window, folder))
            # Last: whoever finds the text finds the video.
            storage_for(text).write(text, _text(window))


def window_uris(root: str, meta: dict[str, Any], window: dict[str, Any]) -> tuple[str, str]:
    """Return where a window's video and text lie."""
    frames = window["start_frame"], window["end_frame"]
    return (
        predict_video_uri(root, meta["span_uuid"], frames),
        predict_text_uri(root, meta["span_uuid"], frames),
    )


def is_wanted(meta: dict[str, Any], window: dict[str, Any]) -> bool:
    """Return whether a window has a caption and its clip is kept."""
    return "rejection" not in meta and window.get("caption_status") in CAPTIONED


def missing_windows(root: str, meta: dict[str, Any]) -> Iterator[str]:
    """Yield the files that a clip with this stage lacks."""
    if STAGE not in meta["stages"]:
        return
    for window in meta["windows"]:
        if is_wanted(meta, window):
            for uri in window_uris(root, meta, window):
                if not storage_for(uri).exists(uri):
                    yield uri


def _is_there(root: str, meta: dict[str, Any], window: dict[str, Any]) -> bool:
    video, text = window_uris(root, meta, window)
    try:
        return storage_for(text).read(text) == _text(window) and storage_for(video).exists(video)
    except NotFoundError:
        return False


def _text(window: dict[str, Any]) -> bytes:
    # What a server says may hold half a character.
    return caption_text(window, prefer_enhanced=True).encode("utf-8", "replace")


def _window(clip: Path, meta: dict[str, Any], window: dict[str, Any], folder: Path) -> Path:
    if len(meta["windows"]) == 1:
        return clip
    target = folder / f"{window['start_frame']}_{window['end_frame']}.mp4"
    write_window(clip, window["start_frame"], window["end_frame"] + 1, target=target)
    return target
