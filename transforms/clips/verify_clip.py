"""Check one planned clip: its metadata against the plan, its mp4 against the metadata."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from transforms.checked_files import BadFileError, list_files, read_checked
from transforms.clips.embedding_files import read_embedding, stored_embedding_uri
from transforms.clips.plan import Plan
from transforms.errors import CurateError
from transforms.finding import Finding, Watch
from transforms.formats.clip_meta import ClipMeta
from transforms.json_records import to_plain
from transforms.layout import (
    PREVIEWS,
    chunk_record_uri,
    clip_uri,
    embedding_uri,
    meta_uri,
    previews_uri,
)
from transforms.models.embeddings.algorithms import STEMS
from transforms.storage.hashing import stored_sha256
from transforms.storage.interface import NotFoundError, StorageError
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import join

_PREVIEW_NAME = re.compile(r"\d+_\d+\.webp")
_RIFF_BYTES = 8
"""The header of a webp states the size of what follows these bytes."""


@dataclass(frozen=True, slots=True)
class ClipCheck:
    """What is there of a planned clip."""

    clip_id: str
    meta: dict[str, Any] | None
    """Its metadata, None when there is none that can be read."""
    findings: tuple[Finding, ...]
    is_damaged: bool
    """Whether the clip must be made again."""


def verify_clip(
    root: str, plan: Plan, clip_index: int, *, chunk_index: int, watch: Watch
) -> ClipCheck:
    """Return what is there of a clip; no metadata and no finding when it was never committed."""
    clip_id = plan.spans[clip_index].clip_id
    uri = meta_uri(root, clip_id)
    try:
        meta = read_checked(uri, ClipMeta, watch)
    except NotFoundError:
        return ClipCheck(clip_id, None, (), is_damaged=False)
    except BadFileError as error:
        found = damaged_clip(root, plan.video.rel, chunk_index, clip_id, (uri, str(error)))
        return ClipCheck(clip_id, None, (found,), is_damaged=True)
    expected = _planned_fields(plan, clip_index, chunk_index, rejected="rejection" in meta)
    wrong = [name for name, value in expected.items() if _plain(name, meta[name]) != value]
    problem = (uri, f"{', '.join(wrong)}: not what was planned") if wrong else None
    problem = problem or _mp4_problem(root, meta, watch) or _preview_problem(root, meta)
    problem = problem or _embedding_problem(root, meta)
    if problem is not None:
        found = damaged_clip(root, plan.video.rel, chunk_index, clip_id, problem)
        return ClipCheck(clip_id, meta, (found,), is_damaged=True)
    return ClipCheck(clip_id, meta, tuple(_left_over(root, meta)), is_damaged=False)


def damaged_clip(
    root: str, rel: str, chunk_index: int, clip_id: str, problem: tuple[str, str]
) -> Finding:
    """Return the finding of a clip that must be made again; ``problem`` is path and reason."""
    path, reason = problem
    removes = clip_removals(root, rel, chunk_index, clip_id)
    return Finding("clip", clip_id, path, reason, removes, num_clips=1)


def clip_removals(root: str, rel: str, chunk_index: int, clip_id: str) -> tuple[str, ...]:
    """Return what must go so that a run makes the clip again, commits first."""
    return (chunk_record_uri(root, rel, chunk_index), *clip_files(root, clip_id))


def clip_files(root: str, clip_id: str) -> tuple[str, ...]:
    """Return all files that may be there of a clip, its commit first."""
    mp4s = (clip_uri(root, clip_id, rejected=rejected) for rejected in (False, True))
    folder = join(root, PREVIEWS, clip_id)
    previews = (stat.uri for stat in list_files(folder))
    vectors = (uri for uri in _embedding_uris(root, clip_id) if storage_for(uri).exists(uri))
    return (meta_uri(root, clip_id), *mp4s, *previews, *vectors)


def _embedding_uris(root: str, clip_id: str) -> list[str]:
    return [embedding_uri(root, stem, clip_id) for stem in STEMS]


def _planned_fields(
    plan: Plan, clip_index: int, chunk_index: int, *, rejected: bool
) -> dict[str, Any]:
    span, facts = plan.spans[clip_index], plan.facts
    width, height = facts.display_size
    return {
        "span_uuid": span.clip_id,
        "source_video": plan.video.uri,
        "duration_span": [span.start_seconds, span.end_seconds],
        "width_source": width,
        "height_source": height,
        "framerate_source": float(facts.average_rate),
        "source_id": plan.video.source_id,
        "source_time_base": to_plain(facts.time_base),
        "chunk_index": chunk_index,
        # Below which root does not matter: a whole output may be moved.
        "clip_location": clip_uri("", span.clip_id, rejected=rejected),
    }


def _plain(name: str, value: Any) -> Any:
    if name == "clip_location":
        return "/" + "/".join(value.split("/")[-2:])
    return value


def _mp4_problem(root: str, meta: dict[str, Any], watch: Watch) -> tuple[str, str] | None:
    uri = clip_uri(root, meta["span_uuid"], rejected="rejection" in meta)
    try:
        num_bytes = storage_for(uri).stat(uri).num_bytes
        if num_bytes != meta["num_bytes"]:
            return uri, f"has {num_bytes} bytes, its metadata says {meta['num_bytes']}"
        if stored_sha256(uri, watch) != meta["sha256"]:
            return uri, "its sha256 is not the one its metadata says"
    except NotFoundError:
        return uri, "is missing; its metadata is there"
    except StorageError as error:
        return uri, f"cannot be read: {error}"
    return None


def _preview_problem(root: str, meta: dict[str, Any]) -> tuple[str, str] | None:
    for name in meta.get("previews", ()):
        # A name that is a path would lead elsewhere.
        if not _PREVIEW_NAME.fullmatch(name):
            return meta_uri(root, meta["span_uuid"]), f"previews: {name!r} is no preview's name"
        uri = previews_uri(root, meta["span_uuid"], name)
        try:
            num_bytes = storage_for(uri).stat(uri).num_bytes
            header = storage_for(uri).read_range(uri, 0, _RIFF_BYTES) if num_bytes else b""
        except NotFoundError:
            return uri, "is missing; the clip's metadata names it"
        except StorageError as error:
            return uri, f"cannot be read: {error}"
        stated = int.from_bytes(header[4:], "little") + _RIFF_BYTES
        if header[:4] != b"RIFF" or stated != num_bytes:
            return uri, f"is no whole webp: has {num_bytes} bytes"
    return None


def _embedding_problem(root: str, meta: dict[str, Any]) -> tuple[str, str] | None:
    uri = stored_embedding_uri(root, meta)
    if uri is None:
        return None
    try:
        read_embedding(root, meta)
    except StorageError as error:
        return uri, f"cannot be read: {error}"
    except CurateError as error:
        return uri, str(error).removeprefix(f"{uri}: ")
    return None


def _left_over(root: str, meta: dict[str, Any]) -> list[Finding]:
    """Return what lies there of a good clip and does not belong to it."""
    clip_id = meta["span_uuid"]
    other = clip_uri(root, clip_id, rejected="rejection" not in meta)
    findings = []
    if storage_for(other).exists(other):
        where = "kept" if "rejection" not in meta else "rejected"
        reason = f"is there as well, though its metadata says that the clip is {where}"
        findings.append(Finding("clip", clip_id, other, reason, (other,)))
    folder = join(root, PREVIEWS, clip_id)
    named = {previews_uri(root, clip_id, name) for name in meta.get("previews", ())}
    for stat in list_files(folder):
        name = stat.uri.rsplit("/", 1)[-1]
        if stat.uri not in named and _PREVIEW_NAME.fullmatch(name):
            reason = "the clip's metadata does not name this preview"
            findings.append(Finding("clip", clip_id, stat.uri, reason, (stat.uri,)))
    return findings
