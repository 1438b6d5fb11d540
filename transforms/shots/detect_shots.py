"""Where to cut, by TransNetV2's shot boundaries: the options; the stage itself is not built yet."""

from __future__ import annotations

from typing import ClassVar, Literal

from transforms.section import Section, ignored, option


class ShotDetection(Section):
    """Options of ``splitting_algorithm=transnetv2`` (contract §1.1 Splitting)."""

    title: ClassVar[str] = "Shots by TransNetV2"
    built: ClassVar[bool] = False

    transnetv2_threshold: float = option(0.4, ge=0, le=1)
    """Probability above which a frame is a shot boundary."""
    transnetv2_min_length_s: float = option(2.0, unit="seconds", ge=0)
    """Shorter scenes are dropped; the longer of this and transnetv2_min_length_frames counts."""
    transnetv2_min_length_frames: int = option(48, unit="frames", ge=0)
    """Shorter scenes are dropped; the longer of this and transnetv2_min_length_s counts."""
    transnetv2_max_length_s: float = option(60.0, unit="seconds", gt=0)
    """Longest clip."""
    transnetv2_max_length_mode: Literal["truncate", "stride"] = option("stride")
    """What happens to longer scenes: cut off, or divided into clips of the longest length."""
    transnetv2_crop_s: float = option(0.5, unit="seconds", ge=0)
    """Cut off both ends of every scene."""
    transnetv2_frame_decoder_mode: Literal["ffmpeg_cpu", "pynvc"] = ignored(
        "ffmpeg_cpu", instead="frames are always decoded by FFmpeg on the CPU"
    )
    """Upstream's choice of frame decoder."""
    transnetv2_frame_decode_raise_on_pynvc_error: bool = ignored(
        False, instead="frames are always decoded by FFmpeg on the CPU"
    )
    """Upstream's behaviour when its GPU decoder fails."""
    transnetv2_frame_decode_cpus_per_worker: float = ignored(
        3.0, instead="the number of workers is the runner's: --direct_num_workers, --parallelism"
    )
    """Upstream's processor share of a Ray worker."""
    transnetv2_gpus_per_worker: float = ignored(
        0.25, instead="one model per worker process; the runner's preset places GPUs"
    )
    """Upstream's GPU share of a Ray worker."""
