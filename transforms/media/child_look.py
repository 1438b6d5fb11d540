"""What a child does with a finished clip: one look at its file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from transforms.errors import MediaError
from transforms.media.child_messages import ClipReport, CutJob, LookJob
from transforms.media.child_progress import JobProgress
from transforms.media.clip_files import frames_folder, preview_folder
from transforms.media.look import look
from transforms.media.observers.picture_box import Box
from transforms.media.out_of_memory import raise_if_out_of_memory
from transforms.records import ClipFile, Failure, MadeBy


@dataclass(frozen=True, slots=True)
class FinishedClip:
    """A clip's file, ready to be looked at."""

    clip_id: str
    path: Path
    source_span_pts: tuple[int, int]
    made_by: MadeBy
    num_frames: int | None = None
    """Frames that must come out of it; None: whatever it holds."""
    notes: dict[str, str] = field(default_factory=dict)
    """What the cut has to say of it."""
    crop_box: Box | None = None
    """As ``ClipFile.crop_box``."""
    repeated_dropped: tuple[int, int] | None = None
    """As ``ClipFile.repeated_dropped``."""


def answer_look(
    job: CutJob | LookJob, finished: FinishedClip, *, scratch: Path, progress: JobProgress
) -> ClipReport:
    """Look at a clip and return what became of it; its pictures are written beside it.

    Raises:
        MemoryError: There is too little memory for it here.
    """
    progress.begin("look", finished.clip_id)
    try:
        seen = look(
            finished.path,
            job.look,
            preview_folder=preview_folder(scratch, finished.clip_id),
            frames_folder=frames_folder(scratch, finished.clip_id),
        )
        _check_count(seen.num_frames, finished)
    except MediaError as error:
        return clip_failure(job, finished.clip_id, "look", error)
    progress.add_details(seen.seconds, of="look")
    file = ClipFile(
        num_bytes=seen.num_bytes,
        sha256=seen.sha256,
        width=seen.width,
        height=seen.height,
        framerate=seen.framerate,
        num_frames=seen.num_frames,
        video_codec=seen.video_codec,
        source_span_pts=finished.source_span_pts,
        made_by=finished.made_by,
        windows=seen.windows,
        crop_box=finished.crop_box,
        repeated_dropped=finished.repeated_dropped,
    )
    return ClipReport(
        job_id=job.job_id,
        clip_id=finished.clip_id,
        file=file,
        scores=seen.scores,
        notes={**seen.notes, **finished.notes},
        preview_files=seen.preview_files,
    )


def clip_failure(
    job: CutJob | LookJob, clip_id: str, stage: Literal["cut", "look"], error: MediaError
) -> ClipReport:
    """Return the report of a clip that failed.

    Raises:
        MemoryError: There was too little memory for it: that is no fault of the clip.
    """
    raise_if_out_of_memory(error)
    return ClipReport(job.job_id, clip_id, failure=Failure(stage, error.reason, error.message))


def _check_count(num_frames: int, finished: FinishedClip) -> None:
    if finished.num_frames is not None and num_frames != finished.num_frames:
        raise MediaError(
            "clip_does_not_decode",
            f"clip {finished.clip_id}: {finished.num_frames} frames were put in, "
            f"but {num_frames} could be decoded",
        )
