"""Commit the new captions of clips: one file each, created only if absent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam

from transforms.errors import CurateError, MediaError
from transforms.faults import kill_at
from transforms.json_files import create_json, json_bytes, read_json
from transforms.layout import annotation_failure_uri, meta_uri
from transforms.lease import raise_if_lost
from transforms.media.clip_files import discard
from transforms.progress import count, mark_first
from transforms.recaption.annotated_meta import annotated_meta, with_earlier_captions
from transforms.recaption.first_meta import read_first_meta
from transforms.recaption.list_clips import is_committed
from transforms.records import Clip, Failure, video_uuid
from transforms.run_context import SCHEMA_VERSION, RunContext
from transforms.storage.open_storage import storage_for
from transforms.storage.plain_names import is_plain_name, shown

_MAX_LOOKS = 20


@dataclass
class WriteAnnotations(beam.PTransform):
    """Write the version's metadata of each clip as soon as it has its captions.

    Input: clips. Output: the id of each. The first metadata of a clip stands, whoever wrote it;
    only clips that are tried again replace theirs. A clip that failed gets a failure file.
    """

    context: RunContext

    def expand(self, clips: beam.PCollection[Clip]) -> beam.PCollection[str]:
        """Attach the writer."""
        return clips | beam.FlatMap(write_annotation, self.context).with_output_types(str)


def write_annotation(clip: Clip, context: RunContext) -> Iterator[str]:
    """Store what became of a clip and yield its id.

    Raises:
        LeaseLostError: Another run has taken over the version.
    """
    raise_if_lost(context.lease_uri, context.run_id)
    failure = clip.failure
    if failure is None:
        try:
            meta = annotated_meta(read_first_meta(context.root, clip.clip_id), clip, context)
            _commit(clip.clip_id, meta, context)
            captioned = bool(meta["has_caption"])
            count(context.progress_folder, clips_annotated=1, clips_captioned=int(captioned))
            mark_first(context.progress_folder, "clip")
        except MediaError as error:
            failure = Failure("read", error.reason, error.message)
    if failure is not None:
        _write_failure(clip, failure, context)
    if clip.scratch:
        discard(Path(clip.scratch), clip.clip_id)
    yield clip.clip_id


def _commit(clip_id: str, meta: dict[str, object], context: RunContext) -> None:
    uri = meta_uri(context.root, clip_id, context.annotation_version)
    if not create_json(uri, meta) and context.retry_failed:
        # Only clips with a window without caption come here again.
        _replace(uri, meta)
    kill_at("clip_annotated", clip_id)


def _replace(uri: str, meta: dict[str, object]) -> None:
    """Replace what stands, but for captions that the clip has and would lose.

    Raises:
        CurateError: Others replace it all the time.
    """
    storage = storage_for(uri)
    for _ in range(_MAX_LOOKS):
        # The version first: what is read may only be newer, and then replacing it fails.
        version = storage.stat(uri).version
        better = with_earlier_captions(meta, read_json(uri))
        if storage.replace_if(uri, json_bytes(better), version):
            return
    raise CurateError(
        f"{uri}: was replaced {_MAX_LOOKS} times by another process; see that only one run works "
        "on this version, then run the same command again"
    )


def _write_failure(clip: Clip, failure: Failure, context: RunContext) -> None:
    version = context.annotation_version
    # A foreign id that is no plain name must not become part of a path.
    name = clip.clip_id if is_plain_name(clip.clip_id) else video_uuid(clip.clip_id)
    if is_committed(context.root, version, name):
        # Another worker captioned it meanwhile: a clip is committed or failed, never both.
        return
    content = {
        "schema_version": SCHEMA_VERSION,
        "id": shown(clip.clip_id),
        "stage": failure.stage,
        "reason": failure.reason,
        "message": failure.message,
        "video": clip.rel,
    }
    if create_json(annotation_failure_uri(context.root, version, name), content):
        count(context.progress_folder, failures=1)
