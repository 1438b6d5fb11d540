"""Commit chunks that broken fusion left open, from what lies in storage."""

from __future__ import annotations

from dataclasses import dataclass

import apache_beam as beam

from transforms.clips.chunk_tally import commit_chunk, stored_tally
from transforms.clips.plan import read_plan
from transforms.clips.write_clips import ChunkKey
from transforms.run_context import RunContext


def finish_chunk(key: ChunkKey, context: RunContext) -> int:
    """Commit the chunk if everything planned in it is committed or failed; return 1 if it was."""
    plan_uri, chunk_index = key
    tally = stored_tally(read_plan(plan_uri), chunk_index, context)
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
