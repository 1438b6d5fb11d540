"""Options of detecting shots; apart from the stage, so that ``--help`` needs no Beam."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import model_validator

from transforms.section import Section, ignored, option


class ShotDetection(Section):
    """Options of ``splitting_algorithm`` transnetv2, hybrid and content (contract §1.1 Splitting).

    The names are upstream's; lengths and crop hold whatever finds the shots.
    """

    title: ClassVar[str] = "Shots"

    transnetv2_threshold: float = option(0.4, ge=0, le=1)
    """Probability above which TransNetV2's answer makes a frame a shot boundary; hybrid takes it as
    one hint of several."""
    transnetv2_compat: bool = False
    """Cut exactly as upstream does, with what it gets wrong: windows at the end of a video are not
    padded, a transition at its very beginning stays in the first clip, the last clip ends one frame
    early, and frames of gradual transitions stay in clips; for splitting_algorithm=transnetv2."""
    content_threshold: float = option(15.0, unit="levels", gt=0, le=255)
    """How much a frame must differ from the one before it, on average over all pixels and colours
    (0 to 255), to begin a shot; for splitting_algorithm=content."""
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

    @model_validator(mode="after")
    def _lengths_agree(self) -> ShotDetection:
        if self.transnetv2_max_length_s < self.transnetv2_min_length_s:
            raise ValueError(
                f"transnetv2_max_length_s={self.transnetv2_max_length_s:g} is less than "
                f"transnetv2_min_length_s={self.transnetv2_min_length_s:g}: no clip could be both; "
                "raise the first or lower the second"
            )
        return self
