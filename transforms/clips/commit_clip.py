"""Commit one clip: its files first, its metadata last; of two writers one wins."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from transforms.clips.clip_metadata import clip_metadata, merged_metadata
from transforms.clips.plan import Plan
from transforms.errors import CurateError
from transforms.faults import kill_at
from transforms.json_files import create_json, json_bytes, read_json
from transforms.layout import clip_uri, meta_uri, previews_uri
from transforms.media.clip_files import clip_path, discard, preview_folder
from transforms.records import Clip
from transforms.run_context import RunContext
from transforms.storage.open_storage import storage_for


def commit_clip(clip: Clip, plan: Plan, context: RunContext) -> dict[str, Any]:
    """Store the clip and return the metadata that stands: ours, or of whoever was faster."""
    if clip.redone:
        return _recommit(clip, plan, context)
    meta = clip_metadata(clip, plan, context)
    scratch = Path(clip.scratch)
    _publish(meta, clip_path(scratch, clip.clip_id))
    _publish_previews(clip, context)
    kill_at("clip_published", clip.clip_id)
    uri = meta_uri(context.root, clip.clip_id)
    if not create_json(uri, meta):
        committed = read_json(uri)
        _remove_unreferenced(committed, clip, context)
        meta = committed
    discard(scratch, clip.clip_id)
    return meta


def _publish(meta: dict[str, Any], path: Path) -> None:
    """Store the mp4; what an interrupted run left there is checked, not trusted."""
    uri = meta["clip_location"]
    storage = storage_for(uri)
    if not path.exists():
        raise CurateError(f"{path}: the clip's file is gone from scratch; run the command again")
    if storage.create_if_absent(uri, path):
        return
    stored = storage.stat(uri).num_bytes == meta["num_bytes"]
    if not stored or hashlib.sha256(storage.read(uri)).hexdigest() != meta["sha256"]:
        storage.write(uri, path)


def _publish_previews(clip: Clip, context: RunContext) -> None:
    if clip.rejection is not None:
        return
    folder = preview_folder(Path(clip.scratch), clip.clip_id)
    for name in clip.preview_names:
        uri = previews_uri(context.root, clip.clip_id, name)
        storage_for(uri).write(uri, folder / name)


def _remove_unreferenced(committed: dict[str, Any], clip: Clip, context: RunContext) -> None:
    """Remove our mp4 when the clip was committed in the other folder."""
    for rejected in (False, True):
        uri = clip_uri(context.root, clip.clip_id, rejected=rejected)
        if uri != committed["clip_location"]:
            storage_for(uri).delete(uri)


def _recommit(clip: Clip, plan: Plan, context: RunContext) -> dict[str, Any]:
    """Add a later stage to a committed clip: its mp4 moves only if a filter now rejects it."""
    uri = meta_uri(context.root, clip.clip_id)
    storage = storage_for(uri)
    version = storage.stat(uri).version
    committed = read_json(uri)
    merged = merged_metadata(committed, clip, plan, context)
    moved = merged["clip_location"] != committed["clip_location"]
    if moved:
        storage.create_if_absent(merged["clip_location"], storage.read(committed["clip_location"]))
    _publish_previews(clip, context)
    if not storage.replace_if(uri, json_bytes(merged), version):
        return read_json(uri)
    if moved:
        storage.delete(committed["clip_location"])
    if clip.scratch:
        discard(Path(clip.scratch), clip.clip_id)
    return merged
