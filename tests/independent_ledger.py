"""What an output holds, told by the standard library alone: no line of the program is used."""

from __future__ import annotations

import hashlib
import json
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def check(out: Path, dataset: Path | None) -> list[str]:
    """Return what is missing or wrong in an output of ``split`` and in a dataset made of it."""
    kept: dict[str, str] = {}
    complaints = [*_output(out, kept), *([] if dataset is None else _dataset(dataset, kept))]
    return [*complaints, *(f"temporary {path}" for path in out.parent.rglob(".tmp-*"))]


def _output(out: Path, kept: dict[str, str]) -> Iterator[str]:
    runs = [_read(path) for path in (out / "runs").glob("*.json") if path.stem != "options"]
    for rel, source_id, _ in {tuple(video) for run in runs for video in run["videos"]}:
        identity = str(uuid.uuid5(uuid.NAMESPACE_URL, source_id))
        plan = out / ".work" / "plans" / f"{identity}.json"
        if list(out.glob(f"failures/*/{identity}.json")):
            continue
        if not plan.exists() or not (out / "processed_videos" / f"{rel}.json").exists():
            yield f"{rel}: neither planned nor failed, or without record"
            continue
        spans, chunks = _read(plan)["spans"], _read(plan)["chunks"]
        for index, (first, end) in enumerate(chunks):
            path = out / "processed_clip_chunks" / f"{rel}_{index}.json"
            no_frames = _read(path)["no_frames"] if path.exists() else []
            if not path.exists():
                yield f"{rel}#{index}: no chunk record"
            for clip in [span["clip_id"] for span in spans[first:end]]:
                yield from _clip(out, clip, kept, no_frames)
    mp4s = [path.stem for name in ("clips", "filtered_clips") for path in (out / name).glob("*")]
    yield from (f"{clip}: mp4 twice" for clip in set(mp4s) if mp4s.count(clip) > 1)
    committed = {path.stem for path in (out / "metas" / "v0").glob("*")}
    yield from (f"{clip}: mp4 and metadata differ" for clip in committed ^ set(mp4s))


def _clip(out: Path, clip: str, kept: dict[str, str], no_frames: list[str]) -> Iterator[str]:
    path = out / "metas" / "v0" / f"{clip}.json"
    failed = list(out.glob(f"failures/*/{clip}.json"))
    if path.exists() + bool(failed) + (clip in no_frames) != 1:
        yield f"{clip}: must be committed, failed or without frames, one of them"
    if path.exists():
        meta = _read(path)
        folder = "filtered_clips" if "rejection" in meta else "clips"
        mp4 = out / folder / f"{clip}.mp4"
        if not mp4.exists() or hashlib.sha256(mp4.read_bytes()).hexdigest() != meta["sha256"]:
            yield f"{clip}: mp4 is not in {folder}, or not the one of its metadata"
        elif folder == "clips":
            kept[clip] = meta["sha256"]


def _dataset(dataset: Path, kept: dict[str, str]) -> Iterator[str]:
    work = dataset / ".work" / "v0"
    generation = work / f"generation_{_read(work / 'dataset.json')['generation']:06d}"
    seen = {clip for clips in _read(work / "dropped.json")["dropped"].values() for clip in clips}
    tars = set()
    for plan in (_read(path) for path in sorted(generation.rglob("part_*.json"))):
        bin_path, part = plan["bin_path"], f"part_{plan['part']:06d}"
        for index, samples in enumerate(plan["shards"]):
            seen |= {sample[0] for sample in samples}
            commit = generation / "commits" / bin_path / part / f"{index:06d}.json"
            failed = _read(commit)["failed"] if commit.exists() else {}
            keys = [f"{c}_{a}_{b - 1}" if window else c for c, a, b, window in samples]
            keys = [key for key in keys if key not in failed]
            for kind, suffix in (("video", ".mp4"), ("metas", ".json")):
                tar = dataset / "v0" / bin_path / kind / part / f"{index:06d}.tar"
                tars.add(tar)
                yield from _tar(tar, [key + suffix for key in keys], kept)
            if not commit.exists():
                yield f"{commit}: shard is not committed"
        names = _read(dataset / "v0" / bin_path / "wdinfo.json")["data_list"]
        if any(f"{part}/{index:06d}.tar" not in names for index in range(len(plan["shards"]))):
            yield f"{bin_path}: wdinfo.json leaves a tar out"
    yield from (f"{tar}: not planned" for tar in set(dataset.rglob("*.tar")) - tars)
    yield from (f"{clip}: kept, neither planned nor dropped" for clip in set(kept) - seen)


def _tar(path: Path, names: list[str], kept: dict[str, str]) -> Iterator[str]:
    if not path.exists():
        yield f"{path}: is missing"
        return
    with tarfile.open(path) as tar:
        members = {member.name: member for member in tar.getmembers()}
        if list(members) != names:
            yield f"{path}: members are not the planned ones in order"
        for clip in kept.keys() & {name.removesuffix(".mp4") for name in members}:
            file = tar.extractfile(members[f"{clip}.mp4"])
            if file is None or hashlib.sha256(file.read()).hexdigest() != kept[clip]:
                yield f"{path}: {clip} is not the clip that was committed"


def _read(path: Path) -> Any:
    return json.loads(path.read_bytes())
