"""``curate`` on drawn videos: each frame of each span is in its clip, at its time, only there.

Frame numbers are read from the pictures (block codes), times are ffmpeg's.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ffmpeg_oracle import ffmpeg
from frame_exact import Shown, code_problems, planned_frames, shown_all, time_problems
from run_command import Curated
from sound_oracle import RATE, heard_from, lag_and_likeness

from transforms.media.cut import CutSpan, cut_run
from transforms.media.decode import DecodeCounters
from transforms.media.encode import resolve_encoder
from transforms.media.packet_index import PacketIndex, build_packet_index
from transforms.media.probe import probe
from transforms.media.transcode_options import Transcode
from transforms.sample import RECIPES, draw_sample_set, draw_video, truth_path

STRIDE = Fraction(5, 2)
OPTIONS = (
    "--splitting_algorithm",
    "fixed-stride",
    "--fixed_stride_split_duration",
    "2.5",
    "--fixed_stride_min_clip_length_s",
    "0",
)
SMALL = (320, 180)
LONG = (
    ("landscape", 16),
    ("one-keyframe", 12),
    ("variable-rate", 12),
    ("ten-bit", 12),
    ("web", 12),
)
"""Recipes and seconds: longer than a chunk of ``clip_re_chunk_size`` 1 (four clips of 2.5 s)."""
REMUXED = (".mkv", ".ts", ".flv", ".mov")
"""The first of them in other containers, which are sought in other ways or not at all."""
NAMES = [f"{number:02d}-{recipe.name}" for number, recipe in enumerate(RECIPES, start=1)]
NAMES += [f"long-{name}" for name, _ in LONG] + [f"landscape{suffix}" for suffix in REMUXED]


@dataclass(frozen=True)
class CutVideo:
    """A source and its clips, as ffmpeg shows them."""

    path: Path
    truth: dict[str, Any]
    source: Shown
    metas: tuple[dict[str, Any], ...]
    """Metadata of its clips, in order."""
    clips: tuple[Shown, ...]

    def expected(self, index: int) -> list[int]:
        """Return the numbers of the frames that clip ``index`` must hold."""
        is_last = index + 1 == len(self.metas)
        return planned_frames(self.source.times, index, stride=STRIDE, is_last=is_last)

    def problems(self, *, shifted: int = 0) -> list[str]:
        """Return what is wrong with the clips, were every boundary ``shifted`` frames later."""
        found = []
        for index, clip in enumerate(self.clips):
            numbers = [number + shifted for number in self.expected(index)]
            numbers = [number for number in numbers if number < len(self.source.times)]
            found += [f"clip {index}: {one}" for one in time_problems(clip, self.source, numbers)]
            found += [f"clip {index}: {one}" for one in code_problems(clip, self.source, numbers)]
        return found


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the sample set and, in ``long``, videos of several chunks."""
    folder = tmp_path_factory.mktemp("sample") / "raw"
    assert len(draw_sample_set(folder, seconds=36, seed=5)) == len(RECIPES)
    recipes = {recipe.name: recipe for recipe in RECIPES}
    (folder / "long").mkdir()
    for seed, (name, seconds) in enumerate(LONG):
        recipe = replace(recipes[name], size=SMALL)
        path = folder / "long" / f"long-{name}.{recipe.container}"
        draw_video(path, recipe, seconds=seconds, seed=seed)
    first = folder / "long" / "long-landscape.mp4"
    for suffix in REMUXED:
        ffmpeg("-i", str(first), "-c", "copy", str(first.with_name(f"landscape{suffix}")))
        truth_path(first.with_name(f"landscape{suffix}")).write_text(truth_path(first).read_text())
    return folder


@pytest.fixture(scope="module")
def done(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Curated:
    """Return a finished run of everything in chunks of 10 s; nobody may change it."""
    run = Curated.below(tmp_path_factory.mktemp("small_chunks"), raw)
    assert run.curate(*OPTIONS, "--clip_re_chunk_size", "1") == 0
    return run


@pytest.fixture(scope="module")
def cut_videos(done: Curated) -> dict[str, CutVideo]:
    """Return every source with its clips, by the source's name without its ending, read once."""
    paths = sorted(path for path in done.raw.rglob("*.*") if path.suffix != ".json")
    metas = {str(path): [] for path in paths}
    for meta in done.metas().values():
        metas[meta["source_video"]].append(meta)
    videos = {}
    for path, source in zip(paths, shown_all(paths), strict=True):
        own = sorted(metas[str(path)], key=lambda meta: meta["duration_span"])
        # As stored: a clip must be readable without turning.
        clips = shown_all([Path(meta["clip_location"]) for meta in own], upright=False)
        truth = json.loads(truth_path(path).read_text())
        name = path.stem if path.stem != "landscape" else path.name
        videos[name] = CutVideo(path, truth, source, tuple(own), tuple(clips))
    assert sorted(videos) == sorted(NAMES)
    return videos


@pytest.mark.parametrize("name", NAMES)
def test_every_frame_is_in_exactly_one_clip_at_its_time(
    name: str, cut_videos: dict[str, CutVideo]
) -> None:
    video = cut_videos[name]
    truth, source = video.truth, video.source
    cuts = [cut["frame"] for cut in truth["cuts"]]
    numbers = range(truth["num_frames"])
    assert source.codes == [(n, sum(n >= cut for cut in cuts)) for n in numbers]
    if not name.startswith("landscape."):
        assert source.time_base == Fraction(truth["time_base"])
        assert source.pts[0] == truth["first_pts"]
        assert truth["pts"] in (None, list(source.pts))

    assert video.problems() == []
    read = [code.frame for clip in video.clips for code in clip.codes if code is not None]
    assert read == list(numbers)
    last = source.times[-1] - source.times[0]
    assert len(video.clips) == int(last / STRIDE) + 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shifted", [1, -1])
def test_the_check_fails_on_boundaries_shifted_by_a_frame(
    name: str, shifted: int, cut_videos: dict[str, CutVideo]
) -> None:
    problems = cut_videos[name].problems(shifted=shifted)
    for index in range(len(cut_videos[name].clips)):
        assert any(problem.startswith(f"clip {index}: ") for problem in problems)


@pytest.mark.parametrize("name", ["10-phone-rotated", "long-variable-rate", "long-ten-bit"])
def test_the_check_fails_on_a_cut_that_is_a_frame_late(
    name: str, cut_videos: dict[str, CutVideo], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    right = PacketIndex.span_pts

    def late(index: PacketIndex, *span: Any) -> tuple[int, int]:
        start, end = right(index, *span)
        return start, int(index.pts[np.searchsorted(index.pts, end) + 1])

    video = cut_videos[name]
    expected = video.expected(0)
    assert _cut_problems(video, expected, tmp_path) == []
    monkeypatch.setattr(PacketIndex, "span_pts", late)
    assert len(_cut_problems(video, expected, tmp_path)) >= 2


def _cut_problems(video: CutVideo, expected: list[int], folder: Path) -> list[str]:
    facts = probe(str(video.path), name="source", num_bytes=video.path.stat().st_size)
    [result] = cut_run(
        video.path,
        facts,
        build_packet_index(str(video.path), facts),
        [CutSpan("clip", Fraction(0), STRIDE)],
        settings=resolve_encoder(Transcode(transcode_preset="ultrafast"))[0],
        folder=folder,
        windows=(256, 128),
        counters=DecodeCounters(),
    )
    assert result.path is not None
    [clip] = shown_all([result.path], upright=False)
    return [
        *time_problems(clip, video.source, expected),
        *code_problems(clip, video.source, expected),
    ]


@pytest.mark.parametrize("name", NAMES)
def test_metadata_tells_frames_times_and_rate(name: str, cut_videos: dict[str, CutVideo]) -> None:
    video = cut_videos[name]
    pts, time_base = video.source.pts, video.source.time_base
    upright = (video.truth["width"], video.truth["height"])
    for index, meta in enumerate(video.metas):
        expected = video.expected(index)
        assert meta["num_frames"] == len(expected) == len(video.clips[index].times)
        assert (meta["width"], meta["height"]) == upright
        assert (meta["width_source"], meta["height_source"]) == upright
        assert Fraction(meta["source_time_base"]) == time_base
        first, end = meta["source_span_pts"]
        assert first == pts[expected[0]]
        is_last = index + 1 == len(video.metas)
        following = pts[-1] + _longest_frame(video) if is_last else pts[expected[-1] + 1]
        # A long frame that begins in the span is not shown far beyond the span's end.
        cut_off = 1 / time_base / 15 if video.truth["variable_rate"] else 1
        assert max(pts[expected[-1]] + 1, following - cut_off) <= end <= following
        assert meta["duration_span"][0] == float(index * STRIDE)
        # The mp4 muxer counts in ticks of its own; a rate is exact to one tick of the whole clip.
        seconds = (end - first) * time_base
        assert abs(len(expected) / Fraction(meta["framerate"]) - seconds) < Fraction(1, 10_000)
        if meta["num_frames"] > 3:
            assert [meta["windows"][0]["start_frame"], meta["windows"][-1]["end_frame"]] == [
                0,
                len(expected) - 1,
            ]
    assert _uncovered(video) == []


def _longest_frame(video: CutVideo) -> int:
    """Return the longest duration of a frame in ticks."""
    rate = 15 if video.truth["variable_rate"] else Fraction(video.truth["fps"])
    return ceil(1 / rate / video.source.time_base)


def _uncovered(video: CutVideo) -> list[Any]:
    out = Path(video.metas[0]["clip_location"]).parent.parent
    raw = next(parent for parent in video.path.parents if parent.name == "raw")
    record = out / "processed_videos" / f"{video.path.relative_to(raw)}.json"
    return json.loads(record.read_text())["uncovered"]


@pytest.mark.parametrize("name", NAMES)
def test_sound_begins_with_the_picture_and_ends_with_it(
    name: str, cut_videos: dict[str, CutVideo]
) -> None:
    video = cut_videos[name]
    if video.truth["audio"] is None:
        assert not any(_has_sound(Path(meta["clip_location"])) for meta in video.metas)
        return
    source_first, source = heard_from(video.path)
    # Matroska and flv round every packet's time to a millisecond.
    tolerance = 49 if video.path.suffix in (".mkv", ".flv", ".webm") else 1
    for meta in video.metas:
        first, samples = heard_from(Path(meta["clip_location"]))
        assert abs(first) <= 1
        start, end = (tick * video.source.time_base * RATE for tick in meta["source_span_pts"])
        begin, stop = round(start) - source_first, round(end) - source_first
        wanted = source[max(0, begin) : stop]
        # Copied packets end less than one packet late; encoded sound is padded to whole ones.
        assert len(wanted) - 2 <= len(samples) <= stop - begin + 1024
        lag, likeness = lag_and_likeness(samples[: len(wanted)], wanted)
        assert abs(lag) <= tolerance, lag
        assert likeness > 0.95


def _has_sound(path: Path) -> bool:
    return "#media_type 1: audio" in ffmpeg("-i", str(path), "-c", "copy", "-f", "framecrc", "-")


def test_large_chunks_give_the_same_bytes(done: Curated, tmp_path: Path) -> None:
    run = Curated.below(tmp_path, done.raw / "long")
    assert run.curate(*OPTIONS) == 0
    assert _num_runs_and_chunks(run.out, "long-landscape.mp4") == (1, 1)
    assert _num_runs_and_chunks(done.out, "long/long-landscape.mp4") == (2, 2)
    assert _num_runs_and_chunks(done.out, "long/landscape.mkv") == (2, 2)
    assert _num_runs_and_chunks(done.out, "long/long-one-keyframe.mp4") == (1, 2)
    metas, expected = run.metas(), done.metas()
    assert len(metas) == 5 * 7 + 4 * 5
    for clip_id, meta in metas.items():
        same = expected[clip_id]
        assert meta["source_video"] == same["source_video"]
        assert meta["source_span_pts"] == same["source_span_pts"]
        files = [Path(one["clip_location"]).read_bytes() for one in (meta, same)]
        assert files[0] == files[1]
        assert meta["sha256"] == hashlib.sha256(files[0]).hexdigest()


def _num_runs_and_chunks(out: Path, rel: str) -> tuple[int, int]:
    """Return in how many decode passes and chunks a video was cut."""
    plans = [json.loads(path.read_text()) for path in (out / ".work" / "plans").glob("*.json")]
    [plan] = [plan for plan in plans if plan["video"]["rel"] == rel]
    return len(plan["runs"]), len(plan["chunks"])
