"""From a finished clip to one request per caption window."""

from __future__ import annotations

import shutil
from pathlib import Path

from transforms.annotate.caption_prompts import filled
from transforms.annotate.windows import inclusive_window
from transforms.clips.plan import read_plan
from transforms.clips.stored_clip import mp4_uri
from transforms.json_files import read_json
from transforms.layout import meta_uri
from transforms.media.clip_files import clip_path, windows_folder
from transforms.models.captions.engine import CaptionRequest
from transforms.records import Clip, ClipFile, ClipSource, Window
from transforms.shards.window_mp4 import write_window
from transforms.storage.open_storage import storage_for


def caption_requests(clip: Clip, prompt: str, root: str) -> tuple[CaptionRequest, ...]:
    """Return one request per window of a clip that was looked at.

    Args:
        clip: Its mp4 lies in scratch or, when it is ``redone``, in the output.
        prompt: What is asked, with placeholders.
        root: Output root.

    Raises:
        MediaError: A window's packets cannot be taken out of the clip.
    """
    if clip.file is None:
        raise ValueError(f"clip {clip.clip_id} has no file")
    source = clip.source or _planned_source(clip)
    requests = []
    for window in clip.file.windows:
        first, last = inclusive_window((window.start_frame, window.end_frame))
        request = CaptionRequest(
            request_id=f"{clip.clip_id}_{first}_{last}",
            prompt=filled(prompt, _values(clip.file, window, source)),
            mp4_path=str(_window_mp4(clip, clip.file, window, root)),
        )
        requests.append(request)
    return tuple(requests)


def _window_mp4(clip: Clip, file: ClipFile, window: Window, root: str) -> Path:
    """Return the window's mp4; that of a clip's only window is the clip itself."""
    scratch = Path(clip.scratch)
    source = clip_path(scratch, clip.clip_id)
    if not source.exists():
        # Committed before; only its captions came later. It may still lie with the rejected ones.
        uri = mp4_uri(read_json(meta_uri(root, clip.clip_id)), root)
        source.parent.mkdir(parents=True, exist_ok=True)
        with storage_for(uri).local_file(uri, scratch) as stored:
            shutil.copyfile(stored, source)
    if len(file.windows) == 1:
        return source
    folder = windows_folder(scratch, clip.clip_id)
    folder.mkdir(parents=True, exist_ok=True)
    first, last = inclusive_window((window.start_frame, window.end_frame))
    target = folder / f"{first}_{last}.mp4"
    write_window(source, window.start_frame, window.end_frame, target=target)
    return target


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
