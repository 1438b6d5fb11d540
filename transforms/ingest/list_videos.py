"""List the inputs, leave out what is done, and fix the selection of this run."""

from __future__ import annotations

from typing import ClassVar

from transforms.section import Section, option


class VideoInput(Section):
    """Which videos are read."""

    title: ClassVar[str] = "Input"

    input_video_path: str | None = None
    """Folder of raw videos (searched recursively) or one video file."""
    input_video_list_json_path: str | None = None
    """JSON array of full video paths; each must lie below ``input_video_path``."""
    input_s3_profile_name: str = "default"
    """Credentials profile for reading ``s3://`` inputs."""
    input_video_list_s3_profile_name: str = "default"
    """Credentials profile for reading the JSON list."""
    id_root: str | None = None
    """Make ids as if the input lay at this path, so that moved or copied data keeps its ids."""
    limit: int = option(0, unit="videos", ge=0)
    """Most videos to select, 0 = all; videos already done do not count."""
