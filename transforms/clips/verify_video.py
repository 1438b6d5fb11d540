"""Check one selected video: failed, or planned and recorded with all its chunks."""

from __future__ import annotations

import re
from collections.abc import Iterator

from transforms.checked_files import BadFileError, list_files, read_checked
from transforms.clips.plan import Plan
from transforms.clips.selections import Selected
from transforms.clips.verified_clips import VerifiedClips, packed
from transforms.clips.verify_chunk import verify_chunk
from transforms.clips.verify_failures import Failures
from transforms.clips.verify_plan import read_checked_plan
from transforms.clips.video_record import video_record
from transforms.finding import Finding, Watch
from transforms.formats.video_record import VideoRecord
from transforms.layout import PROCESSED_CHUNKS, chunk_record_uri, plan_uri, video_record_uri
from transforms.storage.interface import NotFoundError
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import join, relative


def verify_video(
    video: Selected,
    failures: tuple[Failures, Failures],
    *,
    clips: VerifiedClips,
    watch: Watch,
) -> Iterator[Finding]:
    """Yield what is missing or wrong of a video; ``failures``: of videos, of clips."""
    failed_videos, failed_clips = failures
    has_failed = video.video_uuid in failed_videos
    try:
        plan = read_checked_plan(clips.root, video, watch)
    except NotFoundError:
        clips.unplanned.add(video.rel)
        if not has_failed:
            yield _without_plan(clips.root, video, "is neither planned nor failed", ())
        return
    except BadFileError as error:
        clips.unplanned.add(video.rel)
        uri = plan_uri(clips.root, video.video_uuid)
        yield _without_plan(clips.root, video, f"its plan {error}", (uri,))
        return
    clips.rel_of[video.source_id] = video.rel
    clips.num_chunks[video.rel] = len(plan.chunks)
    clips.planned.update(packed(span.clip_id) for span in plan.spans)
    if has_failed and not _has_record(clips.root, video.rel):
        # It failed after an earlier run had planned it: nothing more is promised of it.
        return
    yield from _verify_record(clips.root, plan, watch)
    for index in range(len(plan.chunks)):
        yield from verify_chunk(plan, index, failed_clips, clips=clips, watch=watch)


def _has_record(root: str, rel: str) -> bool:
    return storage_for(root).exists(video_record_uri(root, rel))


def _without_plan(root: str, video: Selected, reason: str, plan: tuple[str, ...]) -> Finding:
    """Return the finding; records go, so that a run plans the video again and finds its clips."""
    record = video_record_uri(root, video.rel)
    there = tuple(uri for uri in (*chunk_records(root, video.rel), record) if _exists(uri))
    return Finding("video", video.rel, plan_uri(root, video.video_uuid), reason, there + plan)


def chunk_records(root: str, rel: str) -> list[str]:
    """Return the chunk records there are of a video, also of one whose plan is gone."""
    folder = join(root, PROCESSED_CHUNKS, *rel.split("/")[:-1])
    pattern = re.compile(re.escape(rel.rsplit("/", maxsplit=1)[-1]) + r"_\d+\.json")
    stats = list_files(folder)
    return [stat.uri for stat in stats if pattern.fullmatch(relative(stat.uri, folder))]


def _verify_record(root: str, plan: Plan, watch: Watch) -> Iterator[Finding]:
    rel = plan.video.rel
    uri = video_record_uri(root, rel)
    try:
        record = read_checked(uri, VideoRecord, watch)
    except NotFoundError:
        # The record is written with the first chunk's.
        if not plan.chunks or _exists(chunk_record_uri(root, rel, 0)):
            yield Finding("video", rel, uri, "its record is missing")
        return
    except BadFileError as error:
        yield Finding("video", rel, uri, str(error), (uri,))
        return
    expected = video_record(plan)
    wrong = [name for name, value in expected.items() if record[name] != value]
    if wrong:
        yield Finding("video", rel, uri, f"{', '.join(wrong)}: not what its plan says", (uri,))


def _exists(uri: str) -> bool:
    return storage_for(uri).exists(uri)
