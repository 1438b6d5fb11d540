"""From a finished clip to one request per caption window."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from transforms.annotate.caption_frames import caption_frame_numbers, num_caption_frames
from transforms.annotate.caption_prompts import filled
from transforms.annotate.windows import inclusive_window
from transforms.clips.plan import Plan
from transforms.layout import clip_uri
from transforms.media.clip_files import clip_path, frames_folder, windows_folder
from transforms.media.observers.window_frames import frames_name
from transforms.models.captions.engine import CaptionRequest
from transforms.records import Clip, ClipFile, Window
from transforms.shards.window_mp4 import write_window
from transforms.storage.open_storage import storage_for


@dataclass(frozen=True)
class CaptionPrompt:
    """What is asked, and what the model sees of a window."""

    text: str
    """With placeholders."""
    sees: Literal["frames", "mp4"]
    """Sampled frames, or the window's mp4."""
    sampling_fps: float = 2.0
    """Frames per second that are sampled."""


def caption_requests(
    clip: Clip, prompt: CaptionPrompt, plan: Plan, root: str
) -> tuple[CaptionRequest, ...]:
    """Return one request per window of a clip that was looked at.

    Args:
        clip: Its frames lie in scratch, and its mp4 there or, when it is ``redone``, in the output.
        prompt: What is asked.
        plan: The plan of its video.
        root: Output root.

    Raises:
        MediaError: A window's packets cannot be taken out of the clip.
    """
    if clip.file is None:
        raise ValueError(f"clip {clip.clip_id} has no file")
    requests = []
    for window in clip.file.windows:
        text = filled(prompt.text, _values(clip, clip.file, window, plan))
        mp4 = _window_mp4(clip, clip.file, window, root) if prompt.sees == "mp4" else None
        requests.append(_request(clip, clip.file, window, replace(prompt, text=text), mp4))
    return tuple(requests)


def _request(
    clip: Clip, file: ClipFile, window: Window, prompt: CaptionPrompt, mp4: Path | None
) -> CaptionRequest:
    frames = window.start_frame, window.end_frame
    first, last = inclusive_window(frames)
    request_id = f"{clip.clip_id}_{first}_{last}"
    if mp4 is not None:
        return CaptionRequest(request_id, prompt.text, mp4_path=str(mp4))
    folder = frames_folder(Path(clip.scratch), clip.clip_id)
    count = num_caption_frames(
        last + 1 - first, fps=file.framerate or 1.0, sampling_fps=prompt.sampling_fps
    )
    return CaptionRequest(
        request_id,
        prompt.text,
        frames_path=str(folder / frames_name(frames)),
        frame_numbers=tuple(number - first for number in caption_frame_numbers(frames, count)),
        clip_fps=file.framerate,
    )


def _window_mp4(clip: Clip, file: ClipFile, window: Window, root: str) -> Path:
    """Return the window's mp4; that of a clip's only window is the clip itself."""
    scratch = Path(clip.scratch)
    source = clip_path(scratch, clip.clip_id)
    if not source.exists():
        # Committed before; only its captions came later.
        uri = clip_uri(root, clip.clip_id, rejected=False)
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


def _values(clip: Clip, file: ClipFile, window: Window, plan: Plan) -> dict[str, str]:
    num_frames = window.end_frame - window.start_frame
    fps = file.framerate or 1.0
    start = plan.spans[clip.clip_index].start_seconds + window.start_frame / fps
    return {
        "width": str(file.width),
        "height": str(file.height),
        "fps": f"{file.framerate:.2f}",
        "num_frames": str(num_frames),
        "duration_s": f"{num_frames / fps:.2f}",
        "start_s": f"{start:.2f}",
        "source_name": plan.video.uri.rsplit("/", 1)[-1],
    }
