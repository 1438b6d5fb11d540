"""Every kind of file in an output and in a dataset: where it lies and what describes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from transforms.formats.annotations import AnnotationFailure, AnnotationSummary
from transforms.formats.caption_stats import AllWindowCaptions, CaptionQuality
from transforms.formats.chunk_record import ChunkRecord
from transforms.formats.clip_meta import ClipMeta
from transforms.formats.dataset import DatasetState, DroppedClips, PartPlan, ShardCommit, WdInfo
from transforms.formats.document import Document
from transforms.formats.failure import ClipFailure, VideoFailure
from transforms.formats.plan import VideoPlan
from transforms.formats.run_record import (
    CurrentRun,
    FinishedRun,
    Lease,
    PerformanceStats,
    StoredOptions,
    WaveInWork,
)
from transforms.formats.shard_sample import ShardSample
from transforms.formats.summary import Summary
from transforms.formats.video_record import VideoRecord
from transforms.models.embeddings.algorithms import STEMS

Place = Literal["output", "dataset", "tar"]
"""Root of ``split``, root of ``shard``, or inside a tar."""

_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_PLACEHOLDERS = {
    "uuid": _UUID,
    "rel": r"(?s:.+)",
    "stem": "|".join(STEMS),
    "version": r"[^/\s]+",
    "name": r"[^/\s]+",
    "bin": r"resolution_[0-9a-z_]+/aspect_ratio_[0-9_]+/(?:frames|duration)_[0-9a-z_]+",
    "key": rf"{_UUID}(?:_\d+_\d+)?",
    "chunk": r"\d+",
    "first": r"\d+",
    "last": r"\d+",
    "n": r"\d+",
    "number": r"\d{4,}",
    "generation": r"\d{6}",
    "part": r"\d{6}",
    "shard": r"\d{6}",
    "bins": r"(?:frames|duration)_\d+",
    "batch": r"[0-9a-f]{16}",
    "settings": r"[0-9a-f]{16}",
    "segment": r"\d{5,}",
}
"""What stands between braces in a path, as a regular expression."""


@dataclass(frozen=True)
class FileKind:
    """One kind of file."""

    name: str
    """Of its schema, if it has one, and in messages."""
    place: Place
    path: str
    """Below the place; words between braces stand for what varies."""
    document: type[Document] | None = None
    """What describes a JSON file; None for other files."""

    def matches(self, path: str) -> bool:
        """Return whether a path below the place is of this kind.

        Example:
            >>> FileKind("bak", "output", "summary.json.bak{n}").matches("summary.json.bak12")
            True
        """
        pieces = re.split(r"\{(\w+)\}", self.path)
        # Odd pieces are the words between braces.
        patterns = [
            f"(?:{_PLACEHOLDERS[piece]})" if index % 2 else re.escape(piece)
            for index, piece in enumerate(pieces)
        ]
        return re.fullmatch("".join(patterns), path) is not None


_GENERATION = ".work/{version}/generation_{generation}"

FILE_KINDS = (
    FileKind("clip", "output", "clips/{uuid}.mp4"),
    FileKind("filtered_clip", "output", "filtered_clips/{uuid}.mp4"),
    FileKind("clip_meta", "output", "metas/{version}/{uuid}.json", ClipMeta),
    FileKind(
        "predict_video",
        "output",
        "cosmos_predict2_video2world_dataset/videos/{uuid}_{first}_{last}.mp4",
    ),
    FileKind(
        "predict_text",
        "output",
        "cosmos_predict2_video2world_dataset/metas/{uuid}_{first}_{last}.txt",
    ),
    FileKind("preview", "output", "previews/{uuid}/{first}_{last}.webp"),
    FileKind("embedding", "output", "{stem}/{uuid}.pickle"),
    FileKind("embedding_table", "output", "{stem}_parquet/{uuid}_{chunk}.parquet"),
    FileKind("video_record", "output", "processed_videos/{rel}.json", VideoRecord),
    FileKind("chunk_record", "output", "processed_clip_chunks/{rel}_{chunk}.json", ChunkRecord),
    *(
        FileKind("video_failure", "output", f"failures/{stage}/{{uuid}}.json", VideoFailure)
        for stage in ("probe", "split", "plan")
    ),
    *(
        FileKind("clip_failure", "output", f"failures/{stage}/{{uuid}}.json", ClipFailure)
        for stage in ("cut", "look", "write")
    ),
    FileKind("summary", "output", "summary.json", Summary),
    FileKind("summary", "output", "summary.json.bak{n}", Summary),
    FileKind(
        "all_window_captions", "output", "{version}/all_window_captions.json", AllWindowCaptions
    ),
    FileKind("caption_quality", "output", "caption_quality_stats.json", CaptionQuality),
    FileKind(
        "caption_quality",
        "output",
        "annotations/{version}/caption_quality_stats.json",
        CaptionQuality,
    ),
    FileKind(
        "annotation_summary", "output", "annotations/{version}/summary.json", AnnotationSummary
    ),
    FileKind(
        "annotation_failure",
        "output",
        "annotations/{version}/failures/{name}.json",
        AnnotationFailure,
    ),
    FileKind("options", "output", "annotations/{version}/options.json", StoredOptions),
    FileKind("lease", "output", ".work/{version}/lease.json", Lease),
    FileKind("performance_stats", "output", "performance_stats_{n}.json", PerformanceStats),
    FileKind("options", "output", "runs/options.json", StoredOptions),
    FileKind("current_run", "output", "runs/current.json", CurrentRun),
    FileKind("finished_run", "output", "runs/{number}.json", FinishedRun),
    FileKind("lease", "output", ".work/lease.json", Lease),
    FileKind("wave", "output", ".work/wave.json", WaveInWork),
    FileKind("video_plan", "output", ".work/plans/{uuid}.json", VideoPlan),
    FileKind("packet_index", "output", ".work/index/{uuid}.npz"),
    FileKind("shot_scores", "output", ".work/shots/{uuid}/{settings}/{segment}.npz"),
    FileKind("crop_box", "output", ".work/index/{uuid}.crop.npz"),
    FileKind("wdinfo_list", "dataset", "{version}/wdinfo_list.csv"),
    FileKind("dropped_clips", "dataset", "{version}/dropped_clips.json", DroppedClips),
    FileKind("wdinfo", "dataset", "{version}/{bin}/wdinfo.json", WdInfo),
    FileKind("video_tar", "dataset", "{version}/{bin}/video/part_{part}/{shard}.tar"),
    FileKind("metas_tar", "dataset", "{version}/{bin}/metas/part_{part}/{shard}.tar"),
    FileKind("lease", "dataset", ".work/{version}/lease.json", Lease),
    FileKind("dataset_state", "dataset", ".work/{version}/dataset.json", DatasetState),
    FileKind("dropped_clips", "dataset", ".work/{version}/dropped.json", DroppedClips),
    FileKind("part_plan", "dataset", f"{_GENERATION}/plans/{{bin}}/part_{{part}}.json", PartPlan),
    FileKind(
        "shard_commit",
        "dataset",
        f"{_GENERATION}/commits/{{bin}}/part_{{part}}/{{shard}}.json",
        ShardCommit,
    ),
    FileKind("sample_rows", "dataset", f"{_GENERATION}/rows/{{bins}}/{{batch}}.npz"),
    FileKind("sample_video", "tar", "{key}.mp4"),
    FileKind("shard_sample", "tar", "{key}.json", ShardSample),
)
"""Every file this program writes that stays; beside them only temporaries, named ``.tmp-*``."""


def kinds_of(place: Place, path: str) -> list[FileKind]:
    """Return the kinds that a path below ``place`` is of; exactly one for a file of ours."""
    return [kind for kind in FILE_KINDS if kind.place == place and kind.matches(path)]


def documents() -> dict[str, type[Document]]:
    """Return what has a schema, by name, in the order of the catalogue."""
    return {kind.name: kind.document for kind in FILE_KINDS if kind.document is not None}


def paths_of(name: str) -> list[str]:
    """Return where files of one name lie, in words: ``output: summary.json``."""
    return [f"{kind.place}: {kind.path}" for kind in FILE_KINDS if kind.name == name]
