"""Look at the files of finished clips in children, several at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from transforms.layout import clip_uri
from transforms.lease import Heartbeat
from transforms.media.children import ChildPool, ClipReport, JobClip, LookJob
from transforms.media.clip_files import clip_path, discard
from transforms.media.slots import children_here
from transforms.progress import count
from transforms.recaption.open_clips import NUM_BYTES, SHA256
from transforms.recaption.settings import RecaptionSettings
from transforms.records import Clip, ClipFile, Failure
from transforms.run_context import RunContext
from transforms.scratch import scratch_here
from transforms.storage.interface import NotFoundError, StorageError
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import scheme_of


@dataclass
class LookAtClips(beam.PTransform):
    """Decode every clip's mp4 once, as ``split`` does behind the cut.

    Input: clips. Output: the same clips, one for one, as they finish: with what was found in their
    files, or failed: missing, changed since ``split`` wrote it, not decodable. The mp4 then lies in
    the worker's scratch folder, a link to it where that is on this machine; nothing is written to
    the output.
    """

    settings: RecaptionSettings
    context: RunContext

    def expand(self, clips: beam.PCollection[Clip]) -> beam.PCollection[Clip]:
        """Attach the step."""
        step = beam.ParDo(_LookAtClips(self.settings, self.context))
        return clips | step.with_output_types(Clip)


class _LookAtClips(beam.DoFn):
    """Keeps one clip per child going and one queued; open clips belong to this instance."""

    def __init__(self, settings: RecaptionSettings, context: RunContext) -> None:
        self._settings = settings
        self._context = context
        self._pool: ChildPool | None = None
        self._waiting: dict[str, Clip] = {}
        self._heartbeat = Heartbeat(context.lease_uri, context.run_id)

    def start_bundle(self) -> None:
        # What an earlier bundle left ended in an error: it comes again.
        if self._waiting:
            self.teardown()
        self._heartbeat.start()

    def process(self, clip: Clip) -> Iterator[Clip]:
        if clip.outcome != "pending":
            yield clip
            return
        try:
            path = self._fetch(clip)
        except NotFoundError as error:
            yield clip.failed(Failure("read", "no_clip_file", str(error)))
            return
        except StorageError as error:
            yield clip.failed(Failure("read", "unreadable", str(error)))
            return
        pool = self._open_pool()
        while pool.capacity == 0:
            yield from self._finished(block=True)
        self._waiting[clip.clip_id] = clip
        job_clip = JobClip(clip.clip_id, Fraction(0), None, action="look", path=str(path))
        pool.submit(LookJob(clip.clip_id, (job_clip,), self._settings.look))
        yield from self._finished(block=False)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        while self._waiting:
            for clip in self._finished(block=True):
                yield WindowedValue(clip, MIN_TIMESTAMP, (GlobalWindow(),))
        self._heartbeat.stop()

    def teardown(self) -> None:
        # Called also after an exception of a later step, which skips finish_bundle.
        self._heartbeat.stop()
        self._waiting.clear()
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    @property
    def _scratch(self) -> Path:
        # As for the cut: two workers on one machine have two.
        return scratch_here(self._context.scratch) / f"worker-{os.getpid()}"

    def _open_pool(self) -> ChildPool:
        if self._pool is None:
            num_children = children_here(self._settings.num_children)
            self._pool = ChildPool(self._scratch, num_children, limits=self._settings.limits)
        return self._pool

    def _fetch(self, clip: Clip) -> Path:
        """Return where the clip's mp4 lies in scratch.

        Raises:
            NotFoundError: It is not in the output.
            StorageError: It cannot be read.
        """
        uri = clip_uri(self._context.root, clip.clip_id, rejected=False)
        # A bundle that ended in an error may have left it.
        discard(self._scratch, clip.clip_id)
        target = clip_path(self._scratch, clip.clip_id)
        target.parent.mkdir(parents=True)
        with storage_for(uri).local_file(uri, self._scratch) as stored:
            if scheme_of(uri):
                stored.replace(target)
            else:
                target.symlink_to(stored)
        return target

    def _finished(self, *, block: bool) -> Iterator[Clip]:
        for report in self._open_pool().reports(block=block):
            if isinstance(report, ClipReport):
                count(self._context.progress_folder, clips_looked_at=1)
                clip = self._waiting.pop(report.clip_id)
                yield _reported(clip, report).updated(scratch=str(self._scratch))


def _reported(clip: Clip, report: ClipReport) -> Clip:
    if report.failure is not None:
        message = f"clip {clip.clip_id} of {clip.rel}: {report.failure.message}"
        return clip.failed(replace(report.failure, message=message))
    assert report.file is not None
    if problem := _changed(report.file, dict(clip.notes)):
        message = f"clip {clip.clip_id} of {clip.rel}: {problem}; run verify on the output"
        return clip.failed(Failure("read", "clip_file_changed", message))
    return clip.updated(file=report.file)


def _changed(file: ClipFile, stated: dict[str, str]) -> str | None:
    if stated.get(NUM_BYTES, str(file.num_bytes)) != str(file.num_bytes):
        return f"its mp4 has {file.num_bytes} bytes, its metadata says {stated[NUM_BYTES]}"
    if stated.get(SHA256, file.sha256) != file.sha256:
        return "its mp4 is not the one that its metadata describes (sha256)"
    return None
