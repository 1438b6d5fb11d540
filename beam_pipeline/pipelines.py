"""The graphs: each reads top to bottom as the list of its stages."""

from __future__ import annotations

import apache_beam as beam

from beam_pipeline.config import CurateConfig, ShardConfig, SplitConfig
from beam_pipeline.prepare import PreparedShard, PreparedSplit
from transforms.clips.cut_chunks import CutChunks
from transforms.clips.finish_chunks import FinishChunks
from transforms.clips.finish_run import FinishRun
from transforms.clips.plan_chunks import PlanChunks
from transforms.clips.write_clips import WriteClips
from transforms.filters.motion import FilterMotion
from transforms.ingest.probe_videos import ProbeVideos
from transforms.ingest.select_videos import ListVideos
from transforms.shards.shard_clips import DatasetSummary, ShardClips
from transforms.shots.fixed_stride import SplitFixedStride


def split(
    root: beam.Pipeline, config: SplitConfig | CurateConfig, prepared: PreparedSplit
) -> beam.PCollection[str]:
    """Attach the split pipeline; return its one signal element, emitted when the run is closed."""
    context = prepared.context
    return (
        root
        | ListVideos(config.input, context)
        | ProbeVideos(context)
        | SplitFixedStride(config.splitting, context)
        | PlanChunks(config.chunking, context)
        # The one planned break: runs of one long video spread over all workers.
        | beam.Reshuffle()
        | CutChunks(prepared.cut, context)
        | FilterMotion(config.motion)
        | WriteClips(context)
        | FinishChunks(context)
        | FinishRun(context, prepared.facts)
    )


def shard(
    root: beam.Pipeline, config: ShardConfig, prepared: PreparedShard
) -> beam.PCollection[DatasetSummary]:
    """Attach the shard pipeline; return its one summary element."""
    return root | beam.Impulse() | ShardClips(prepared.settings, prepared.dataset)


def curate(
    root: beam.Pipeline,
    config: CurateConfig,
    prepared_split: PreparedSplit,
    prepared_shard: PreparedShard,
) -> beam.PCollection[DatasetSummary]:
    """Attach split and, on its signal, shard."""
    return split(root, config, prepared_split) | ShardClips(
        prepared_shard.settings, prepared_shard.dataset
    )
