"""From options to what the stages need: encoder, fingerprints, run context."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from dataclasses import dataclass
from typing import Any

from beam_pipeline.configuration.config import CurateConfig, ShardConfig
from beam_pipeline.models.captions import caption_definition, caption_settings, caption_writing
from beam_pipeline.models.detection import detection_settings
from beam_pipeline.models.embeddings import embedding_definition, embedding_settings
from beam_pipeline.preparation.clip_settings import (
    SplitLike,
    clip_form,
    keep_prefix,
    look_settings,
    shortest_seconds,
)
from beam_pipeline.preparation.routes import routes_of
from beam_pipeline.preparation.run_place import RunPlace
from beam_pipeline.preparation.stage_fingerprints import spans_fingerprint, stage_fingerprints
from beam_pipeline.preparation.stored_windows import window_option
from transforms.annotate.caption_settings import CaptionSettings
from transforms.annotate.embedding_settings import EmbeddingSettings
from transforms.clips.cut_settings import CutSettings
from transforms.clips.fingerprints import fingerprint
from transforms.clips.finish_run import RunFacts
from transforms.clips.predict_dataset import STAGE as PREDICT_STAGE
from transforms.media.child_limits import ChildLimits
from transforms.media.encode import EncodeSettings, resolve_encoder
from transforms.media.look_settings import LookSettings
from transforms.media.slots import num_slots
from transforms.media.trainer_options import check_encoder
from transforms.run_context import RunContext
from transforms.shards.options import DatasetRun, ShardSettings, shard_settings
from transforms.shots.detection_settings import DetectionSettings
from transforms.storage.uris import absolute

ShardLike = ShardConfig | CurateConfig


@dataclass(frozen=True)
class PreparedSplit:
    """What the stages of split share."""

    context: RunContext
    cut: CutSettings
    detection: DetectionSettings | None
    """None: clips of one length."""
    captions: CaptionSettings | None
    """None: no captions are made."""
    embeddings: EmbeddingSettings | None
    """None: no embeddings are made."""
    facts: RunFacts
    warnings: tuple[str, ...]
    is_selected: bool = False
    """Whether the driver has stored the selection: it works in waves."""


@dataclass(frozen=True)
class PreparedShard:
    """What the stages of shard share."""

    settings: ShardSettings
    dataset: DatasetRun
    summary_uri: str
    """File that receives the DatasetSummary as JSON."""


def prepare_split(config: SplitLike, place: RunPlace, resolved: dict[str, Any]) -> PreparedSplit:
    """Return what the stages of split share.

    Args:
        config: The options.
        place: The folders of the run.
        resolved: What ``auto`` became.

    Raises:
        PreflightError: The encoder is not there, cannot give clips their form, or what detecting
            shots needs is not there.
    """
    encode, warning = resolve_encoder(config.transcode)
    encode = encode.dropping_below(shortest_seconds(config))
    check_encoder(clip_form(config), encode)
    embeddings, captions = embedding_settings(config), caption_settings(config)
    writing = caption_writing(config, captions)
    look = dataclasses.replace(
        look_settings(config),
        embedding_frames=embeddings.frames if embeddings else None,
        caption_fps=captions.frames_fps if captions else None,
    )
    cut = _cut_settings(config, encode, look, place.workers or 1)
    stages = stage_fingerprints(config, encode, look)
    if embeddings is not None:
        stages += (("embeddings", fingerprint(embedding_definition(embeddings))),)
    if captions is not None:
        stages += (("captions", fingerprint(caption_definition(config, captions))),)
    if writing.predict_dataset:
        stages += ((PREDICT_STAGE, fingerprint({"kind": "predict2"})),)
    context = RunContext(
        root=absolute(str(config.output.output_clip_path)),
        run_id=place.run_id,
        scratch=str(place.scratch),
        progress_folder=place.progress_folder,
        stages=stages,
        spans_fingerprint=spans_fingerprint(config),
        retry_failed=config.run.retry_failed,
        routes=routes_of(config),
        captioning_algorithm=config.caption_model.captioning_algorithm if captions else "",
        caption_writing=writing,
        embedding_algorithm=embeddings.embedder.algorithm if embeddings else "",
    )
    return PreparedSplit(
        context=context,
        cut=cut,
        detection=detection_settings(config, cut),
        captions=captions,
        embeddings=embeddings,
        facts=RunFacts(
            started_at=time.time(),
            resolved=json.dumps(resolved, sort_keys=True),
            embedding_algorithm=config.embedding.embedding_algorithm,
            all_captions=config.output.write_all_caption_json,
        ),
        warnings=(warning,) if warning else (),
    )


def _cut_settings(
    config: SplitLike, encode: EncodeSettings, look: LookSettings, workers: int
) -> CutSettings:
    """Return what cut and look need to know."""
    execution = config.execution
    return CutSettings(
        encode,
        look,
        math.ceil(num_slots() / workers),
        ChildLimits(execution.child_memory_limit_mb, execution.child_silence_limit_s),
        keep_prefix(config),
        config.bars.crop_black_bars,
        clip_form(config),
    )


def prepare_shard(config: ShardLike, place: RunPlace) -> PreparedShard:
    """Return what the stages of shard share."""
    sharding = config.sharding
    if config.run.overwrite:
        # Shards of clips that are made anew would otherwise stay as they are.
        sharding = sharding.model_copy(update={"reshard": True})
    input_root = absolute(str(sharding.input_clip_path))
    return PreparedShard(
        settings=shard_settings(
            sharding,
            captioning_algorithm=config.caption_model.captioning_algorithm,
            window_size=window_option(config, input_root, "captioning_window_size"),
        ),
        dataset=DatasetRun(
            input_root=input_root,
            dataset_root=absolute(str(sharding.output_dataset_path)),
            annotation_version=sharding.annotation_version,
            progress_folder=place.progress_folder,
            scratch=str(place.scratch),
            run_id=place.run_id,
            routes=routes_of(config),
        ),
        summary_uri=place.dataset_summary,
    )
