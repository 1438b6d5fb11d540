"""Commit chunks that broken fusion left open, from what lies in storage."""

from __future__ import annotations

from dataclasses import dataclass

import apache_beam as beam

from transforms.clips.chunk_tally import ChunkTally, commit_chunk
from transforms.clips.clip_state import read_clip_failure
from transforms.clips.plan import read_plan
from transforms.clips.write_clips import ChunkKey
from transforms.json_files import read_json_if_there
from transforms.layout import meta_uri
from transforms.run_context import RunContext


def finish_chunk(key: ChunkKey, context: RunContext) -> int:
    """Commit the chunk if everything planned in it is committed or failed; return 1 if it was."""
    plan_uri, chunk_index = key
    plan = read_plan(plan_uri)
    tally = ChunkTally(plan, chunk_index)
    for span in plan.chunk_spans(chunk_index):
        # A committed clip may fail at a stage turned on later: then it is failed.
        failure = read_clip_failure(span.clip_id, context)
        meta = read_json_if_there(meta_uri(context.root, span.clip_id))
        if failure is not None:
            tally.failures[span.clip_id] = failure
        elif meta is not None:
            tally.metas.append(meta)
    if not tally.complete:
        return 0
    commit_chunk(tally, context)
    return 1


@dataclass
class FinishChunks(beam.PTransform):
    """Repair chunks whose clips were written in several bundles.

    Input: keys of open chunks, possibly several times. Output: one number, the count of chunks
    repaired, also when there was nothing to do.
    """

    context: RunContext

    def expand(self, keys: beam.PCollection[ChunkKey]) -> beam.PCollection[int]:
        """Attach the repair."""
        return (
            keys
            | beam.Distinct()
            | beam.Map(finish_chunk, self.context).with_output_types(int)
            | beam.CombineGlobally(sum)
        )
