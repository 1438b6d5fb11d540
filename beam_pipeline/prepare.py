"""From options to what the stages need: encoder, fingerprints, run context."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from dataclasses import dataclass
from typing import Any

from beam_pipeline.captions import caption_definition, caption_settings, caption_writing
from beam_pipeline.config import CurateConfig, ShardConfig, SplitConfig
from beam_pipeline.detection import detection_key, detection_settings
from beam_pipeline.embeddings import embedding_definition, embedding_settings
from beam_pipeline.routes import routes_of
from beam_pipeline.run_place import RunPlace
from beam_pipeline.stored_windows import window_option
from transforms.annotate.caption_settings import CaptionSettings
from transforms.annotate.embedding_settings import EmbeddingSettings
from transforms.clips.cut_settings import CutSettings
from transforms.clips.fingerprints import fingerprint
from transforms.clips.finish_run import RunFacts
from transforms.clips.predict_dataset import STAGE as PREDICT_STAGE
from transforms.filters.score_limits import LUMA_LIMITS
from transforms.filters.score_options import ScoreFilters
from transforms.media import crop_probe
from transforms.media.child_limits import ChildLimits
from transforms.media.clip_form import ClipForm
from transforms.media.encode import EncodeSettings, encoder_build, resolve_encoder
from transforms.media.look import LookSettings
from transforms.media.observers.luma_scores import SCORERS
from transforms.media.observers.motion import MotionSettings
from transforms.media.observers.preview_frames import PreviewSettings
from transforms.media.slots import num_slots
from transforms.media.trainer_options import check_encoder
from transforms.run_context import RunContext
from transforms.shards.options import DatasetRun, ShardSettings, shard_settings
from transforms.shots.detection_settings import DetectionSettings
from transforms.storage.uris import absolute

SplitLike = SplitConfig | CurateConfig
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


def look_settings(config: SplitLike) -> LookSettings:
    """Return what the look finds out about each clip."""
    motion = config.motion
    previews = config.previews
    return LookSettings(
        window_size=config.windows.captioning_window_size,
        remainder_threshold=config.windows.captioning_remainder_threshold,
        motion=None
        if motion.motion_filter == "disable"
        else MotionSettings(
            target_fps=motion.motion_decode_target_fps,
            target_duration_ratio=motion.motion_decode_target_duration_ratio,
        ),
        previews=PreviewSettings(
            target_fps=previews.preview_target_fps, target_height=previews.preview_target_height
        )
        if previews.generate_previews
        else None,
        scores=config.scores.measured,
    )


def keep_prefix(config: SplitLike) -> float | None:
    """Return the seconds that a clip must last which its source breaks off, None: it fails.

    No part of a fingerprint: clips that are whole have the same bytes either way.
    """
    return shortest_seconds(config) if config.transcode.keep_decodable_prefix else None


def shortest_seconds(config: SplitLike) -> float:
    """Return how long a clip must be."""
    if config.splitting.detects_shots:
        return config.shots.transnetv2_min_length_s
    return config.splitting.fixed_stride_min_clip_length_s


def stage_fingerprints(
    config: SplitLike, encode: EncodeSettings, look: LookSettings
) -> tuple[tuple[str, str], ...]:
    """Return the active stages of a clip in order, each with its fingerprint."""
    stages: list[tuple[str, dict[str, Any]]] = [
        (
            "cut",
            {
                "encode": dataclasses.asdict(encode),
                "build": encoder_build(),
                "window_size": look.window_size,
                "remainder_threshold": look.remainder_threshold,
                **crop_definition(config),
                **form_definition(config),
            },
        )
    ]
    if look.motion is not None:
        stages.append(("motion_score", dataclasses.asdict(look.motion)))
    if config.motion.motion_filter == "enable":
        stages.append(
            (
                "motion_filter",
                {
                    "global_mean": config.motion.motion_global_mean_threshold,
                    "per_patch_min_256": config.motion.motion_per_patch_min_256_threshold,
                },
            )
        )
    stages += score_stages(config.scores)
    if look.previews is not None:
        stages.append(("previews", dataclasses.asdict(look.previews)))
    return tuple((stage, fingerprint(values)) for stage, values in stages)


def crop_definition(config: SplitLike) -> dict[str, Any]:
    """Return what cropping adds to the fingerprint of the cut: nothing while it is off."""
    return {"crop_black_bars": crop_probe.definition()} if config.bars.crop_black_bars else {}


def clip_form(config: SplitLike) -> ClipForm:
    """Return size, rate and count of frames that are asked for."""
    form = config.trainer.form()
    return dataclasses.replace(form, max_frames=config.transcode.transcode_max_output_frames)


def form_definition(config: SplitLike) -> dict[str, Any]:
    """Return what the form of clips adds to the fingerprint of the cut: nothing if none is asked
    for, so that clips made before there was one stay as they are."""
    definition = clip_form(config).definition()
    return {"form": definition} if definition else {}


def score_stages(scores: ScoreFilters) -> list[tuple[str, dict[str, Any]]]:
    """Return the stages of the scores of pixels: measured ones, then those that decide."""
    measured = [(f"{name}_score", SCORERS[name].definition()) for name in scores.measured]
    decided = []
    for name in scores.enabled:
        limits = [limit for limit in LUMA_LIMITS if limit.filter == name]
        decided.append(
            (f"{name}_filter", {limit.option: getattr(scores, limit.option) for limit in limits})
        )
    return measured + decided


def spans_fingerprint(config: SplitLike) -> str:
    """Return the fingerprint of what decides where videos are cut and how clips are grouped."""
    splitting = config.splitting
    if splitting.detects_shots:
        return fingerprint({**detection_key(config), "chunk": config.chunking.clip_re_chunk_size})
    return fingerprint(
        {
            "algorithm": splitting.splitting_algorithm,
            "duration": splitting.fixed_stride_split_duration,
            "min_length": splitting.fixed_stride_min_clip_length_s,
            "chunk": config.chunking.clip_re_chunk_size,
        }
    )


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
    cut = _cut_settings(config, encode, place.workers or 1)
    embeddings, captions = embedding_settings(config), caption_settings(config)
    writing = caption_writing(config, captions)
    if embeddings is not None:
        look = dataclasses.replace(cut.look, embedding_frames=embeddings.frames)
        cut = dataclasses.replace(cut, look=look)
    if captions is not None:
        look = dataclasses.replace(cut.look, caption_fps=captions.frames_fps)
        cut = dataclasses.replace(cut, look=look)
    stages = stage_fingerprints(config, encode, cut.look)
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


def _cut_settings(config: SplitLike, encode: EncodeSettings, workers: int) -> CutSettings:
    """Return what cut and look need to know."""
    execution = config.execution
    return CutSettings(
        encode,
        look_settings(config),
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
