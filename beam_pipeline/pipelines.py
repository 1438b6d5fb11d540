"""The graphs: each reads top to bottom as the list of its stages."""

from __future__ import annotations

import dataclasses
from typing import Any

import apache_beam as beam

from beam_pipeline.configuration.config import CurateConfig, SplitConfig
from beam_pipeline.preparation.prepare import PreparedShard, PreparedSplit
from transforms.annotate.caption_settings import CaptionSettings
from transforms.clips.cut_chunks import CutChunks
from transforms.clips.finish_chunks import FinishChunks
from transforms.clips.finish_run import FinishRun
from transforms.clips.plan_chunks import PlanChunks
from transforms.clips.write_clips import WriteClips
from transforms.filters.motion import FilterMotion
from transforms.filters.scores import FilterScores
from transforms.ingest.probe_videos import ProbeVideos
from transforms.ingest.select_videos import ListVideos
from transforms.json_files import write_json
from transforms.recaption.finish_recaption import FinishRecaption
from transforms.recaption.list_clips import list_clips
from transforms.recaption.look_at_clips import LookAtClips
from transforms.recaption.open_clips import OpenClips
from transforms.recaption.settings import RecaptionSettings
from transforms.recaption.write_annotations import WriteAnnotations
from transforms.run_context import RunContext
from transforms.shards.finish_dataset import DatasetSummary
from transforms.shards.shard_clips import ShardClips
from transforms.shots.detect_shots import DetectShots
from transforms.shots.fixed_stride import SplitFixedStride


def split(
    root: beam.Pipeline, config: SplitConfig | CurateConfig, prepared: PreparedSplit
) -> beam.PCollection[str]:
    """Attach the split pipeline; return its one signal element, emitted when the run is closed."""
    context = prepared.context
    clips = (
        root
        | ListVideos(config.input.anywhere(), context, is_wave=prepared.is_selected)
        # Probing and planning cost a few requests per video: not all of them in one worker.
        | "SpreadVideos" >> beam.Reshuffle()
        | ProbeVideos(prepared.cut.limits, context)
        | split_videos(config, prepared)
        | PlanChunks(config.chunking, context)
        # The break that matters: runs of one long video spread over all workers.
        | beam.Reshuffle()
        | CutChunks(prepared.cut, context)
        | FilterMotion(config.motion)
        | FilterScores(config.scores)
    )
    if prepared.embeddings is not None:
        # As below: Beam's inference imports torch.
        from transforms.annotate.embed_clips import EmbedClips  # noqa: PLC0415

        clips |= EmbedClips(prepared.embeddings, context)
    if prepared.captions is not None:
        # Its module imports torch where that is installed: only graphs with captions do.
        from transforms.annotate.caption_clips import CaptionClips  # noqa: PLC0415

        clips |= CaptionClips(prepared.captions, context)
    return clips | WriteClips(context) | FinishChunks(context) | FinishRun(context, prepared.facts)


def split_videos(
    config: SplitConfig | CurateConfig, prepared: PreparedSplit
) -> SplitFixedStride | DetectShots:
    """Return the step that decides where videos are cut."""
    if prepared.detection is None:
        return SplitFixedStride(config.splitting, prepared.context)
    return DetectShots(prepared.detection, prepared.context)


def shard(root: beam.Pipeline, prepared: PreparedShard) -> beam.PCollection[DatasetSummary]:
    """Attach the shard pipeline; return its one summary element."""
    return _shard_on(root | beam.Impulse(), prepared)


def curate(
    root: beam.Pipeline,
    config: CurateConfig,
    prepared_split: PreparedSplit,
    prepared_shard: PreparedShard,
) -> beam.PCollection[DatasetSummary]:
    """Attach split and, on its signal, shard."""
    return _shard_on(split(root, config, prepared_split), prepared_shard)


def recaption(
    root: beam.Pipeline,
    context: RunContext,
    settings: RecaptionSettings,
    captions: CaptionSettings,
) -> beam.PCollection[str]:
    """Attach the pipeline that captions anew; return its one signal element."""
    # Its module imports torch where that is installed: only graphs with captions do.
    from transforms.annotate.caption_clips import CaptionClips  # noqa: PLC0415

    return (
        root
        | beam.Impulse()
        | "ListClips" >> beam.FlatMap(lambda _: list_clips(context, settings))
        # The one break: batches of clips spread over all workers.
        | beam.Reshuffle()
        | OpenClips(context)
        | LookAtClips(settings, context)
        | CaptionClips(captions, context)
        | WriteAnnotations(context)
        | FinishRecaption(context, settings)
    )


def _shard_on(
    signal: beam.PCollection[Any], prepared: PreparedShard
) -> beam.PCollection[DatasetSummary]:
    return (
        signal
        | ShardClips(prepared.settings, prepared.dataset)
        | "KeepSummary" >> beam.Map(_keep_summary, prepared.summary_uri)
    )


def _keep_summary(summary: DatasetSummary, path: str) -> DatasetSummary:
    write_json(path, dataclasses.asdict(summary))
    return summary
