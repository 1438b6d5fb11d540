"""Where everything lies below the output root (contract §1.16)."""

from __future__ import annotations

from transforms.models.embeddings.algorithms import STEMS
from transforms.storage.uris import join

CLIPS = "clips"
FILTERED_CLIPS = "filtered_clips"
METAS = "metas"
PREVIEWS = "previews"
PROCESSED_VIDEOS = "processed_videos"
PROCESSED_CHUNKS = "processed_clip_chunks"
FAILURES = "failures"
RUNS = "runs"
PREDICT_DATASET = "cosmos_predict2_video2world_dataset"
ANNOTATIONS = "annotations"
WORK = ".work"
OUTPUT_FOLDERS = (
    # Commits first: whoever removes an output removes the proof of work before the work.
    PROCESSED_VIDEOS,
    PROCESSED_CHUNKS,
    METAS,
    ANNOTATIONS,
    FAILURES,
    RUNS,
    WORK,
    PREDICT_DATASET,
    PREVIEWS,
    *(f"{stem}_parquet" for stem in STEMS),
    *STEMS,
    FILTERED_CLIPS,
    CLIPS,
)
"""Folders this program writes in an output root, in the order in which they are removed."""


def clip_uri(root: str, clip_id: str, *, rejected: bool) -> str:
    """Return where a clip's mp4 lies."""
    return join(root, FILTERED_CLIPS if rejected else CLIPS, f"{clip_id}.mp4")


def meta_uri(root: str, clip_id: str, version: str = "v0") -> str:
    """Return a clip's metadata file: its existence is the clip's commit."""
    return join(root, METAS, version, f"{clip_id}.json")


def previews_uri(root: str, clip_id: str, name: str) -> str:
    """Return where one preview of a clip lies."""
    return join(root, PREVIEWS, clip_id, name)


def predict_video_uri(root: str, clip_id: str, frames: tuple[int, int]) -> str:
    """Return where a window's video of the Cosmos-Predict2 dataset lies; both frames belong."""
    return join(root, PREDICT_DATASET, "videos", f"{clip_id}_{frames[0]}_{frames[1]}.mp4")


def predict_text_uri(root: str, clip_id: str, frames: tuple[int, int]) -> str:
    """Return where the text of such a window lies."""
    return join(root, PREDICT_DATASET, "metas", f"{clip_id}_{frames[0]}_{frames[1]}.txt")


def embedding_uri(root: str, stem: str, clip_id: str) -> str:
    """Return where a clip's embedding lies; ``stem`` says of which model."""
    return join(root, stem, f"{clip_id}.pickle")


def embedding_table_uri(root: str, stem: str, video_uuid: str, chunk_index: int) -> str:
    """Return where the table with the embeddings of a chunk lies."""
    return join(root, f"{stem}_parquet", f"{video_uuid}_{chunk_index}.parquet")


def video_record_uri(root: str, rel: str) -> str:
    """Return a video's record."""
    return join(root, PROCESSED_VIDEOS, f"{rel}.json")


def chunk_record_uri(root: str, rel: str, chunk_index: int) -> str:
    """Return a chunk's record: its existence is the chunk's commit."""
    return join(root, PROCESSED_CHUNKS, f"{rel}_{chunk_index}.json")


def plan_uri(root: str, video_uuid: str) -> str:
    """Return a video's plan."""
    return join(root, WORK, "plans", f"{video_uuid}.json")


def lease_uri(root: str) -> str:
    """Return the file that says which run works in an output."""
    return join(root, WORK, "lease.json")


def packet_index_uri(root: str, video_uuid: str) -> str:
    """Return the numpy sidecar with a video's packet times."""
    return join(root, WORK, "index", f"{video_uuid}.npz")


def shots_uri(root: str, video_uuid: str, settings: str) -> str:
    """Return the folder of a video's shot scores, one file per segment."""
    return join(root, WORK, "shots", video_uuid, settings)


def failure_uri(root: str, stage: str, element_id: str) -> str:
    """Return the failure file of a video or clip in a stage."""
    return join(root, FAILURES, stage, f"{element_id}.json")


def options_uri(root: str) -> str:
    """Return the resolved options and fingerprints of an output."""
    return join(root, RUNS, "options.json")


def current_run_uri(root: str) -> str:
    """Return the selection of an unfinished run."""
    return join(root, RUNS, "current.json")


def wave_uri(root: str) -> str:
    """Return the videos of the wave in work, where a selection is worked through in waves."""
    return join(root, WORK, "wave.json")


def finished_run_uri(root: str, number: int) -> str:
    """Return the record of a finished run."""
    return join(root, RUNS, f"{number:04d}.json")


def annotations_uri(root: str, version: str, *names: str) -> str:
    """Return the folder of what ``recaption`` tells of a version, or a file in it."""
    return join(root, ANNOTATIONS, version, *names)


def annotation_failure_uri(root: str, version: str, clip_id: str) -> str:
    """Return the failure file of a clip that could not be captioned anew."""
    return annotations_uri(root, version, FAILURES, f"{clip_id}.json")


def annotation_lease_uri(root: str, version: str) -> str:
    """Return the file that says which run makes a version of the annotations."""
    return join(root, WORK, version, "lease.json")


def all_captions_uri(root: str, version: str = "v0") -> str:
    """Return the file with the captions of all windows."""
    return join(root, version, "all_window_captions.json")


def caption_quality_uri(root: str) -> str:
    """Return the statistics of all captions."""
    return join(root, "caption_quality_stats.json")


def summary_uri(root: str) -> str:
    """Return the summary of everything ever processed into an output."""
    return join(root, "summary.json")
