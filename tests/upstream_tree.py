"""Write a split output in upstream's exact format (contract §1.16), without fields of our own."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
from make_video import VideoSpec


@dataclass(frozen=True)
class TreeClip:
    """One clip of the tree."""

    name: str
    """Its id is made from it."""
    spec: VideoSpec
    windows: tuple[tuple[int, int], ...]
    """First and last frame, inclusive as upstream counts."""
    kept: bool = True
    """False: a filter rejected it."""
    changes: dict[str, Any] = field(default_factory=dict, hash=False)
    """Fields of the metadata that differ from what the file says; None removes one."""

    @property
    def clip_id(self) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, self.name))


MakeVideo = Callable[[str, VideoSpec], Path]


def write_upstream_tree(
    root: Path, clips: Sequence[TreeClip], make: MakeVideo, *, summary: bool = True
) -> None:
    """Write clips, metadata, records and (if wanted) the summary of one input video."""
    for clip in clips:
        folder = root / ("clips" if clip.kept else "filtered_clips")
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{clip.clip_id}.mp4"
        path.write_bytes(make("clip.mp4", clip.spec).read_bytes())
        _write(root / "metas" / "v0" / f"{clip.clip_id}.json", _meta(clip, path))
    if summary:
        write_summary(root, clips)


def write_summary(root: Path, clips: Sequence[TreeClip]) -> None:
    """Write ``summary.json`` as upstream does: counters, then one key per input video."""
    kept = [clip.clip_id for clip in clips if clip.kept]
    rejected = [clip.clip_id for clip in clips if not clip.kept]
    content = {
        "num_input_videos": 2,
        "num_processed_videos": 1,
        "total_num_clips_passed": len(kept),
        "sub/a.mp4": {
            "source_video": "/raw/sub/a.mp4",
            "video_uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, "/raw/sub/a.mp4")),
            "num_clip_chunks": 1,
            "num_total_clips": len(clips),
            "clips": kept,
            "filtered_clips": rejected,
        },
        "b.mp4": {"source_video": "/raw/b.mp4", "processed": False},
    }
    _write(root / "summary.json", content)


def _meta(clip: TreeClip, path: Path) -> dict[str, Any]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        facts = {
            "width": stream.width,
            "height": stream.height,
            "framerate": float(stream.average_rate),
            "num_frames": stream.frames,
            "video_codec": stream.codec_context.name,
            "num_bytes": path.stat().st_size,
        }
    windows = [
        {"start_frame": first, "end_frame": last, "qwen_caption": f"{clip.name} from {first}"}
        for first, last in clip.windows
    ]
    content = {
        "span_uuid": clip.clip_id,
        "source_video": "/raw/sub/a.mp4",
        "duration_span": [0.0, clip.spec.seconds],
        "width_source": facts["width"],
        "height_source": facts["height"],
        "framerate_source": facts["framerate"],
        "clip_location": str(path),
        **facts,
        "errors": [],
        "windows": windows,
        "filtered_windows": [],
        "valid": bool(windows),
        "has_caption": bool(windows),
        "total_prompt_tokens": 10,
        "total_output_tokens": 5,
        **clip.changes,
    }
    return {name: value for name, value in content.items() if value is not None}


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=4))
