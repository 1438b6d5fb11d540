"""Group a video's spans into chunks and runs and write the plan before anything is cut."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import apache_beam as beam
import numpy as np

from transforms.clips.chunking import Chunking
from transforms.clips.plan import (
    Plan,
    chunk_ranges,
    make_plan,
    plan_to_json,
    read_plan,
    run_ranges,
)
from transforms.clips.source_identity import source_identity
from transforms.clips.video_record import video_record
from transforms.errors import MediaError
from transforms.failures import skip_failed
from transforms.faults import kill_at
from transforms.json_files import create_json
from transforms.layout import chunk_record_uri, plan_uri, video_record_uri
from transforms.media.probe import keyframe_pts
from transforms.progress import count
from transforms.records import CutRun, SplitVideo
from transforms.run_context import RunContext
from transforms.storage.interface import StorageError
from transforms.storage.open_storage import storage_for


def plan_video(split: SplitVideo, config: Chunking, context: RunContext) -> Plan:
    """Return the video's plan; one that is already written stands.

    Raises:
        MediaError: The source cannot be read.
    """
    uri = plan_uri(context.root, split.video.video_uuid)
    if not storage_for(uri).exists(uri):
        create_json(uri, plan_to_json(_new_plan(split, config, context)))
        kill_at("planned", split.video.rel)
    return read_plan(uri)


def _new_plan(split: SplitVideo, config: Chunking, context: RunContext) -> Plan:
    durations = [span.end_seconds - span.start_seconds for span in split.spans]
    chunks = chunk_ranges(durations, config.clip_re_chunk_size)
    try:
        entries = entry_keyframes(split, chunks)
        identity = source_identity(split.video.uri)
    except StorageError as error:
        raise MediaError("unreadable", str(error)) from error
    return make_plan(
        split,
        source_identity=identity,
        chunks=chunks,
        runs=run_ranges(entries),
        spans_fingerprint=context.spans_fingerprint,
    )


def entry_keyframes(split: SplitVideo, chunks: list[tuple[int, int]]) -> list[int]:
    """Return for each chunk the number of the keyframe its decoding starts from.

    Only a schedule: whoever cuts finds the entry keyframe again in the packets themselves.

    Raises:
        MediaError: The container's index cannot be read.
        StorageError: The source cannot be read.
    """
    facts = split.facts
    if not facts.has_keyframe_index or len(chunks) < 2:
        return [0] * len(chunks)
    with storage_for(split.video.uri).open_seekable(split.video.uri) as file:
        keyframes = keyframe_pts(file, facts)
    starts = [facts.first_pts + split.spans[first].start / facts.time_base for first, _ in chunks]
    return [
        max(0, int(np.searchsorted(keyframes, int(start), side="right")) - 1) for start in starts
    ]


@dataclass
class PlanChunks(beam.PTransform):
    """Write each video's plan and emit its runs.

    Input: split videos. Output: one CutRun per run of chunks that share an entry keyframe.
    ``.work/plans/{video}.json`` is written before anything is emitted: what is lost behind this
    point shows against it. A video without spans gets its record here and emits nothing.
    """

    config: Chunking
    context: RunContext

    def expand(self, videos: beam.PCollection[SplitVideo]) -> beam.PCollection[CutRun]:
        """Attach the planning."""
        config, context = self.config, self.context
        return (
            videos
            | beam.FlatMap(
                skip_failed("plan", lambda split: _planned(split, config, context), context)
            ).with_output_types(_Planned)
            | "EmitRuns" >> beam.FlatMap(_emit_runs, context).with_output_types(CutRun)
        )


@dataclass(frozen=True)
class _Planned:
    plan: Plan
    source_uri: str
    """Where the video lies now; a plan that stood may name the place it was moved from."""


def _planned(split: SplitVideo, config: Chunking, context: RunContext) -> _Planned:
    return _Planned(plan_video(split, config, context), split.video.uri)


def _emit_runs(planned: _Planned, context: RunContext) -> Iterator[CutRun]:
    plan = planned.plan
    count(
        context.progress_folder,
        clips_planned=len(plan.spans),
        seconds_planned=sum(span.end_seconds - span.start_seconds for span in plan.spans),
    )
    # Without clips there is no chunk 0 to write the record with; and where chunk 0 is done but the
    # record was lost, nobody else writes it.
    rel = plan.video.rel
    if not plan.spans or storage_for(context.root).exists(chunk_record_uri(context.root, rel, 0)):
        create_json(video_record_uri(context.root, rel), video_record(plan))
    uri = plan_uri(context.root, plan.video.video_uuid)
    for index in range(len(plan.runs)):
        yield CutRun(uri, rel, index, planned.source_uri)
