"""Embeddings as files: one per clip, and a table per chunk (contract §1.16)."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from transforms.errors import CurateError
from transforms.layout import embedding_table_uri, embedding_uri
from transforms.models.embeddings.algorithms import ALGORITHMS
from transforms.models.embeddings.embedding_file import read_vector
from transforms.storage.interface import NotFoundError
from transforms.storage.open_storage import storage_for

SCHEMA = pa.schema([("id", pa.string()), ("embedding", pa.list_(pa.float32()))])
"""Of the tables."""


def stored_embedding_uri(root: str, meta: Mapping[str, Any]) -> str | None:
    """Return where a clip's embedding lies by its metadata, None when it has none."""
    embedding = meta.get("embedding")
    if embedding is None:
        return None
    return embedding_uri(root, ALGORITHMS[embedding["algorithm"]].stem, meta["span_uuid"])


def read_embedding(root: str, meta: Mapping[str, Any]) -> NDArray[Any]:
    """Return the vector of a clip whose metadata names one.

    Raises:
        CurateError: The file is missing, or is not what the metadata says.
    """
    uri = stored_embedding_uri(root, meta)
    assert uri is not None
    try:
        vector = read_vector(storage_for(uri).read(uri))
    except NotFoundError as error:
        raise CurateError(f"{uri}: is missing; the clip's metadata names it") from error
    except ValueError as error:
        raise CurateError(f"{uri}: {error}") from error
    stated = meta["embedding"]
    if [vector.dtype.name, list(vector.shape)] != [stated["dtype"], list(stated["shape"])]:
        raise CurateError(
            f"{uri}: holds {vector.dtype} of shape {list(vector.shape)}, the clip's metadata says "
            f"{stated['dtype']} of shape {stated['shape']}"
        )
    return vector


def write_tables(
    root: str, chunk: tuple[str, int], metas: Iterable[Mapping[str, Any]], *, algorithm: str
) -> None:
    """Write the tables of a chunk, one per model, unless they are there.

    Args:
        root: Output root.
        chunk: The video's uuid and the chunk's number in it.
        metas: Metadata of the chunk's committed clips.
        algorithm: What this run embeds with; its table goes if no clip has a vector of it. Empty:
            this run makes none, and leaves alone what is there.

    Raises:
        CurateError: A vector that metadata names is not there.
    """
    vectors = embeddings_by_stem(root, metas)
    for stem, rows in vectors.items():
        uri, content = embedding_table_uri(root, stem, *chunk), table_bytes(rows)
        storage = storage_for(uri)
        if not storage.create_if_absent(uri, content) and storage.read(uri) != content:
            storage.write(uri, content)
    if algorithm and ALGORITHMS[algorithm].stem not in vectors:
        uri = embedding_table_uri(root, ALGORITHMS[algorithm].stem, *chunk)
        storage_for(uri).delete(uri)


Rows = dict[str, NDArray[Any]]
"""Clip to vector."""


def embeddings_by_stem(root: str, metas: Iterable[Mapping[str, Any]]) -> dict[str, Rows]:
    """Return folder to the vectors of the clips that have one."""
    found: dict[str, Rows] = {}
    for meta in metas:
        if "embedding" in meta:
            stem = ALGORITHMS[meta["embedding"]["algorithm"]].stem
            found.setdefault(stem, {})[meta["span_uuid"]] = read_embedding(root, meta)
    return found


def table_bytes(rows: Rows) -> bytes:
    """Return a table of vectors as Parquet, sorted by id; the same bytes for the same rows."""
    ids = sorted(rows)
    vectors = [rows[clip_id].astype(np.float32).ravel() for clip_id in ids]
    offsets = np.cumsum([0, *(len(vector) for vector in vectors)], dtype=np.int32)
    column = pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.concatenate(vectors)))
    table = pa.Table.from_arrays([pa.array(ids, pa.string()), column], schema=SCHEMA)
    file = io.BytesIO()
    pq.write_table(
        table, file, version="2.6", compression="snappy", use_dictionary=False, row_group_size=65536
    )
    return file.getvalue()


def read_table(content: bytes) -> Rows:
    """Return the rows of a table.

    Raises:
        ValueError: It is no table of embeddings.
    """
    try:
        table = pq.read_table(io.BytesIO(content))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"cannot be read as Parquet ({error})") from error
    if table.schema.names != SCHEMA.names:
        raise ValueError(f"has the columns {table.schema.names}, not {SCHEMA.names}")
    ids, vectors = table.column("id").to_pylist(), table.column("embedding").to_pylist()
    if len(set(ids)) != len(ids):
        raise ValueError("has two rows of the same clip")
    return {
        str(clip_id): np.array(vector, np.float32)
        for clip_id, vector in zip(ids, vectors, strict=True)
    }


def is_same(rows: Rows, expected: Rows) -> bool:
    """Return whether a table holds exactly these vectors."""
    flat = {clip_id: vector.astype(np.float32).ravel() for clip_id, vector in expected.items()}
    return rows.keys() == flat.keys() and all(
        np.array_equal(rows[clip_id], vector) for clip_id, vector in flat.items()
    )
