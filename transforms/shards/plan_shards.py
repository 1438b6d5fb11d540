"""Divide samples among shards, once and for good."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from transforms.faults import kill_at
from transforms.json_files import read_json_if_there
from transforms.run_context import SCHEMA_VERSION
from transforms.shards.changed_files import write_if_changed
from transforms.shards.dataset_state import begin
from transforms.shards.dedup_filter import duplicate_ids
from transforms.shards.layout import work_uri
from transforms.shards.ledger import raise_if_rows_are_missing
from transforms.shards.options import DatasetRun, ShardSettings
from transforms.shards.part_plans import PartPlan, PlannedSample, read_plans, used_parts, write_plan
from transforms.shards.read_rows import RowsFile
from transforms.shards.rows import Rows
from transforms.shards.shard_commits import is_finished
from transforms.shards.shard_samples import CLOSING_KEY, ShardKey, ShardSample, shard_key
from transforms.storage.uris import join

MAX_SAMPLES_PER_SHARD = 100_000
"""Most samples of a shard: some runners hold a key's values as one list."""


def fill_shards(num_bytes: Sequence[int] | np.ndarray, *, target_bytes: int) -> list[int]:
    """Return where shards end when samples are filled in in order.

    A shard ends before the sample that would take it above ``target_bytes``; a larger sample gets
    its own (contract §2.5).

    Example:
        >>> fill_shards([2, 1, 2, 1, 1], target_bytes=3)
        [2, 4, 5]
    """
    ends: list[int] = []
    begin_at, filled = 0, 0
    for index, size in enumerate(np.asarray(num_bytes).tolist()):
        too_many = index - begin_at >= MAX_SAMPLES_PER_SHARD
        if index > begin_at and (filled + size > target_bytes or too_many):
            ends.append(index)
            begin_at, filled = index, 0
        filled += size
    if len(num_bytes):
        ends.append(len(num_bytes))
    return ends


def drop_small_end(ends: list[int], *, min_samples: int) -> list[int]:
    """Return the shard ends without the last shard when it has fewer than ``min_samples``.

    Example:
        >>> drop_small_end([2, 4, 5], min_samples=2)
        [2, 4]
    """
    start = ends[-2] if len(ends) > 1 else 0
    return ends[:-1] if ends and ends[-1] - start < min_samples else ends


def plan_shards(
    rows_files: Iterable[RowsFile], *, settings: ShardSettings, run: DatasetRun
) -> Iterator[tuple[ShardKey, ShardSample | None]]:
    """Plan what no plan holds yet; yield the samples of every shard that is not finished.

    Plans are stored before anything is yielded, so before the first tar is written. The last
    element is ``(CLOSING_KEY, None)``.

    Raises:
        LedgerError: Rows of clips that are to be packed have not arrived.
    """
    state = begin(run, settings)
    rows = _read_rows(rows_files)
    raise_if_rows_are_missing(rows, settings=settings, run=run)
    if settings.dedup_path is not None:
        removed = duplicate_ids(settings.dedup_path, epsilon=settings.dedup_epsilon)
        rows = rows.without(np.isin(rows.clip_id, removed), "duplicate")
    rows = _without_planned(rows, read_plans(run, state.target))
    rows = _plan_new(rows, run=run, settings=settings, generation=state.target)
    _store_dropped(rows, run)
    kill_at("shards_planned")
    for plan in read_plans(run, state.target):
        yield from _open_samples(plan, run, state.target)
    yield CLOSING_KEY, None


def dropped_file(run: DatasetRun) -> str:
    """Return where the planner leaves the clips that are in no shard."""
    return join(work_uri(run), "dropped.json")


def _read_rows(rows_files: Iterable[RowsFile]) -> Rows:
    ordered = sorted(rows_files, key=lambda file: (file.uri, file.dropped))
    return Rows.joined([file.load() for file in ordered])


def _without_planned(rows: Rows, plans: Iterable[PartPlan]) -> Rows:
    """Return the rows that no plan holds; of the plans one is in memory at a time."""
    clips, codes = np.unique(rows.clip_id, return_inverse=True)
    keys = _keys(codes, rows.start_frame, rows.end_frame)
    order = np.argsort(keys)
    keys = keys[order]
    is_planned = np.zeros(len(keys), np.bool_)
    for plan in plans:
        samples = list(itertools.chain.from_iterable(plan.shards))
        ids = np.array([sample[0].encode() for sample in samples] or [b""])
        frames = np.array([sample[1:3] for sample in samples] or [(0, 0)])
        codes, is_known = _places(clips, ids)
        places, is_row = _places(keys, _keys(codes, frames[:, 0], frames[:, 1]))
        is_planned[order[places[is_known & is_row]]] = True
    return rows.take(~is_planned) if is_planned.any() else rows


def _keys(codes: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return numbers of clips and frames as bytes strings of one length that sort."""
    keys = np.zeros(len(codes), [("code", ">u8"), ("start", ">u4"), ("end", ">u4")])
    keys["code"], keys["start"], keys["end"] = codes, starts, ends
    return keys.view("S16")


def _places(sorted_values: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where each wanted value stands, and whether it does."""
    if not len(sorted_values):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), np.bool_)
    places = np.minimum(np.searchsorted(sorted_values, wanted), len(sorted_values) - 1)
    return places, sorted_values[places] == wanted


def _plan_new(rows: Rows, *, run: DatasetRun, settings: ShardSettings, generation: int) -> Rows:
    """Plan all rows into new parts; return them with what is left out listed as dropped."""
    order = np.lexsort((rows.start_frame, rows.clip_id, rows.bin_path))
    rows = rows.take(order)
    left_out = np.zeros(len(rows.clip_id), np.bool_)
    following = used_parts(run)
    bins, starts = np.unique(rows.bin_path, return_index=True)
    bin_ends = np.append(starts, len(rows.clip_id))[1:]
    for name, start, end in zip(bins, starts, bin_ends, strict=True):
        ends = fill_shards(rows.num_bytes[start:end], target_bytes=settings.target_tar_bytes)
        if settings.drop_small_shards:
            ends = drop_small_end(ends, min_samples=settings.min_clips_per_tar)
        left_out[start + (ends[-1] if ends else 0) : end] = True
        bin_path = name.decode()
        shards = _planned(rows, int(start), ends)
        size = settings.max_tars_per_part
        for part, first in enumerate(range(0, len(shards), size), following.get(bin_path, 0)):
            plan = PartPlan(bin_path, part, tuple(shards[first : first + size]))
            write_plan(run, generation, plan)
    return rows.without(left_out, "small_shard")


def _planned(rows: Rows, offset: int, ends: list[int]) -> list[tuple[PlannedSample, ...]]:
    shards = []
    for start, end in itertools.pairwise([0, *ends]):
        samples = [rows.sample(offset + index) for index in range(start, end)]
        shards.append(
            tuple((one.clip_id, one.start_frame, one.end_frame, one.is_window) for one in samples)
        )
    return shards


def _store_dropped(rows: Rows, run: DatasetRun) -> None:
    by_reason: dict[str, list[str]] = {}
    for clip_id, reason in zip(rows.dropped_id.tolist(), rows.dropped_reason.tolist(), strict=True):
        by_reason.setdefault(reason.decode(), []).append(clip_id.decode())
    content = {reason: sorted(set(clips)) for reason, clips in by_reason.items()}
    if run.is_wave:
        # What the clips of other waves were left out for is told behind the last one.
        stored = read_json_if_there(dropped_file(run)) or {"dropped": {}}
        content = {**stored["dropped"], **content}
    write_if_changed(dropped_file(run), {"schema_version": SCHEMA_VERSION, "dropped": content})


def _open_samples(
    plan: PartPlan, run: DatasetRun, generation: int
) -> Iterator[tuple[ShardKey, ShardSample]]:
    for shard, samples in zip(plan.names(), plan.shards, strict=True):
        if is_finished(run, generation, shard):
            continue
        key = shard_key(shard)
        for position, (clip_id, start, end, window) in enumerate(samples):
            yield (
                key,
                ShardSample(position, clip_id, start, end, window, generation, len(samples)),
            )
