"""Fingerprints of what options make of each stage: what they change is made anew."""

from __future__ import annotations

import dataclasses
from typing import Any

from beam_pipeline.models.detection import detection_key
from beam_pipeline.preparation.clip_settings import SplitLike, clip_form
from transforms.clips.fingerprints import fingerprint
from transforms.filters.score_limits import LUMA_LIMITS
from transforms.filters.score_options import ScoreFilters
from transforms.media import crop_probe
from transforms.media.encode import EncodeSettings, encoder_build
from transforms.media.look_settings import LookSettings
from transforms.media.observers.luma_scores import SCORERS


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
