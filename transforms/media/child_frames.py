"""What a child does for detecting shots: the packet index of a video, small frames of a stretch."""

from __future__ import annotations

import time
from pathlib import Path

from transforms.errors import MediaError
from transforms.media.child_messages import FramesJob, FramesReport, IndexJob, IndexReport
from transforms.media.decode import DecodeCounters
from transforms.media.out_of_memory import raise_if_out_of_memory
from transforms.media.packet_index import PacketIndex, build_packet_index, refuse_truncated
from transforms.media.small_frames import save_frames, small_frames
from transforms.records import Failure


def answer_index(job: IndexJob) -> IndexReport:
    """Make the packet index and return how many frames can be decoded one after the other.

    Raises:
        MemoryError: There is too little memory for it here.
    """
    started = time.process_time()
    try:
        index = _index(job)
        num_frames = index.num_whole if job.keep_prefix else len(index.pts)
        if not num_frames:
            refuse_truncated(index, job.source)
            raise MediaError("corrupt_frame", f"{job.source}: its first frame is damaged")
    except MediaError as error:
        return IndexReport(job.job_id, failure=_failure(error))
    seconds = time.process_time() - started
    return IndexReport(job.job_id, num_frames=num_frames, seconds=seconds)


def answer_frames(job: FramesJob, counters: DecodeCounters) -> FramesReport:
    """Decode the stretch and write its small frames.

    Raises:
        MemoryError: There is too little memory for it here.
    """
    started = time.process_time()
    failure = None
    try:
        pictures = small_frames(
            Path(job.source),
            job.facts,
            PacketIndex.load(job.index_path),
            frames=job.frames,
            all_pixels=job.all_pixels,
            counters=counters,
        )
        save_frames(pictures, Path(job.path))
    except MediaError as error:
        failure = _failure(error)
    seconds = time.process_time() - started
    return FramesReport(job.job_id, counters.num_decoded, seconds, failure)


def _index(job: IndexJob) -> PacketIndex:
    path = Path(job.index_path)
    if job.is_made and path.exists():
        index = PacketIndex.load(path)
        if not job.keep_prefix:
            refuse_truncated(index, job.source)
        return index
    index = build_packet_index(job.source, job.facts, keep_prefix=job.keep_prefix)
    path.parent.mkdir(parents=True, exist_ok=True)
    index.save(path)
    return index


def _failure(error: MediaError) -> Failure:
    raise_if_out_of_memory(error)
    return Failure("split", error.reason, error.message)
