"""Embeddings as files: the pickles, which we never unpickle, and the tables."""

from __future__ import annotations

import io
import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.clips.embedding_files import (
    is_same,
    read_embedding,
    read_table,
    table_bytes,
    write_tables,
)
from transforms.errors import CurateError
from transforms.layout import embedding_table_uri, embedding_uri
from transforms.models.embeddings.embedding_file import read_vector, vector_bytes

IDS = [f"0000000{n}-0000-4000-8000-000000000000" for n in range(3)]


def vector(dimensions: int = 5, dtype: str = "float32", *, flat: bool = False) -> np.ndarray:
    values = np.random.default_rng(dimensions).normal(size=dimensions).astype(dtype)
    return values if flat else values[None]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("dimensions", [1, 255, 256, 512, 3072])
def test_python_reads_what_we_write(dtype: str, flat: bool, dimensions: int) -> None:
    written = vector(dimensions, dtype, flat=flat)
    content = vector_bytes(written)
    assert content[:2] == b"\x80\x03", "protocol 3"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = pickle.loads(content)
    for read in (found, read_vector(content)):
        assert type(read) is np.ndarray
        assert (read.dtype, read.shape) == (written.dtype, written.shape)
        assert read.tobytes() == written.tobytes()


@given(st.binary(max_size=200), st.integers(0, 400), st.integers(1, 255))
def test_a_changed_file_is_refused_or_is_another_vector(
    tail: bytes, place: int, change: int
) -> None:
    content = bytearray(vector_bytes(vector(64)))
    place %= len(content)
    content[place] ^= change
    try:
        found = read_vector(bytes(content))
    except ValueError:
        pass
    else:
        # Only the numbers themselves may differ.
        assert vector_bytes(found) == bytes(content)
        assert found.shape == (1, 64)
    with pytest.raises(ValueError, match="no embedding"):
        read_vector(bytes(content) + b"." + tail)


class Evil:
    """Writes a file when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, ("touch unpickled",)


def test_what_others_wrote_is_never_unpickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    others = [pickle.dumps(Evil()), pickle.dumps(vector()), pickle.dumps([1.0]), b"", b"\x80\x03."]
    for content in others:
        with pytest.raises(ValueError, match="no embedding that this program wrote"):
            read_vector(content)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong", [np.zeros((2, 3), np.float32), np.zeros((1, 3)), np.zeros((1, 0), np.float32)]
)
def test_only_vectors_are_written(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"of shape \(D,\) or \(1, D\)"):
        vector_bytes(wrong)


def test_a_table_is_sorted_and_the_same_for_the_same_rows() -> None:
    rows = {clip_id: vector(4, "float16") * number for number, clip_id in enumerate(IDS)}
    content = table_bytes(rows)
    assert content == table_bytes(dict(reversed(rows.items())))
    table = pq.read_table(io.BytesIO(content))
    assert table.schema.names == ["id", "embedding"]
    assert table.column("id").to_pylist() == IDS
    assert table.column("embedding").to_pylist() == [row.ravel().tolist() for row in rows.values()]
    assert is_same(read_table(content), rows)
    assert not is_same(read_table(content), {**rows, IDS[0]: vector(4)})
    assert not is_same(read_table(content), {IDS[0]: rows[IDS[0]]})
    for broken in (b"", content[:100], content[:-20] + b"x" * 20):
        with pytest.raises(ValueError, match="Parquet"):
            read_table(broken)


def stored(root: Path, clip_id: str, algorithm: str = "clip") -> dict[str, Any]:
    """Store a vector and return the clip's metadata."""
    stem = {"clip": "clip_embd", "siglip2": "siglip2_embd"}[algorithm]
    path = Path(embedding_uri(str(root), stem, clip_id))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(vector_bytes(vector()))
    embedding = {"algorithm": algorithm, "dtype": "float32", "shape": [1, 5]}
    return {"span_uuid": clip_id, "embedding": embedding}


def test_tables_of_a_chunk_hold_what_is_stored(tmp_path: Path) -> None:
    root, chunk = str(tmp_path), ("video", 2)
    metas = [stored(tmp_path, IDS[1]), stored(tmp_path, IDS[0]), {"span_uuid": IDS[2]}]
    write_tables(root, chunk, metas, algorithm="clip")
    path = Path(embedding_table_uri(root, "clip_embd", *chunk))
    assert path == tmp_path / "clip_embd_parquet" / "video_2.parquet"
    assert list(read_table(path.read_bytes())) == IDS[:2]
    # A clip less: the table is replaced. None: it goes.
    write_tables(root, chunk, metas[1:], algorithm="clip")
    assert list(read_table(path.read_bytes())) == IDS[:1]
    write_tables(root, chunk, [stored(tmp_path, IDS[0], "siglip2")], algorithm="siglip2")
    assert path.exists(), "what another model gave is left alone"
    write_tables(root, chunk, metas[2:], algorithm="clip")
    assert not path.exists()
    assert (tmp_path / "siglip2_embd_parquet" / "video_2.parquet").exists()


def test_a_vector_that_is_not_what_metadata_says_is_named(tmp_path: Path) -> None:
    meta = stored(tmp_path, IDS[0])
    assert read_embedding(str(tmp_path), meta).shape == (1, 5)
    path = tmp_path / "clip_embd" / f"{IDS[0]}.pickle"
    path.write_bytes(vector_bytes(vector(6)))
    with pytest.raises(CurateError, match=r"holds float32 of shape \[1, 6\].*says float32"):
        read_embedding(str(tmp_path), meta)
    path.write_bytes(pickle.dumps(vector()))
    with pytest.raises(CurateError, match="is no embedding that this program wrote"):
        read_embedding(str(tmp_path), meta)
    path.unlink()
    with pytest.raises(CurateError, match="is missing; the clip's metadata names it"):
        read_embedding(str(tmp_path), meta)
