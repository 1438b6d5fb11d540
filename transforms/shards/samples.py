"""Samples: what a clip's metadata says about the training samples it gives."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transforms.annotate.windows import inclusive_window
from transforms.shards.bins import aspect_ratio_bin, duration_bin, frames_bin, resolution_bin
from transforms.shards.options import ShardBins

_KEPT_FOLDER = "clips"
MAX_FRAMES = 2**31 - 1
"""Frame numbers of rows have 32 bits."""
MAX_BYTES = 2**62


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample: a clip, or one caption window of a clip that has several."""

    clip_id: str
    start_frame: int
    end_frame: int
    """Frames of the clip that the sample holds, half-open ``[start_frame, end_frame)``."""
    is_window: bool
    """Whether the sample is a part of its clip."""
    num_bytes: int
    """Bytes of its video, exact for a whole clip and close to it for a window."""
    bin_path: str

    @property
    def key(self) -> str:
        """Name of the sample's members in the tars."""
        return sample_key(self.clip_id, self.start_frame, self.end_frame, is_window=self.is_window)


@dataclass(frozen=True, slots=True, order=True)
class Dropped:
    """A clip that gives no sample."""

    clip_id: str
    reason: str
    """not_valid, no_size, aspect_ratio, no_windows, no_framerate, duration, ..."""


def sample_key(clip_id: str, start_frame: int, end_frame: int, *, is_window: bool) -> str:
    """Return a sample's key: the clip's id, with upstream's inclusive frame numbers for a window.

    Example:
        >>> sample_key("c0ffee", 256, 512, is_window=True)
        'c0ffee_256_511'
    """
    if not is_window:
        return clip_id
    first, last = inclusive_window((start_frame, end_frame))
    return f"{clip_id}_{first}_{last}"


def is_kept(meta: Mapping[str, Any]) -> bool:
    """Return whether no filter turned the clip down: its mp4 lies in ``clips/``."""
    folder = str(meta.get("clip_location", "")).rstrip("/").split("/")[-2:-1]
    return folder == [_KEPT_FOLDER]


def samples_of(
    meta: Mapping[str, Any], *, num_bytes: int, shard_bins: ShardBins, window_size: int
) -> list[Sample] | Dropped:
    """Return the samples that a kept clip gives, or why it gives none.

    Args:
        meta: The clip's metadata (contract §1.16), written by this program or by upstream.
        num_bytes: Size of the clip's mp4.
        shard_bins: Layout of the dataset.
        window_size: Frames of a full caption window, used where the clip has only one window.
    """
    clip_id = str(meta["span_uuid"])
    if meta.get("valid") is not True:
        return Dropped(clip_id, "not_valid")
    width, height = int(meta.get("width") or 0), int(meta.get("height") or 0)
    if width <= 0 or height <= 0:
        return Dropped(clip_id, "no_size")
    aspect_ratio = aspect_ratio_bin(width, height)
    if aspect_ratio is None:
        return Dropped(clip_id, "aspect_ratio")
    folder = f"resolution_{resolution_bin(width, height)}/aspect_ratio_{aspect_ratio}"
    if shard_bins == "duration":
        return _whole_clip(meta, clip_id, num_bytes=num_bytes, folder=folder)
    return _windows(meta, clip_id, num_bytes=num_bytes, folder=folder, window_size=window_size)


def sample_json(
    meta: Mapping[str, Any], sample: Sample, *, captioning_algorithm: str, reencoded: str | None
) -> bytes:
    """Return a sample's JSON member: the clip's metadata and which frames the sample holds.

    Args:
        meta: The clip's metadata.
        sample: The sample.
        captioning_algorithm: Whose caption of the window becomes ``caption``, when there is one.
        reencoded: Why the window's packets could not be copied; None when they were, or when the
            sample is a whole clip.
    """
    first, last = inclusive_window((sample.start_frame, sample.end_frame))
    content = dict(meta) | {
        "key": sample.key,
        "start_frame": first,
        "end_frame": last,
        "sample_video": _made_by(sample, reencoded),
    }
    if reencoded is not None:
        content["reencoded_because"] = reencoded
    content |= _captions(meta, (first, last), captioning_algorithm)
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _made_by(sample: Sample, reencoded: str | None) -> str:
    if not sample.is_window:
        return "clip"
    return "packets" if reencoded is None else "encode"


def _captions(meta: Mapping[str, Any], frames: tuple[int, int], algorithm: str) -> dict[str, Any]:
    """Return what the metadata says in words about a window, as fields of the sample."""
    for window in meta.get("windows") or ():
        if (window.get("start_frame"), window.get("end_frame")) != frames:
            continue
        enhanced = (text for name, text in window.items() if name.endswith("_enhanced_caption"))
        fields = {
            "caption": window.get(f"{algorithm}_caption"),
            "enhanced_caption": next(enhanced, None),
            "caption_json": window.get("caption_json"),
        }
        return {name: value for name, value in fields.items() if value is not None}
    return {}


def _whole_clip(
    meta: Mapping[str, Any], clip_id: str, *, num_bytes: int, folder: str
) -> list[Sample] | Dropped:
    num_frames, framerate = int(meta.get("num_frames") or 0), float(meta.get("framerate") or 0)
    if framerate <= 0 or not 0 < num_frames <= MAX_FRAMES:
        return Dropped(clip_id, "no_framerate")
    duration = duration_bin(num_frames, framerate)
    if duration is None:
        return Dropped(clip_id, "duration")
    bin_path = f"{folder}/duration_{duration}"
    return [Sample(clip_id, 0, num_frames, False, num_bytes, bin_path)]


def _windows(
    meta: Mapping[str, Any], clip_id: str, *, num_bytes: int, folder: str, window_size: int
) -> list[Sample] | Dropped:
    windows = [_half_open(window) for window in meta.get("windows") or ()]
    if not windows:
        return Dropped(clip_id, "no_windows")
    # All windows but the last are full, so the second one begins one window size behind frame 0.
    size = windows[1][0] - windows[0][0] if len(windows) > 1 else window_size
    num_frames = int(meta.get("num_frames") or windows[-1][1])
    if not _tile(windows, num_frames) or size < 1:
        return Dropped(clip_id, "bad_windows")
    samples = []
    for start, end, stored in windows:
        share = num_bytes * (end - start) // max(num_frames, 1)
        samples.append(
            Sample(
                clip_id=clip_id,
                start_frame=start,
                end_frame=end,
                is_window=len(windows) > 1,
                num_bytes=(stored or share) if len(windows) > 1 else num_bytes,
                bin_path=f"{folder}/frames_{frames_bin(start, size)}",
            )
        )
    return samples


def _tile(windows: Sequence[tuple[int, int, int]], num_frames: int) -> bool:
    """Return whether windows follow one another within the clip, each with frames in it.

    Whether several windows lie in the clip shows when they are taken out; a single one is the clip
    as it is. Upstream's number of frames is computed, not counted, so a few more are allowed.
    """
    ends = [0, *(end for _, end, _ in windows)]
    limit = MAX_FRAMES
    if len(windows) == 1:
        limit = min(limit, num_frames + max(2, num_frames // 100))
    in_order = all(
        before <= start < end and 0 <= num_bytes <= MAX_BYTES
        for before, (start, end, num_bytes) in zip(ends, windows, strict=False)
    )
    return in_order and ends[-1] <= limit


def _half_open(window: Mapping[str, Any]) -> tuple[int, int, int]:
    return (
        int(window["start_frame"]),
        int(window["end_frame"]) + 1,
        int(window.get("num_bytes") or 0),
    )
