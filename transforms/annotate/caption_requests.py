"""From a finished clip to one request per caption window."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from transforms.annotate.caption_prompts import filled
from transforms.annotate.caption_settings import CaptionSettings
from transforms.annotate.windows import inclusive_window
from transforms.clips.plan import read_plan
from transforms.clips.stored_clip import mp4_uri
from transforms.errors import MediaError
from transforms.json_files import read_json
from transforms.layout import meta_uri
from transforms.media.clip_files import clip_path, frames_folder, windows_folder
from transforms.media.clip_frames import write_window_frames
from transforms.media.observers.window_frames import UNKNOWN_FPS, frames_plan
from transforms.models.captions.engine import CaptionRequest, FramesFile
from transforms.records import CaptionAnswer, Clip, ClipFile, ClipSource, Window
from transforms.shards.window_mp4 import write_window
from transforms.storage.open_storage import storage_for

Asked = CaptionRequest | CaptionAnswer
"""What is to be asked about a window, or that it cannot be."""


def caption_requests(clip: Clip, settings: CaptionSettings, root: str) -> tuple[Asked, ...]:
    """Return one request per window of a clip that was looked at.

    A window that cannot be shown to the engine has its answer already: an error.

    Args:
        clip: Its files lie in scratch or, when it is ``redone``, its mp4 lies in the output.
        settings: What the engine sees, and the prompt with placeholders.
        root: Output root.
    """
    file = clip.file
    if file is None:
        raise ValueError(f"clip {clip.clip_id} has no file")
    source = clip.source or _planned_source(clip)
    fps = settings.frames_fps
    try:
        shown = _videos(clip, file, root) if fps is None else _frames(clip, file, fps, root)
        values = [_values(file, window, source) for window in file.windows]
        return tuple(
            CaptionRequest(
                request_id="_".join(map(str, (clip.clip_id, *_inclusive(window)))),
                prompt=filled(settings.prompt, known),
                mp4_path=seen if isinstance(seen, str) else None,
                frames=seen if isinstance(seen, FramesFile) else None,
                values=known,
            )
            for window, known, seen in zip(file.windows, values, shown, strict=True)
        )
    except MediaError as error:
        unseen = CaptionAnswer("error", reason="exception", message=error.message)
        return (unseen,) * len(file.windows)


def _videos(clip: Clip, file: ClipFile, root: str) -> Iterator[str]:
    """Yield each window's mp4; that of a clip's only window is the clip itself."""
    source = _clip_mp4(clip, root)
    if len(file.windows) == 1:
        yield str(source)
        return
    folder = windows_folder(Path(clip.scratch), clip.clip_id)
    folder.mkdir(parents=True, exist_ok=True)
    for window in file.windows:
        first, last = _inclusive(window)
        target = folder / f"{first}_{last}.mp4"
        write_window(source, window.start_frame, window.end_frame, target=target)
        yield str(target)


def _frames(clip: Clip, file: ClipFile, sampling_fps: float, root: str) -> Iterator[FramesFile]:
    """Yield each window's frames, which the look has left or the clip is decoded for."""
    folder = frames_folder(Path(clip.scratch), clip.clip_id)
    plans = [
        frames_plan(
            (window.start_frame, window.end_frame),
            size=(file.width, file.height),
            fps=file.framerate,
            sampling_fps=sampling_fps,
        )
        for window in file.windows
    ]
    if not all((folder / plan.name).exists() for plan in plans):
        write_window_frames(_clip_mp4(clip, root), plans, folder)
    for plan in plans:
        numbers = tuple(number - plan.window[0] for number in plan.numbers)
        yield FramesFile(str(folder / plan.name), numbers, file.framerate or UNKNOWN_FPS)


def _clip_mp4(clip: Clip, root: str) -> Path:
    """Return the clip's mp4 in scratch, fetched from the output if it is not there."""
    scratch = Path(clip.scratch)
    path = clip_path(scratch, clip.clip_id)
    if not path.exists():
        # Committed before; only its captions came later. It may still lie with the rejected ones.
        uri = mp4_uri(read_json(meta_uri(root, clip.clip_id)), root)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        with storage_for(uri).local_file(uri, scratch) as stored:
            shutil.copyfile(stored, part)
        # Whole or not at all: a bundle that is tried again takes what it finds.
        part.replace(path)
    return path


def _inclusive(window: Window) -> tuple[int, int]:
    return inclusive_window((window.start_frame, window.end_frame))


def _planned_source(clip: Clip) -> ClipSource:
    plan = read_plan(clip.plan_uri)
    name = plan.video.uri.rsplit("/", 1)[-1]
    return ClipSource(name, plan.spans[clip.clip_index].start_seconds)


def _values(file: ClipFile, window: Window, source: ClipSource) -> dict[str, str]:
    num_frames = window.end_frame - window.start_frame
    fps = file.framerate or 1.0
    start = source.start_seconds + window.start_frame / fps
    return {
        "width": str(file.width),
        "height": str(file.height),
        "fps": f"{file.framerate:.2f}",
        "num_frames": str(num_frames),
        "duration_s": f"{num_frames / fps:.2f}",
        "start_s": f"{start:.2f}",
        "source_name": source.name,
    }
