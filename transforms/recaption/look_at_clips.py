"""Look at the files of finished clips in children, several at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import apache_beam as beam

from transforms.child_jobs import Begun, ChildJobs, Resources
from transforms.layout import clip_uri
from transforms.media.child_messages import ClipReport, JobClip, LookJob, PoolReport
from transforms.media.clip_files import clip_path, discard
from transforms.progress import count
from transforms.recaption.open_clips import NUM_BYTES, SHA256
from transforms.recaption.settings import RecaptionSettings
from transforms.records import Clip, ClipFile, Failure
from transforms.run_context import RunContext
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


class _LookAtClips(ChildJobs):
    """One job per clip that is not settled."""

    def __init__(self, settings: RecaptionSettings, context: RunContext) -> None:
        super().__init__(settings.num_children, settings.limits, context)
        self._settings = settings

    def begin(self, element: Clip, resources: Resources) -> Iterator[Clip | Begun]:
        if element.outcome != "pending":
            yield element
            return
        try:
            path = self._fetch(element)
        except NotFoundError as error:
            yield element.failed(Failure("read", "no_clip_file", str(error)))
            return
        except StorageError as error:
            yield element.failed(Failure("read", "unreadable", str(error)))
            return
        clip_id = element.clip_id
        job_clip = JobClip(clip_id, Fraction(0), None, action="look", path=str(path))
        yield Begun(LookJob(clip_id, (job_clip,), self._settings.look), element)

    def end(self, state: Clip, report: PoolReport) -> Iterator[Clip]:
        if isinstance(report, ClipReport):
            count(self.context.progress_folder, clips_looked_at=1)
            yield _reported(state, report).updated(scratch=str(self.scratch))

    def _fetch(self, clip: Clip) -> Path:
        """Return where the clip's mp4 lies in scratch.

        Raises:
            NotFoundError: It is not in the output.
            StorageError: It cannot be read.
        """
        uri = clip_uri(self.context.root, clip.clip_id, rejected=False)
        # A bundle that ended in an error may have left it.
        discard(self.scratch, clip.clip_id)
        target = clip_path(self.scratch, clip.clip_id)
        target.parent.mkdir(parents=True)
        with storage_for(uri).local_file(uri, self.scratch) as stored:
            if scheme_of(uri):
                stored.replace(target)
            else:
                target.symlink_to(stored)
        return target


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
