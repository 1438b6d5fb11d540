"""Track objects that a prompt names (SAM3): the options; the stage itself is not built."""

from __future__ import annotations

from typing import ClassVar

from transforms.section import Section, option


class ObjectTracking(Section):
    """Options of object tracking by SAM3 (contract §1.1); null: the model's own value."""

    title: ClassVar[str] = "Object tracking by SAM3"
    built: ClassVar[bool] = False
    aliases: ClassVar[dict[str, str]] = {"sam3": "enable_sam3"}

    enable_sam3: bool = option(False)
    """Whether objects are tracked."""
    sam3_prompts: tuple[str, ...] | None = option(None)
    """What to track, one phrase each; may be given several times."""
    sam3_target_fps: float = option(10.0, unit="frames per second", gt=0)
    """Rate at which a clip's frames are tracked."""
    sam3_max_clip_duration_s: float = option(30.0, unit="seconds", gt=0)
    """Longer clips are tracked up to here."""
    sam3_session_reset_s: float = option(10.0, unit="seconds", gt=0)
    """After how long the tracker starts anew."""
    sam3_score_threshold_detection: float | None = option(None)
    """Smallest score of a detection."""
    sam3_det_nms_thresh: float | None = option(None)
    """Overlap above which detections are merged."""
    sam3_new_det_thresh: float | None = option(None)
    """Smallest score of a detection that starts a new object."""
    sam3_fill_hole_area: int | None = option(None, unit="pixels")
    """Largest hole in a mask that is filled."""
    sam3_recondition_every_nth_frame: int | None = option(None, unit="frames")
    """Every how many frames detections correct the tracked masks."""
    sam3_recondition_on_trk_masks: bool | None = option(None)
    """Whether the correction uses the tracked masks."""
    sam3_high_conf_thresh: float | None = option(None)
    """Score from which a detection may correct a mask."""
    sam3_high_iou_thresh: float | None = option(None)
    """Overlap from which a detection may correct a mask."""
    sam3_write_annotated_video: bool = option(False)
    """Whether a video with the masks drawn in is written."""
    sam3_annotated_video_trails: bool = option(False)
    """Whether that video shows where objects came from."""

    def not_built(self) -> str | None:
        """Return why objects cannot be tracked."""
        if not self.enable_sam3:
            return None
        return "enable_sam3=true: object tracking is not built; set enable_sam3=false."
