"""Close a run: check the ledger, write the summary, file the run's record."""

from __future__ import annotations

import dataclasses
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam

from transforms.clips.caption_files import write_caption_files
from transforms.clips.ledger import Ledger, read_ledger
from transforms.clips.selections import last_finished_run, selected_videos
from transforms.clips.summary import ChunkSums, run_fields, sum_up, write_summary
from transforms.errors import LedgerError
from transforms.json_files import create_json, read_json, read_json_if_there
from transforms.layout import (
    all_captions_uri,
    caption_quality_uri,
    current_run_uri,
    finished_run_uri,
    lease_uri,
    summary_uri,
)
from transforms.lease import raise_if_lost
from transforms.run_context import SCHEMA_VERSION, RunContext
from transforms.scratch import scratch_here
from transforms.storage.open_storage import storage_for

MISSING_SHOWN = 20
"""A false ledger names at most this many ids in its message; the count says how many there are."""


@dataclass(frozen=True)
class RunFacts:
    """What the summary says about this run."""

    started_at: float
    """Seconds since the epoch."""
    resolved: str
    """JSON object: option to what ``auto`` became and why."""
    embedding_algorithm: str
    all_captions: bool = True
    """Whether the file with the captions of all windows is written when there are captions."""
    is_wave: bool = False
    """Whether this is one wave of several: the summary is written behind the last one."""


def finish_run(_: Any, context: RunContext, facts: RunFacts) -> str:
    """Close the run and return its id, the signal on which ``curate`` goes on to shards.

    When no run is open it only writes a summary that is gone, so it may be called again.

    Raises:
        LeaseLostError: Another run has taken over the output.
        LedgerError: Something that was planned is neither committed nor failed.
    """
    raise_if_lost(lease_uri(context.root), context.run_id)
    current = read_json_if_there(current_run_uri(context.root))
    if current is None and facts.is_wave:
        return context.run_id
    if current is None:
        _restore_summary(context, facts)
        return context.run_id
    sums: dict[str, ChunkSums] = {}

    def see_chunks(rel: str, records: list[dict[str, Any]]) -> None:
        sums[rel] = sum_up(records)

    seen = None if facts.is_wave else see_chunks
    ledger = read_ledger(context.root, selected_videos(current), seen)
    raise_if_false(ledger)
    minutes = (time.time() - facts.started_at) / 60
    if not facts.is_wave:
        _write_summary(context, run_fields(current, minutes), facts, sums)
    _file_run(context, current, ledger, minutes)
    return context.run_id


def _restore_summary(context: RunContext, facts: RunFacts) -> None:
    """Write the summary of the last finished run again if somebody removed it."""
    if storage_for(context.root).exists(summary_uri(context.root)):
        return
    last = last_finished_run(context.root)
    if last is not None:
        _write_summary(context, run_fields(last, last["minutes"]), facts, {})


def _write_summary(
    context: RunContext, of_run: dict[str, Any], facts: RunFacts, sums: dict[str, ChunkSums]
) -> None:
    scratch = scratch_here(context.scratch)
    _write_captions(context, facts, scratch)
    options = {
        "embedding_algorithm": facts.embedding_algorithm,
        "resolved": json.loads(facts.resolved),
    }
    write_summary(context.root, {**of_run, **options}, sums, scratch=scratch)


def _write_captions(context: RunContext, facts: RunFacts, scratch: Path) -> None:
    root, makes = context.root, bool(context.captioning_algorithm)

    def is_wanted(uri: str, option: bool) -> bool:
        # What an earlier run wrote stays true: clips may have been turned down since.
        return (makes and option) or storage_for(uri).exists(uri)

    all_captions = is_wanted(all_captions_uri(root), facts.all_captions)
    stats = is_wanted(caption_quality_uri(root), context.caption_writing.stats)
    if all_captions or stats:
        write_caption_files(root, scratch, all_captions=all_captions, quality_stats=stats)


def raise_if_false(ledger: Ledger) -> None:
    """Raise LedgerError naming what is missing, if anything is."""
    if ledger.missing:
        names = ", ".join(ledger.missing[:MISSING_SHOWN])
        raise LedgerError(
            f"{len(ledger.missing)} of what was planned is neither committed nor failed: {names}; "
            "run the same command again to complete it"
        )


def _file_run(context: RunContext, current: dict[str, Any], ledger: Ledger, minutes: float) -> None:
    record = {
        **current,
        "schema_version": SCHEMA_VERSION,
        "minutes": minutes,
        "ledger": dataclasses.asdict(ledger),
    }
    number = 1
    while not create_json(finished_run_uri(context.root, number), record):
        # A run that died between its record and the end of current.json is filed already.
        if read_json(finished_run_uri(context.root, number))["run_id"] == current["run_id"]:
            break
        number += 1
    storage_for(context.root).delete(current_run_uri(context.root))


@dataclass
class FinishRun(beam.PTransform):
    """Close the run when everything before is done.

    Input: anything that ends when the chunks do. Output: exactly one signal element, the run's
    id. Hangs on a global combine, because grouping nothing would never fire. Idempotent.
    """

    context: RunContext
    facts: RunFacts

    def expand(self, chunks: beam.PCollection[int]) -> beam.PCollection[str]:
        """Attach the end of the run."""
        return (
            chunks
            | beam.combiners.Count.Globally()
            | beam.Map(finish_run, self.context, self.facts).with_output_types(str)
        )
