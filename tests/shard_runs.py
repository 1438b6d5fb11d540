"""Run the shard half as a pipeline, and read what it wrote."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import asdict, replace
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import worker_handlers

from transforms.json_files import write_json
from transforms.shards.options import DatasetRun, ShardSettings
from transforms.shards.shard_clips import ShardClips

SETTINGS = ShardSettings(window_size=16, target_tar_bytes=40_000)
"""Small tars: several in a bin."""

# Without this the worker processes of Beam 2.77 can lose elements on their way.
worker_handlers.DATA_BUFFER_TIME_LIMIT_MS = 0


def dataset_run(tmp_path: Path, tree: Path, name: str = "dataset") -> DatasetRun:
    return DatasetRun(
        input_root=str(tree),
        dataset_root=str(tmp_path / name),
        annotation_version="v0",
        progress_folder=str(tmp_path / "progress"),
        scratch=str(tmp_path / "scratch"),
    )


def shard(run: DatasetRun, *flags: str, **changes: object) -> dict:
    """Run the pipeline once; return its summary as a dict."""
    settings = replace(SETTINGS, **changes)
    target = Path(run.dataset_root).parent / "summaries"
    options = PipelineOptions([*flags])
    with beam.Pipeline(runner="FnApiRunner", options=options) as root:
        _ = (
            root
            | beam.Impulse()
            | ShardClips(settings, run)
            | beam.Map(_write_summary, folder=str(target))
        )
    [path] = target.glob("*.json")
    return json.loads(path.read_text())


def _write_summary(summary: object, folder: str) -> None:
    write_json(f"{folder}/summary.json", asdict(summary))  # type: ignore[call-overload]


def files(folder: Path, *, work: bool = False) -> dict[str, bytes]:
    """Return all files below a folder by their path; those below ``.work`` only with ``work``."""
    found = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    return {name: data for name, data in found.items() if work or not name.startswith(".work")}


def members(tar: bytes) -> dict[str, bytes]:
    """Return the members of a tar in their order."""
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        return {one.name: archive.extractfile(one).read() for one in archive}  # type: ignore[union-attr]
