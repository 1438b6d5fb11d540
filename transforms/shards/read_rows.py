"""Sample rows of the clips to pack: from the files of earlier runs, or read from metadata.

What samples a clip gives follows from facts that do not change, so its metadata is read once: the
rows stay with their generation of the dataset, and ``--reshard`` reads everything anew.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from transforms.shards.changed_files import write_bytes_if_changed
from transforms.shards.dataset_state import begin
from transforms.shards.layout import rows_folder
from transforms.shards.list_clip_records import UNREADABLE, list_clip_records, read_clip
from transforms.shards.options import DatasetRun, ShardSettings
from transforms.shards.rows import Rows
from transforms.shards.samples import Dropped, Sample
from transforms.storage.ahead import read_ahead
from transforms.storage.interface import StorageError
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import join

BATCH_SIZE = 1000
"""Clips per batch: one element, one file of rows."""


@dataclass(frozen=True, slots=True)
class ClipBatch:
    """Clips whose metadata is to be read, sorted by id."""

    clip_ids: tuple[str, ...]
    folder: str
    """Where their rows go."""


@dataclass(frozen=True, slots=True)
class RowsFile:
    """Rows of one batch of this run or of an earlier one."""

    uri: str
    """Where they lie; empty when there are none."""
    left_out: tuple[str, ...] = ()
    """Clips in it that are not to be packed, or come from another file."""
    dropped: tuple[Dropped, ...] = ()
    """Clips that could not be read; they are in no file, so that the next run tries again."""

    def load(self) -> Rows:
        """Return the rows to pack."""
        dropped = Rows.of([], self.dropped)
        if not self.uri:
            return dropped
        rows = load_rows(self.uri).of_others(self.left_out)
        return Rows.joined([rows, dropped])


def load_rows(uri: str) -> Rows:
    """Return the rows of a file. Raises StorageError when it holds none."""
    try:
        return Rows.load(storage_for(uri).read(uri))
    except ValueError as error:
        raise StorageError(
            f"{uri}: is no file of sample rows ({error}); remove it, and they are read again"
        ) from error


def list_rows(run: DatasetRun, settings: ShardSettings) -> Iterator[RowsFile | ClipBatch]:
    """Yield files of rows that are there and batches of clips that are in none; at least one.

    Every clip to pack is in exactly one of them. Stores the dataset's state: it names the
    generation that the rows belong to.

    Raises:
        PreflightError: The dataset was begun by another program, or with another layout.
    """
    folder = rows_folder(run, begin(run, settings).target, settings)
    records = list_clip_records(run)
    waiting = records.clip_ids
    if records.kept_for_sure and not run.is_wave:
        for found in storage_for(folder).list(folder):
            known = load_rows(found.uri).clips()
            yield RowsFile(found.uri, tuple(sorted(known - waiting)))
            waiting -= known
    clip_ids = sorted(waiting)
    # The empty batch keeps the steps behind going: a GroupByKey on nothing never fires.
    for start in range(0, max(len(clip_ids), 1), BATCH_SIZE):
        yield ClipBatch(tuple(clip_ids[start : start + BATCH_SIZE]), folder)


def read_rows(batch: ClipBatch, *, settings: ShardSettings, run: DatasetRun) -> RowsFile:
    """Store the sample rows of a batch below the dataset's work folder; return where they lie.

    Called again for the same batch it writes the same file; no other batch writes that file.
    """
    samples: list[Sample] = []
    dropped: list[Dropped] = []
    read = functools.partial(read_clip, settings=settings, run=run)
    for found in read_ahead(read, batch.clip_ids, run.input_root):
        if isinstance(found, Dropped):
            dropped.append(found)
        elif found is not None:
            samples += found
    unreadable = tuple(clip for clip in dropped if clip.reason in UNREADABLE)
    for_good = [clip for clip in dropped if clip.reason not in UNREADABLE]
    if not samples and not for_good:
        return RowsFile("", dropped=unreadable)
    uri = join(batch.folder, f"{_name(batch.clip_ids)}.npz")
    write_bytes_if_changed(uri, Rows.of(samples, for_good).save())
    return RowsFile(uri, dropped=unreadable)


def _name(clip_ids: Sequence[str]) -> str:
    # Foreign ids may hold what UTF-8 cannot.
    text = "\n".join(clip_ids).encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest()[:16]
