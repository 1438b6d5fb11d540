"""Find what lies in an output and belongs to nothing that was planned."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from transforms.checked_files import BadFileError, list_files, read_checked
from transforms.clips.verified_clips import VerifiedClips, packed
from transforms.clips.verify_clip import clip_files
from transforms.clips.verify_embeddings import verify_stray_embeddings
from transforms.clips.verify_failures import Failures
from transforms.finding import Finding, Watch
from transforms.formats.clip_meta import ClipMeta
from transforms.layout import (
    CLIPS,
    FILTERED_CLIPS,
    METAS,
    PREDICT_DATASET,
    PREVIEWS,
    PROCESSED_CHUNKS,
    PROCESSED_VIDEOS,
    meta_uri,
)
from transforms.models.embeddings.algorithms import STEMS
from transforms.storage.interface import NotFoundError
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import join, relative

_UUID = r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
_CHUNK = re.compile(r"(?s:(.+))_(\d+)\.json")
_CLIP_FOLDERS = (
    (join(METAS, "v0"), _UUID + r"\.json"),
    (CLIPS, _UUID + r"\.mp4"),
    (FILTERED_CLIPS, _UUID + r"\.mp4"),
    (PREVIEWS, _UUID + r"/\d+_\d+\.webp"),
    *((stem, _UUID + r"\.pickle") for stem in STEMS),
)
"""Folders of clips' files, and what those files are called: another file there is not ours."""


def verify_strays(clips: VerifiedClips, failed_clips: Failures, watch: Watch) -> Iterator[Finding]:
    """Yield clips and records that no plan knows; call it when all videos are verified."""
    seen: set[bytes] = set()
    for folder, pattern in _CLIP_FOLDERS:
        for clip_id, uri in _clip_ids(join(clips.root, folder), pattern):
            identity = packed(clip_id)
            if identity in clips.planned or identity in seen:
                continue
            seen.add(identity)
            if not _awaits_its_plan(clips, clip_id, watch):
                files = clip_files(clips.root, clip_id)
                # A pipe is listed as nothing: only what is a file goes.
                removes = tuple(file for file in files if storage_for(file).exists(file))
                yield Finding("clip", clip_id, uri, "no video was planned to give it", removes)
    yield from _predict_windows(clips)
    yield from _records(clips)
    yield from verify_stray_embeddings(clips)
    for clip_id, (uri, _) in failed_clips.items():
        if packed(clip_id) not in clips.planned and not clips.unplanned:
            yield Finding("failure", clip_id, uri, "no video was planned to give it", (uri,))


def _predict_windows(clips: VerifiedClips) -> Iterator[Finding]:
    if clips.unplanned:
        return
    for pattern in (r"videos/" + _UUID + r"_\d+_\d+\.mp4", r"metas/" + _UUID + r"_\d+_\d+\.txt"):
        for clip_id, uri in _clip_ids(join(clips.root, PREDICT_DATASET), pattern):
            if packed(clip_id) not in clips.planned:
                yield Finding("window", clip_id, uri, "no video was planned to give it", (uri,))


def _clip_ids(folder: str, pattern: str) -> Iterator[tuple[str, str]]:
    for stat in list_files(folder):
        if match := re.fullmatch(pattern, relative(stat.uri, folder)):
            yield match.group(1), stat.uri


def _awaits_its_plan(clips: VerifiedClips, clip_id: str, watch: Watch) -> bool:
    """Return whether the clip may be of a video whose plan is gone and is made again."""
    if not clips.unplanned:
        return False
    try:
        meta: dict[str, Any] = read_checked(meta_uri(clips.root, clip_id), ClipMeta, watch)
    except (NotFoundError, BadFileError):
        return False
    return meta["source_id"] not in clips.rel_of


def _records(clips: VerifiedClips) -> Iterator[Finding]:
    folder = join(clips.root, PROCESSED_VIDEOS)
    for stat in list_files(folder):
        rel = relative(stat.uri, folder).removesuffix(".json")
        if rel not in clips.num_chunks and rel not in clips.unplanned:
            yield Finding("video", rel, stat.uri, "no run selected this video", (stat.uri,))
    folder = join(clips.root, PROCESSED_CHUNKS)
    for stat in list_files(folder):
        match = _CHUNK.fullmatch(relative(stat.uri, folder))
        if match is None or match.group(1) in clips.unplanned:
            continue
        rel, index = match.group(1), int(match.group(2))
        if index >= clips.num_chunks.get(rel, 0):
            reason = "no plan has this chunk"
            yield Finding("chunk", f"{rel}#{index}", stat.uri, reason, (stat.uri,))
