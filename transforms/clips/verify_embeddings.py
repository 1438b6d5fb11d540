"""Check the tables of embeddings: those of a chunk, and those that belong to nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from transforms.checked_files import list_files
from transforms.clips.embedding_files import embeddings_by_stem, is_same, read_table
from transforms.clips.plan import Plan
from transforms.clips.verified_clips import VerifiedClips, packed
from transforms.errors import CurateError
from transforms.finding import Finding
from transforms.layout import chunk_record_uri, embedding_table_uri
from transforms.models.embeddings.algorithms import STEMS
from transforms.records import video_uuid
from transforms.storage.interface import NotFoundError, StorageError
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import join, relative

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_TABLE = re.compile(rf"({_UUID})_(\d+)\.parquet")
_VECTOR = re.compile(rf"({_UUID})\.pickle")


def verify_tables(
    root: str, plan: Plan, chunk_index: int, metas: Iterable[dict[str, Any]]
) -> Iterator[Finding]:
    """Yield what is wrong of a finished chunk's tables.

    Args:
        root: Output root.
        plan: The video's plan.
        chunk_index: Which chunk.
        metas: Metadata of its committed clips, all found good.
    """
    rel = plan.video.rel
    kept = [meta for meta in metas if "rejection" not in meta]
    try:
        vectors = embeddings_by_stem(root, kept)
    except CurateError:
        # It went since the clip was verified.
        return
    for stem, rows in vectors.items():
        uri = embedding_table_uri(root, stem, plan.video.video_uuid, chunk_index)
        try:
            found = read_table(storage_for(uri).read(uri))
            problem = None if is_same(found, rows) else "does not hold what its clips' vectors are"
        except NotFoundError:
            problem = "is missing; clips of its chunk have embeddings"
        except (ValueError, StorageError) as error:
            problem = str(error)
        if problem is not None:
            # Without its record the chunk is committed anew, and its tables before it.
            removes = (chunk_record_uri(root, rel, chunk_index), uri)
            yield Finding("chunk", f"{rel}#{chunk_index}", uri, problem, removes)


def verify_stray_embeddings(clips: VerifiedClips) -> Iterator[Finding]:
    """Yield vectors that no metadata names, and tables of chunks that no plan has."""
    num_chunks = {
        video_uuid(source_id): clips.num_chunks.get(rel, 0)
        for source_id, rel in clips.rel_of.items()
    }
    for stem in STEMS:
        folder = join(clips.root, stem)
        for stat in list_files(folder):
            match = _VECTOR.fullmatch(relative(stat.uri, folder))
            # Those of clips that nobody planned go with the clip.
            if match is None or packed(match[1]) not in clips.committed:
                continue
            if (packed(match[1]), stem) not in clips.embedded:
                reason = "the clip's metadata does not name this embedding"
                yield Finding("clip", match[1], stat.uri, reason, (stat.uri,))
        folder = join(clips.root, f"{stem}_parquet")
        for stat in list_files(folder):
            match = _TABLE.fullmatch(relative(stat.uri, folder))
            if match is None or clips.unplanned:
                continue
            if int(match[2]) >= num_chunks.get(match[1], 0):
                name, reason = f"{match[1]}#{match[2]}", "no plan has this chunk"
                yield Finding("chunk", name, stat.uri, reason, (stat.uri,))
