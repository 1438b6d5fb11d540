"""Enlarge clips by a model: the options; the stage itself is not built."""

from __future__ import annotations

from typing import ClassVar, Literal

from transforms.section import Section, option


class SuperResolution(Section):
    """Options of super-resolution (contract §1.1)."""

    title: ClassVar[str] = "Super-resolution"
    built: ClassVar[bool] = False

    super_resolution: bool = option(False)
    """Whether clips are enlarged before they are scored and written."""
    sr_variant: Literal["seedvr2_3b", "seedvr2_7b", "seedvr2_7b_sharp"] = option("seedvr2_7b")
    """Which model enlarges."""
    sr_target_height: int = option(720, unit="pixels", ge=1)
    """Height of the enlarged picture."""
    sr_target_width: int = option(1280, unit="pixels", ge=1)
    """Width of the enlarged picture."""
    sr_window_frames: int = option(128, unit="frames", ge=1)
    """Frames enlarged at once."""
    sr_overlap_frames: int = option(64, unit="frames", ge=0)
    """Frames that neighbouring windows share."""
    sr_no_blend_overlap: bool = option(False)
    """Whether shared frames are taken from one window, not blended."""
    sr_seed: int = option(666)
    """Seed of the model's noise."""
    sr_cfg_scale: float = option(1.0)
    """Strength of the model's guidance."""
    sr_cfg_rescale: float = option(0.0)
    """Rescaling of the model's guidance."""
    sr_sample_steps: int = option(1, unit="steps", ge=1)
    """Denoising steps."""
    sr_sp_size: int = option(1, unit="GPUs", ge=1)
    """GPUs that share one sequence."""
    sr_out_fps: float | None = option(None, unit="frames per second")
    """Frame rate of the enlarged clip; null: the clip's own."""
    sr_tmp_dir: str | None = option(None)
    """Folder for intermediate files; null: the scratch folder."""

    def not_built(self) -> str | None:
        """Return why super-resolution cannot run."""
        if not self.super_resolution:
            return None
        return (
            "super_resolution=true: super-resolution is not built; set super_resolution=false "
            "and enlarge the finished clips by a tool of your choice."
        )
