"""Sample rows as numpy columns: what the planner holds of millions of samples."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from transforms.shards.samples import Dropped, Sample
from transforms.storage.plain_names import is_plain_name


@dataclass(frozen=True, slots=True)
class Rows:
    """Columns over samples, shape (N,) each, and over dropped clips, shape (M,) each."""

    clip_id: np.ndarray
    """Bytes strings."""
    start_frame: np.ndarray
    """int32."""
    end_frame: np.ndarray
    """int32, half-open."""
    is_window: np.ndarray
    """bool."""
    num_bytes: np.ndarray
    """int64."""
    bin_path: np.ndarray
    """Bytes strings."""
    dropped_id: np.ndarray
    """Bytes strings."""
    dropped_reason: np.ndarray
    """Bytes strings."""

    @classmethod
    def of(cls, samples: Sequence[Sample], dropped: Sequence[Dropped]) -> Rows:
        """Return samples and dropped clips as columns."""
        return cls(
            clip_id=_strings([sample.clip_id for sample in samples]),
            start_frame=np.array([sample.start_frame for sample in samples], np.int32),
            end_frame=np.array([sample.end_frame for sample in samples], np.int32),
            is_window=np.array([sample.is_window for sample in samples], np.bool_),
            num_bytes=np.array([sample.num_bytes for sample in samples], np.int64),
            bin_path=_strings([sample.bin_path for sample in samples]),
            dropped_id=_strings([clip.clip_id for clip in dropped]),
            dropped_reason=_strings([clip.reason for clip in dropped]),
        )

    @classmethod
    def joined(cls, parts: Sequence[Rows]) -> Rows:
        """Return the rows of all parts; ``parts`` must not be empty."""
        return cls(
            **{
                field.name: np.concatenate([getattr(part, field.name) for part in parts])
                for field in fields(cls)
            }
        )

    @classmethod
    def load(cls, data: bytes) -> Rows:
        """Return what ``save`` returned as rows; nothing is unpickled.

        Raises:
            ValueError: The bytes are something else, or name what cannot be a path.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as columns:
                rows = cls(**{field.name: columns[field.name] for field in fields(cls)})
        except (OSError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(str(error)) from error
        rows._check()
        return rows

    def _check(self) -> None:
        """Raise ``ValueError`` unless the columns are of one length, type and plain names."""
        for names, kinds in ((_SAMPLE_COLUMNS, "SiibiS"), (_DROPPED_COLUMNS, "SS")):
            columns = [getattr(self, name) for name in names]
            if any(column.shape != columns[0].shape or column.ndim != 1 for column in columns):
                raise ValueError("columns differ in length")
            if "".join(column.dtype.kind for column in columns) != kinds:
                raise ValueError("a column has another type")
        bins = {part for path in np.unique(self.bin_path).tolist() for part in path.split(b"/")}
        for name in (*np.unique(self.clip_id).tolist(), *bins):
            if not is_plain_name(name.decode("ascii", "replace")):
                raise ValueError(f"{name[:100]!r} is no clip and no bin")

    def save(self) -> bytes:
        """Return the rows as the bytes of an npz file."""
        buffer = io.BytesIO()
        np.savez(buffer, **{field.name: getattr(self, field.name) for field in fields(self)})
        return buffer.getvalue()

    def without(self, mask: np.ndarray, reason: str) -> Rows:
        """Return the rows without the samples in ``mask``, their clips dropped for ``reason``."""
        gone = np.unique(self.clip_id[mask])
        kept = self.take(~mask)
        return Rows(
            **{name: getattr(kept, name) for name in _SAMPLE_COLUMNS},
            dropped_id=np.concatenate([self.dropped_id, gone]),
            dropped_reason=np.concatenate(
                [self.dropped_reason, np.full(len(gone), reason.encode())]
            ),
        )

    def clips(self) -> set[str]:
        """Return the ids of all clips, those that give no sample included."""
        ids = np.concatenate([self.clip_id, self.dropped_id])
        return {clip_id.decode() for clip_id in np.unique(ids).tolist()}

    def of_others(self, clip_ids: Sequence[str]) -> Rows:
        """Return the rows without these clips."""
        if not clip_ids:
            return self
        gone = _strings(clip_ids)
        rows, dropped = self.take(~np.isin(self.clip_id, gone)), ~np.isin(self.dropped_id, gone)
        return replace(
            rows,
            dropped_id=rows.dropped_id[dropped],
            dropped_reason=rows.dropped_reason[dropped],
        )

    def take(self, selection: np.ndarray) -> Rows:
        """Return the selected samples (mask or indices); dropped clips stay."""
        return Rows(
            **{name: getattr(self, name)[selection] for name in _SAMPLE_COLUMNS},
            dropped_id=self.dropped_id,
            dropped_reason=self.dropped_reason,
        )

    def sample(self, index: int) -> Sample:
        """Return one sample."""
        return Sample(
            clip_id=self.clip_id[index].decode(),
            start_frame=int(self.start_frame[index]),
            end_frame=int(self.end_frame[index]),
            is_window=bool(self.is_window[index]),
            num_bytes=int(self.num_bytes[index]),
            bin_path=self.bin_path[index].decode(),
        )


_DROPPED_COLUMNS = ("dropped_id", "dropped_reason")
_SAMPLE_COLUMNS = ("clip_id", "start_frame", "end_frame", "is_window", "num_bytes", "bin_path")


def _strings(values: Sequence[str]) -> np.ndarray:
    # "S1" for an empty column: numpy would make it a float column.
    encoded = [value.encode() for value in values]
    return np.array(encoded) if encoded else np.array([], "S1")
