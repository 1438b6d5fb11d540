"""The shard half of the program, from committed clips to a finished dataset."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam

from transforms.progress import count
from transforms.shards.finish_dataset import DatasetSummary, finish_dataset
from transforms.shards.options import DatasetRun, ShardSettings
from transforms.shards.plan_shards import plan_shards
from transforms.shards.read_rows import ClipBatch, RowsFile, list_rows, read_rows
from transforms.shards.shard_samples import ShardKey, ShardSample
from transforms.shards.write_shards import WrittenShard, write_shard

_ALL = "all"
"""The one key of groups that everything of a run belongs to."""


@dataclass
class ShardClips(beam.PTransform):
    """Pack the kept clips of a split output into WebDataset shards.

    Input: one element of any value; it says that the clips are there. Output: one DatasetSummary.
    The samples of an unfinished shard are one group; nothing but small records is shuffled. A
    shard that is finished is not touched, and a run with nothing to do rewrites nothing.
    Raises PreflightError when the dataset root belongs to something else (see ``check_dataset``)
    and LedgerError when a planned shard was not written.
    """

    settings: ShardSettings
    run: DatasetRun

    def expand(self, signal: beam.PCollection[Any]) -> beam.PCollection[DatasetSummary]:
        """Attach the steps."""
        return (
            signal
            | "ListRows"
            >> beam.FlatMap(functools.partial(_list, settings=self.settings, run=self.run))
            | "SpreadReading" >> beam.Reshuffle()
            | "ReadRows"
            >> beam.Map(functools.partial(_keyed_rows, settings=self.settings, run=self.run))
            | "GatherRows" >> beam.GroupByKey()
            | "PlanShards"
            >> beam.FlatMap(functools.partial(_plan, settings=self.settings, run=self.run))
            | "GroupByShard" >> beam.GroupByKey()
            | "WriteShards"
            >> beam.Map(functools.partial(_keyed_shard, settings=self.settings, run=self.run))
            | "GatherShards" >> beam.GroupByKey()
            | "FinishDataset"
            >> beam.Map(functools.partial(_finish, settings=self.settings, run=self.run))
        )


def _list(_: Any, *, settings: ShardSettings, run: DatasetRun) -> Iterator[RowsFile | ClipBatch]:
    return list_rows(run, settings)


def _keyed_rows(
    rows: RowsFile | ClipBatch, *, settings: ShardSettings, run: DatasetRun
) -> tuple[str, RowsFile]:
    if isinstance(rows, ClipBatch):
        rows = read_rows(rows, settings=settings, run=run)
    return _ALL, rows


def _plan(
    group: tuple[str, Iterable[RowsFile]], *, settings: ShardSettings, run: DatasetRun
) -> Iterator[tuple[ShardKey, ShardSample | None]]:
    return plan_shards(group[1], settings=settings, run=run)


def _keyed_shard(
    group: tuple[ShardKey, Iterable[ShardSample | None]],
    *,
    settings: ShardSettings,
    run: DatasetRun,
) -> tuple[str, WrittenShard]:
    started = time.monotonic()
    written = write_shard(group, settings=settings, run=run)
    count(run.progress_folder, seconds_of_shard=time.monotonic() - started)
    return _ALL, written


def _finish(
    group: tuple[str, Iterable[WrittenShard]], *, settings: ShardSettings, run: DatasetRun
) -> DatasetSummary:
    return finish_dataset(group[1], settings=settings, run=run)
