"""Write clips and their metadata, and commit chunks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from transforms.clips.chunk_tally import ChunkTally, commit_chunk
from transforms.clips.clip_state import has_committed
from transforms.clips.commit_clip import commit_clip, settle_committed
from transforms.clips.plan import read_plan
from transforms.failures import write_failure
from transforms.json_files import read_json_if_there
from transforms.layout import lease_uri, meta_uri
from transforms.lease import raise_if_lost
from transforms.progress import count, mark_first
from transforms.records import Clip, Failure
from transforms.run_context import RunContext

ChunkKey = tuple[str, int]
"""(plan URI, chunk index)."""


@dataclass
class WriteClips(beam.PTransform):
    """Commit clips and, when the last planned clip of a chunk is in, the chunk.

    Input: clips with their outcome; a chunk's clips come in one bundle unless fusion is broken.
    Output: the key of every chunk that is left open, for FinishChunks to repair; normally nothing.
    Writes clips, previews, metadata, failures and records; each is created only if absent.
    """

    context: RunContext

    def expand(self, clips: beam.PCollection[Clip]) -> beam.PCollection[ChunkKey]:
        """Attach the writer."""
        return clips | beam.ParDo(_WriteClips(self.context)).with_output_types(ChunkKey)


class _WriteClips(beam.DoFn):
    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._tallies: dict[ChunkKey, ChunkTally] = {}

    def start_bundle(self) -> None:
        self._tallies = {}

    def process(self, clip: Clip) -> None:
        started = time.monotonic()
        self._write(clip)
        count(self._context.progress_folder, seconds_of_write=time.monotonic() - started)

    def _write(self, clip: Clip) -> None:
        key = (clip.plan_uri, clip.chunk_index)
        if key not in self._tallies:
            self._tallies[key] = ChunkTally(read_plan(clip.plan_uri), clip.chunk_index)
        tally = self._tallies[key]
        raise_if_lost(lease_uri(self._context.root), self._context.run_id)
        _write(clip, tally, self._context)
        if tally.complete:
            commit_chunk(self._tallies.pop(key), self._context)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for key in self._tallies:
            yield WindowedValue(key, MIN_TIMESTAMP, (GlobalWindow(),))


def _write(clip: Clip, tally: ChunkTally, context: RunContext) -> None:
    if clip.outcome == "committed":
        tally.metas.append(settle_committed(clip.clip_id, context))
    elif clip.outcome == "no_frames":
        tally.without_frames[clip.clip_id] = dict(clip.notes).get("source_truncated", "")
    elif clip.failure is not None:
        _write_failed(clip, clip.failure, tally, context)
    else:
        meta = commit_clip(clip, tally.plan, context)
        tally.metas.append(meta)
        kept = "rejection" not in meta
        count(
            context.progress_folder,
            clips_written=int(kept),
            clips_rejected=int(not kept),
            bytes_written=meta["num_bytes"],
        )
        if kept:
            mark_first(context.progress_folder, "clip")


def _write_failed(clip: Clip, failure: Failure, tally: ChunkTally, context: RunContext) -> None:
    meta = read_json_if_there(meta_uri(context.root, clip.clip_id))
    if meta is not None and has_committed(meta, context):
        # Another worker made it meanwhile: a clip is committed or failed, never both.
        tally.metas.append(meta)
        return
    video, span = tally.plan.video, tally.plan.spans[clip.clip_index]
    write_failure(
        context,
        failure,
        element_id=clip.clip_id,
        source={
            "video": video.uri,
            "rel": video.rel,
            "duration_span": [span.start_seconds, span.end_seconds],
            "chunk_index": clip.chunk_index,
        },
    )
    tally.failures[clip.clip_id] = failure
