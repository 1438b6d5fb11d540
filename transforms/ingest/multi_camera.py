"""Several cameras that filmed one scene: the options; it is not built."""

from __future__ import annotations

from typing import ClassVar

from transforms.section import Section, option


class MultiCamera(Section):
    """Options of multi-camera sessions (contract §7)."""

    title: ClassVar[str] = "Several cameras"
    built: ClassVar[bool] = False

    multi_cam: bool = option(False)
    """Whether the videos of one folder show one scene."""
    primary_camera_keyword: str = option("front")
    """What the name of the primary camera's file contains."""

    def not_built(self) -> str | None:
        """Return why sessions cannot be curated."""
        if not self.multi_cam:
            return None
        return "multi_cam=true: multi-camera sessions are not built; set multi_cam=false."
