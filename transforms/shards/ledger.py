"""The ledger of a dataset: clips to pack are planned or dropped, planned samples are packed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from transforms.errors import LedgerError
from transforms.shards.dataset_state import read_state
from transforms.shards.layout import ShardName, dataset_uri
from transforms.shards.list_clip_records import list_clip_records, read_clip
from transforms.shards.options import DatasetRun, ShardSettings
from transforms.shards.part_plans import read_plans
from transforms.shards.rows import Rows
from transforms.shards.samples import sample_key
from transforms.shards.shard_commits import is_finished
from transforms.shards.shard_samples import ShardSample

SHOWN = 20
"""An error names at most this many ids; the count says how many there are."""


def raise_if_rows_are_missing(rows: Rows, *, settings: ShardSettings, run: DatasetRun) -> None:
    """Check, before a plan fixes which samples there are, that every clip to pack has arrived.

    Raises:
        LedgerError: Names the clips that have not.
    """
    waiting = list_clip_records(run).clip_ids - rows.clips()
    lost = list(_to_pack(waiting, settings=settings, run=run))
    if lost:
        raise LedgerError(_message(lost, "are to be packed and did not reach the planner", run))


def raise_if_samples_are_missing(
    arrived: Sequence[ShardSample], shard: ShardName, run: DatasetRun
) -> None:
    """Check that a shard's writer has got every sample of its plan, each once.

    Raises:
        LedgerError: Names those that it has not.
    """
    positions = [sample.position for sample in arrived]
    if positions == list(range(arrived[0].num_planned)):
        return
    lost = [
        key
        for plan in read_plans(run, arrived[0].generation)
        if (plan.bin_path, plan.part) == (shard.bin_path, shard.part)
        for position, key in enumerate(_keys(plan.shards[shard.index]))
        if positions.count(position) != 1
    ]
    raise LedgerError(
        _message(lost, f"of shard {shard.tar_name} did not reach its writer, or came twice", run)
    )


def raise_if_unfinished(run: DatasetRun, settings: ShardSettings) -> None:
    """Raise for a run whose end was never reached, though the runner says that it is done.

    Raises:
        LedgerError: Names clips in no plan, else shards that are not written.
    """
    state = read_state(run)
    generation = state.target if state else 0
    planned: set[str] = set()
    shards: list[ShardName] = []
    for plan in read_plans(run, generation):
        planned.update(sample[0] for shard in plan.shards for sample in shard)
        shards += [name for name in plan.names() if not is_finished(run, generation, name)]
    lost = [
        *_to_pack(list_clip_records(run).clip_ids - planned, settings=settings, run=run),
        *(f"{shard.bin_path}/{shard.tar_name}" for shard in shards),
    ]
    raise LedgerError(_message(lost, "are not in the dataset, whose end was not reached", run))


def _to_pack(clip_ids: Iterable[str], *, settings: ShardSettings, run: DatasetRun) -> Iterator[str]:
    """Yield the clips that give samples; rejected ones stand among those to pack at times."""
    for clip_id in sorted(clip_ids):
        if isinstance(read_clip(clip_id, settings, run), list):
            yield clip_id


def _keys(samples: Iterable[tuple[str, int, int, bool]]) -> list[str]:
    return [sample_key(clip, start, end, is_window=window) for clip, start, end, window in samples]


def _message(lost: Sequence[str], what: str, run: DatasetRun) -> str:
    names = ", ".join(lost[:SHOWN])
    return (
        f"{dataset_uri(run)}: {len(lost)} {what}: {names}; run the same command again to complete "
        "the dataset"
    )
