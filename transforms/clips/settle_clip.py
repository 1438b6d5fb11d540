"""Make metadata, mp4 and other files of a clip agree, whoever else writes it at the same time.

Consistent is: the metadata exists; the mp4 in the folder that it names has its size and sha256;
there is none in the other folder; no preview lies there that the metadata does not list, and no
embedding of this writer's that it does not name.

Why two writers (a worker and its replacement, or what a killed run left) always end there:

1. A final name is *created* by anybody, but *overwritten* or taken away only by a writer that has
   just read metadata that stands: its own, to put its own files in place, or another's, to remove
   what that does not list.
2. Metadata is created after its files, so a writer that created all its files and then metadata is
   done: until then nobody could read any, so by 1 nobody overwrote a file of it; and from then on
   whoever reads it finds it true. This is the usual path, and it reads nothing back. What may lie
   in the other folder is of somebody who will fail to create the metadata and so come here, or is
   dead: one look at that name tells.
3. All others settle: look, act on what is wrong, look again, and leave only after a look that
   found nothing wrong. So behind everybody's last write comes a whole look of its writer; the look
   behind the very last write of all sees what stays, and it found it consistent.
4. A writer that dies anywhere leaves at worst metadata whose mp4 is another one, or files of its
   own that nobody lists. The chunk has no record then, and the next run, or the retry of the
   bundle, hashes each clip of such a chunk before it trusts it (clip_state) and settles it.

Metadata tells a preview's name, not its bytes: where something old lay and two writers replaced
it, a preview may be the other writer's picture of the same frames, and an embedding the other
writer's vector of them.

What no order of writes can mend is a writer that is cut off so long that the chunk's record is
there when it writes, and that dies before its next look. ``verify`` finds what it left.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transforms.clips.embedding_files import stored_embedding_uri
from transforms.clips.stored_clip import has_content, is_intact, mp4_uri, other_mp4_uri
from transforms.errors import CurateError
from transforms.json_files import create_json, json_bytes, read_json
from transforms.layout import PREVIEWS, meta_uri, previews_uri
from transforms.storage.interface import NotFoundError
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import join

MAX_LOOKS = 20
"""Two living writers that undo each other's work leave the beat long before."""
PATIENT_LOOKS = 4
"""From here on a writer waits between two looks, for a time drawn at random."""
_LONGEST_WAIT_SECONDS = 0.05


@dataclass(frozen=True)
class MadeClip:
    """What one writer has of a clip."""

    meta: dict[str, Any]
    mp4: Path | None = None
    """The file that ``meta`` describes; None when it is only what is stored already."""
    previews: dict[str, Path] = field(default_factory=dict)
    """Name to file; all of them are listed in ``meta``."""
    embedding: Path | None = None
    """The file of the vector that ``meta`` names, where this writer made one."""

    @property
    def clip_id(self) -> str:
        """The clip."""
        return str(self.meta["span_uuid"])


def settle(made: MadeClip, root: str) -> dict[str, Any]:
    """Return the metadata that stands, ours or another's, when all of the clip agrees with it.

    Args:
        made: What this writer has. With an mp4 it may replace what stands and is not true.
        root: Output root.

    Raises:
        CurateError: The mp4 is neither stored nor at hand, or two writers never came to an end.
    """
    uri = meta_uri(root, made.clip_id)
    for num_looks in range(MAX_LOOKS):
        if num_looks >= PATIENT_LOOKS:
            time.sleep(random.uniform(0, _LONGEST_WAIT_SECONDS) * (num_looks - PATIENT_LOOKS + 1))
        try:
            # The version first: what is read may only be newer, and then replacing it fails.
            version = storage_for(uri).stat(uri).version
            meta = read_json(uri)
        except NotFoundError:
            create_json(uri, made.meta)
            continue
        if not _act(made, meta, version, root):
            return dict(meta)
    raise CurateError(
        f"clip {made.clip_id}: {uri} and the mp4 in {root} still do not agree after {MAX_LOOKS} "
        "tries; see that only one run works in this output, then run the same command again"
    )


def _act(made: MadeClip, meta: dict[str, Any], version: str, root: str) -> bool:
    """Do what must be done; return whether it was anything, so that a look must follow."""
    if json_bytes(meta) == json_bytes(made.meta):
        return _put_own_files(made, root) or _remove_unlisted(made, meta, root)
    # A picture that is gone is worth a new commit to whoever has all the bytes, and no wait.
    can_replace = made.mp4 is not None
    lacks_files = can_replace and _lacks_files(made, meta, root)
    if is_intact(meta, root) and not lacks_files:
        return _remove_unlisted(made, meta, root)
    if can_replace:
        # Who wrote it may be dead.
        uri = meta_uri(root, made.clip_id)
        storage_for(uri).replace_if(uri, json_bytes(made.meta), version)
    return True


def _lacks_files(made: MadeClip, meta: dict[str, Any], root: str) -> bool:
    uri = stored_embedding_uri(root, meta)
    if uri is not None and not storage_for(uri).exists(uri):
        return True
    return bool(_listed(meta) - _stored_previews(made.clip_id, root))


def _put_own_files(made: MadeClip, root: str) -> bool:
    """Store what is missing or differs; return whether anything was."""
    acted = False
    uri = mp4_uri(made.meta, root)
    if made.mp4 is None:
        if not is_intact(made.meta, root):
            acted = True
            if is_intact(made.meta, root, rejected="rejection" not in made.meta):
                storage_for(uri).write(uri, storage_for(uri).read(other_mp4_uri(made.meta, root)))
    elif not has_content(uri, made.mp4):
        storage_for(uri).write(uri, made.mp4)
        acted = True
    files = {previews_uri(root, made.clip_id, name): path for name, path in made.previews.items()}
    vector = stored_embedding_uri(root, made.meta)
    if made.embedding is not None and vector is not None:
        files[vector] = made.embedding
    for file, path in files.items():
        if not has_content(file, path):
            storage_for(file).write(file, path)
            acted = True
    return acted


def _remove_unlisted(made: MadeClip, meta: dict[str, Any], root: str) -> bool:
    """Remove files that do not belong to ``meta``; return whether there were any."""
    unlisted = _stored_previews(made.clip_id, root) - _listed(meta)
    if not (meta.keys() & {"previews", "rejection"} or json_bytes(meta) == json_bytes(made.meta)):
        # Another worker may be about to add this stage.
        unlisted &= made.previews.keys()
    for name in sorted(unlisted):
        uri = previews_uri(root, made.clip_id, name)
        storage_for(uri).delete(uri)
    vector = stored_embedding_uri(root, made.meta)
    is_decided = "rejection" in meta or "embedding_missing" in meta
    if vector is not None and made.embedding is not None and is_decided:
        storage_for(vector).delete(vector)
    # Last: it is the sign by which the next writer finds out that there is something to remove.
    uri = other_mp4_uri(meta, root)
    if storage_for(uri).exists(uri):
        storage_for(uri).delete(uri)
        return True
    return bool(unlisted)


def _listed(meta: dict[str, Any]) -> set[str]:
    return set(meta.get("previews", ()))


def _stored_previews(clip_id: str, root: str) -> set[str]:
    folder = join(root, PREVIEWS, clip_id)
    return {stat.uri.rsplit("/", 1)[-1] for stat in storage_for(folder).list(folder)}
