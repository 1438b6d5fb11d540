"""From options to what clips are like and what is found out about them."""

from __future__ import annotations

import dataclasses

from beam_pipeline.configuration.config import CurateConfig, SplitConfig
from transforms.media.clip_form import ClipForm
from transforms.media.look_settings import LookSettings, MotionSettings, PreviewSettings

SplitLike = SplitConfig | CurateConfig


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


def clip_form(config: SplitLike) -> ClipForm:
    """Return size, rate and count of frames that are asked for."""
    form = config.trainer.form()
    return dataclasses.replace(form, max_frames=config.transcode.transcode_max_output_frames)
