"""Which clips the dedup pipeline found to be duplicates (contract §2.3)."""

from __future__ import annotations

import io
import logging

import numpy as np
from pyarrow import ArrowException, parquet

from transforms.storage.interface import StorageError
from transforms.storage.open_storage import storage_for
from transforms.storage.plain_names import one_line
from transforms.storage.uris import join

_logger = logging.getLogger(__name__)


def duplicate_ids(path: str, *, epsilon: float) -> np.ndarray:
    """Return the ids of clips to leave out, as bytes strings, sorted and unique.

    The parquet files at or below ``extraction/unique_ids_{epsilon}.parquet`` list them, despite
    the name. Without any, all rows of ``extraction/semdedup_pruning_tables`` with a
    ``cosine_sim_score`` of at least ``1 - epsilon`` do.

    Args:
        path: Output root of dedup.
        epsilon: At least 0.
    """
    listed = join(path, "extraction", f"unique_ids_{epsilon_name(epsilon)}.parquet")
    tables = _parquet_files(listed)
    if tables:
        return np.unique(np.concatenate([_ids(uri, None) for uri in tables]))
    tables = _parquet_files(join(path, "extraction", "semdedup_pruning_tables"))
    if not tables:
        _logger.warning("%s holds no dedup tables (parquet): no clip is left out", path)
        return np.array([], "S1")
    return np.unique(np.concatenate([_ids(uri, 1 - epsilon) for uri in tables]))


def epsilon_name(epsilon: float) -> str:
    """Return an epsilon as dedup writes it into file names.

    Example:
        >>> epsilon_name(0.01), epsilon_name(0.00001)
        ('0.01', '0.00001')
    """
    return f"{epsilon:.5f}".rstrip("0").rstrip(".")


def _parquet_files(uri: str) -> list[str]:
    storage = storage_for(uri)
    if storage.exists(uri):
        return [uri]
    return [found.uri for found in storage.list(uri) if found.uri.endswith(".parquet")]


def _ids(uri: str, least_similarity: float | None) -> np.ndarray:
    data = storage_for(uri).read(uri)
    try:
        table = parquet.read_table(io.BytesIO(data))
        if least_similarity is not None:
            similarity = table.column("cosine_sim_score").to_numpy()
            table = table.filter(similarity >= least_similarity)
        values = table.column("id").to_pylist()
    except (ArrowException, KeyError, TypeError, ValueError, OSError) as error:
        needed = "id" if least_similarity is None else "id and cosine_sim_score"
        raise StorageError(
            f"{uri}: needed a parquet table of dedup with {needed}, got: {one_line(str(error))}"
        ) from error
    identifiers = [str(value).encode() for value in values]
    return np.array(identifiers) if identifiers else np.array([], "S1")
