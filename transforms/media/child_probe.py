"""What a child does with a video that is to be probed."""

from __future__ import annotations

import time
from pathlib import Path

import av

from transforms.errors import MediaError
from transforms.media.child_messages import ProbeJob, ProbeReport, StretchJob
from transforms.media.out_of_memory import raise_if_out_of_memory
from transforms.media.probe import probe
from transforms.media.stretch import copy_stretch
from transforms.records import Failure, VideoFacts
from transforms.storage.interface import StorageError
from transforms.storage.open_storage import storage_for


def answer_probe(job: ProbeJob | StretchJob) -> ProbeReport:
    """Return what was found.

    Raises:
        MemoryError: There is too little memory for it here.
    """
    started = time.process_time()
    try:
        facts = _probe(job) if isinstance(job, ProbeJob) else _copy_and_probe(job)
    except (StorageError, MediaError) as error:
        raise_if_out_of_memory(error)
        reason = error.reason if isinstance(error, MediaError) else "unreadable"
        return ProbeReport(job.job_id, failure=Failure("probe", reason, str(error)))
    return ProbeReport(job.job_id, facts=facts, seconds=time.process_time() - started)


def _probe(job: ProbeJob) -> VideoFacts:
    with storage_for(job.uri).open_seekable(job.uri) as file:
        return probe(file, name=job.uri, num_bytes=job.num_bytes)


def _copy_and_probe(job: StretchJob) -> VideoFacts:
    path = Path(job.path)
    try:
        with storage_for(job.uri).open_seekable(job.uri) as file:
            copy_stretch(file, job.facts, path, name=job.uri)
    except (av.FFmpegError, ValueError, OSError) as error:
        # Not every stream can be copied from its middle (packets without times, bare streams).
        raise MediaError(
            "unreadable", f"{job.uri}: no part of it can be copied: {error}"
        ) from error
    return probe(str(path), name=str(path), num_bytes=path.stat().st_size)
