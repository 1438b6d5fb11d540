"""Reject clips with overlaid text: the options; the stage itself is not built yet."""

from __future__ import annotations

from typing import ClassVar, Literal

from transforms.section import Section, ignored, option


class ArtificialTextFilter(Section):
    """Options of the filter for subtitles, captions and logos (contract §1.10)."""

    title: ClassVar[str] = "Artificial-text filter"
    built: ClassVar[bool] = False
    aliases: ClassVar[dict[str, str]] = {
        "artificial_text_corner_detection": "artificial_text_use_corner_detection",
        "ignore_artificial_text_corner_region": "artificial_text_ignore_corner_region",
    }

    artificial_text_filter: Literal["disable", "enable"] = option("disable")
    """Whether clips with overlaid text are rejected."""
    artificial_text_frame_interval: int = option(3, unit="frames", ge=1)
    """Every how many frames text is looked for."""
    artificial_text_min_duration_frames: int = option(10, unit="frames", ge=1)
    """Shortest stay of a text that counts."""
    artificial_text_stability_iou_threshold: float = option(0.9, ge=0, le=1)
    """Overlap of a text's boxes from frame to frame above which it counts as standing still."""
    artificial_text_use_corner_detection: bool = option(True)
    """Whether a text in a corner counts on its own."""
    artificial_text_ignore_corner_region: bool = option(False)
    """Whether text in the corners is overlooked."""
    artificial_text_corner_x_margin: float = option(0.1, unit="of the width", ge=0, le=0.5)
    """Width of the corner regions."""
    artificial_text_corner_y_margin: float = option(0.1, unit="of the height", ge=0, le=0.5)
    """Height of the corner regions."""
    artificial_text_corner_ratio: float = option(0.1, ge=0, le=1)
    """Share of a text's boxes that must lie in a corner region."""
    artificial_text_detection_use_cpu: bool = option(False)
    """Whether text is detected on the CPU even where there is a GPU."""
    artificial_text_gpus_per_worker: float = ignored(
        0.25, instead="one model per worker process; the runner's preset places GPUs"
    )
    """Upstream's GPU share of a Ray worker."""

    def not_built(self) -> str | None:
        """Return why the filter cannot run yet."""
        if self.artificial_text_filter == "disable":
            return None
        return (
            "artificial_text_filter=enable: the artificial-text filter is not built yet; "
            "set artificial_text_filter=disable."
        )
