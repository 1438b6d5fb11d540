"""Commit one clip: its files first, its metadata last; of two writers one wins."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from transforms.clips.clip_metadata import clip_metadata, merged_metadata
from transforms.clips.embedding_files import stored_embedding_uri
from transforms.clips.plan import Plan
from transforms.clips.predict_dataset import write_predict_windows
from transforms.clips.settle_clip import MadeClip, settle
from transforms.clips.stored_clip import mp4_uri, other_mp4_uri
from transforms.errors import CurateError
from transforms.faults import kill_at
from transforms.json_files import create_json, json_bytes, read_json
from transforms.layout import embedding_table_uri, meta_uri, previews_uri
from transforms.media.clip_files import clip_path, discard, embedding_path, preview_folder
from transforms.models.embeddings.algorithms import ALGORITHMS
from transforms.records import Clip
from transforms.run_context import RunContext
from transforms.storage.interface import NotFoundError
from transforms.storage.open_storage import storage_for


def commit_clip(clip: Clip, plan: Plan, context: RunContext) -> dict[str, Any]:
    """Store the clip and return the metadata that stands: ours, or of whoever was faster.

    For why it is right whoever else does the same at the same time, see ``settle_clip``.

    Raises:
        CurateError: The clip's file is gone, or the stored clip is not what it should be.
    """
    meta = _recommit(clip, plan, context) if clip.redone else _commit(clip, plan, context)
    here = clip_path(Path(clip.scratch), clip.clip_id) if clip.scratch else None
    write_predict_windows(meta, context, here, anew=not clip.redone)
    if clip.scratch:
        discard(Path(clip.scratch), clip.clip_id)
    return meta


def settle_committed(clip_id: str, context: RunContext) -> dict[str, Any]:
    """Return a committed clip's metadata; what a writer that died left beside it is removed.

    Raises:
        NotFoundError: It is not committed.
        CurateError: Its mp4 is not the one its metadata describes.
    """
    meta = settle(MadeClip(read_json(meta_uri(context.root, clip_id))), context.root)
    write_predict_windows(meta, context)
    return meta


def _commit(clip: Clip, plan: Plan, context: RunContext) -> dict[str, Any]:
    root = context.root
    path = clip_path(Path(clip.scratch), clip.clip_id)
    there = path.exists()
    made = _made(clip_metadata(clip, plan, context), clip, path if there else None)
    uri = meta_uri(root, clip.clip_id)
    if storage_for(uri).exists(uri):
        return settle(made, root)
    if not there:
        raise CurateError(f"{path}: the clip's file is gone from scratch; run the command again")
    alone = _create(mp4_uri(made.meta, root), path)
    alone = _create_previews(made, root) and alone
    alone = _create_embedding(made, root) and alone
    kill_at("clip_published", clip.clip_id)
    alone = create_json(uri, made.meta) and alone
    return made.meta if alone and _is_only_mp4(made, root) else settle(made, root)


def _recommit(clip: Clip, plan: Plan, context: RunContext) -> dict[str, Any]:
    """Add a later stage to a committed clip: its mp4 moves only if a filter decides otherwise."""
    root = context.root
    uri = meta_uri(root, clip.clip_id)
    version = storage_for(uri).stat(uri).version
    committed = read_json(uri)
    made = _made(merged_metadata(committed, clip, plan, context), clip, None)
    if json_bytes(made.meta) == json_bytes(committed):
        return settle(made, root)
    moves = mp4_uri(made.meta, root) != mp4_uri(committed, root)
    if moves and not _copy(committed, root):
        return settle(made, root)
    alone = _create_previews(made, root) and not moves
    alone = _create_embedding(made, root) and alone
    _drop_table(committed, made.meta, (plan.video.video_uuid, clip.chunk_index), root)
    alone = storage_for(uri).replace_if(uri, json_bytes(made.meta), version) and alone
    alone = _keeps_embedding(committed, made.meta, root) and alone
    return made.meta if alone and _is_only_mp4(made, root) else settle(made, root)


def _made(meta: dict[str, Any], clip: Clip, mp4: Path | None) -> MadeClip:
    folder = preview_folder(Path(clip.scratch), clip.clip_id)
    listed = set(clip.preview_names) & set(meta.get("previews", ()))
    # A replayed element has no files any more: they were stored the first time.
    previews = {name: folder / name for name in sorted(listed) if (folder / name).exists()}
    vector = embedding_path(Path(clip.scratch), clip.clip_id) if clip.embedding else None
    has_vector = vector is not None and vector.exists() and "embedding" in meta
    return MadeClip(meta, mp4, previews, vector if has_vector else None)


def _create_previews(made: MadeClip, root: str) -> bool:
    created = [
        _create(previews_uri(root, made.clip_id, name), path)
        for name, path in made.previews.items()
    ]
    return all(created)


def _create_embedding(made: MadeClip, root: str) -> bool:
    uri = stored_embedding_uri(root, made.meta)
    return made.embedding is None or uri is None or _create(uri, made.embedding)


def _drop_table(
    committed: dict[str, Any], meta: dict[str, Any], chunk: tuple[str, int], root: str
) -> None:
    """Remove the table that has the vector of a clip that is turned down after all.

    Whoever commits the chunk writes it anew, if a vector is left. Before the metadata: whoever is
    killed between leaves a chunk that is open.
    """
    if "embedding" in committed and "embedding" not in meta:
        stem = ALGORITHMS[committed["embedding"]["algorithm"]].stem
        uri = embedding_table_uri(root, stem, *chunk)
        storage_for(uri).delete(uri)


def _keeps_embedding(committed: dict[str, Any], meta: dict[str, Any], root: str) -> bool:
    """Remove the vector of a clip that is turned down after all; return whether none had to go."""
    uri = stored_embedding_uri(root, committed)
    if uri is None or uri == stored_embedding_uri(root, meta):
        return True
    storage_for(uri).delete(uri)
    return False


def _create(uri: str, path: Path) -> bool:
    """Store the file unless something is there; what is there is settled later, not trusted."""
    return storage_for(uri).create_if_absent(uri, path)


def _copy(committed: dict[str, Any], root: str) -> bool:
    """Copy the mp4 to the folder it moves to; return whether it was still where it was."""
    uri = mp4_uri(committed, root)
    try:
        content = storage_for(uri).read(uri)
    except NotFoundError:
        # Another worker moves it too, and is ahead.
        return False
    if hashlib.sha256(content).hexdigest() != committed["sha256"]:
        raise CurateError(
            f"clip {committed['span_uuid']}: {uri} is not the file that its metadata describes "
            "(sha256); run verify --repair, then the same command again"
        )
    target = other_mp4_uri(committed, root)
    storage_for(target).create_if_absent(target, content)
    return True


def _is_only_mp4(made: MadeClip, root: str) -> bool:
    uri = other_mp4_uri(made.meta, root)
    return not storage_for(uri).exists(uri)
