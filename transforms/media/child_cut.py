"""What a child does with a run of clips: packet index, one decode pass that cuts, looks."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from transforms import faults
from transforms.errors import MediaError
from transforms.media.child_look import FinishedClip, answer_look, clip_failure
from transforms.media.child_messages import ClipReport, CutJob
from transforms.media.child_progress import JobProgress
from transforms.media.clip_files import clip_path, cutting_folder
from transforms.media.crop_box import upright_box
from transforms.media.crop_probe import decided_crop
from transforms.media.cut import CutResult, CutSpan, cut_run
from transforms.media.decode import DecodeCounters
from transforms.media.observers.picture_box import Box
from transforms.media.packet_index import PacketIndex, build_packet_index, refuse_truncated


def answer_cut(job: CutJob, *, scratch: Path, progress: JobProgress) -> Iterator[ClipReport]:
    """Cut the job's clips and look at each; yield what became of them, as it is known.

    Raises:
        MemoryError: There is too little memory for it here.
    """
    clips = [clip for clip in job.clips if clip.action == "cut"]
    if not clips:
        return
    try:
        progress.begin("index")
        index = _index(job)
        crop = _crop(job, index, progress.counters)
    except MediaError as error:
        for clip in clips:
            yield clip_failure(job, clip.clip_id, "cut", error)
        return
    with _folder(scratch, job) as folder:
        results = cut_run(
            Path(job.source),
            job.facts,
            index,
            [CutSpan(clip.clip_id, clip.start, clip.end) for clip in clips],
            settings=job.encode,
            folder=folder,
            windows=(job.look.window_size, job.look.remainder_threshold),
            counters=progress.counters,
            keep_prefix=job.keep_prefix,
            crop=crop,
            form=job.form,
        )
        for clip in clips:
            progress.begin("cut", clip.clip_id)
            faults.strike(clip.clip_id)
            found = _finished(job, next(results), scratch, crop)
            if isinstance(found, FinishedClip):
                found = answer_look(job, found, scratch=scratch, progress=progress)
            yield found


def _index(job: CutJob) -> PacketIndex:
    path = Path(job.index_path)
    keep_prefix = job.keep_prefix is not None
    if path.exists():
        index = PacketIndex.load(path)
        if not keep_prefix:
            refuse_truncated(index, job.source)
        return index
    index = build_packet_index(job.source, job.facts, keep_prefix=keep_prefix)
    path.parent.mkdir(parents=True, exist_ok=True)
    index.save(path)
    return index


def _crop(job: CutJob, index: PacketIndex, counters: DecodeCounters) -> Box | None:
    """Return what is kept of the frames, in stored pixels; None: everything."""
    if not job.crop_black_bars:
        return None
    path = Path(job.index_path).with_suffix(".crop.npz")
    return decided_crop(job.source, job.facts, index, path=path, counters=counters)


@contextlib.contextmanager
def _folder(scratch: Path, job: CutJob) -> Iterator[Path]:
    folder = cutting_folder(scratch, job.job_id)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _finished(
    job: CutJob, result: CutResult, scratch: Path, crop: Box | None
) -> FinishedClip | ClipReport:
    """Return the clip where it is handed on from, or the report when there is none."""
    notes = {"source_truncated": result.truncated} if result.truncated else {}
    if result.failure is not None:
        return clip_failure(job, result.clip_id, "cut", MediaError(*result.failure))
    if result.path is None:
        return ClipReport(job.job_id, result.clip_id, notes=notes)
    path = clip_path(scratch, result.clip_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    result.path.replace(path)
    promised = result.num_frames
    if result.made_by == "passthrough" and job.facts.header_frames:
        promised = job.facts.header_frames
    shown = crop and upright_box(
        crop,
        size=(job.facts.width, job.facts.height),
        rotation_degrees=job.facts.rotation_degrees,
    )
    return FinishedClip(
        clip_id=result.clip_id,
        path=path,
        source_span_pts=result.source_span_pts,
        made_by=result.made_by,
        num_frames=promised,
        notes=notes,
        crop_box=shown,
        repeated_dropped=result.repeated_dropped,
    )
