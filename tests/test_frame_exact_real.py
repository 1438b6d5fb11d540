"""``curate`` on all real videos: each clip holds the frames of its span, found by likeness.

ffmpeg decodes source and clips to small grey pictures; the source frame most like a clip's frame
must be the expected one, wherever neighbours differ enough to be told apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from frame_exact import Shown, likeness_problems, planned_frames, shown_all, time_problems
from manifest import GOOD, read_manifest
from run_command import Curated

STRIDE = Fraction(2)
OPTIONS = (
    "--splitting_algorithm",
    "fixed-stride",
    "--fixed_stride_split_duration",
    "2",
    "--fixed_stride_min_clip_length_s",
    "0",
)
# Nearly without loss at the size of comparison, and quickly; also, nothing is passed through, and
# nothing tone-mapped, which could not be compared.
ENCODE = ("--transcode_preset", "ultrafast", "--transcode_crf", "14", "--keep_hdr")
SMALL = "64:36"
LEAST_STEP = 0.15
"""Grey levels by which frames must differ, on average, to be told apart."""
TOLD = 0.5
"""Share of the frames that can be told apart, at least."""
REPEATS = {"tc_nasa_13013.mp4": 0.2}
"""Likewise, where the source shows many pictures twice."""


@dataclass(frozen=True)
class CutVideo:
    """A source and its clips, as ffmpeg shows them, small."""

    source: Shown
    metas: tuple[dict[str, Any], ...]
    clips: tuple[Shown, ...]

    def expected(self, index: int) -> list[int]:
        """Return the numbers of the frames that clip ``index`` must hold."""
        is_last = index + 1 == len(self.metas)
        return planned_frames(self.source.times, index, stride=STRIDE, is_last=is_last)

    def problems(self, index: int, *, shifted: int = 0) -> tuple[list[str], int]:
        """Return what is wrong with a clip, were its frames ``shifted``, and how many were told."""
        last = len(self.source.times) - 1
        numbers = [min(last, max(0, number + shifted)) for number in self.expected(index)]
        clip = self.clips[index]
        return likeness_problems(clip, self.source, numbers, least_step=LEAST_STEP)


@pytest.fixture(scope="module")
def raw(real_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of links to all good videos, and in ``long`` to those of several chunks."""
    folder = tmp_path_factory.mktemp("real") / "raw"
    (folder / "long").mkdir(parents=True)
    rows = read_manifest(real_videos)
    for name in GOOD:
        seconds = rows[name]["duration_s"]
        is_long = seconds != "None" and float(seconds) > 8
        (folder / ("long" if is_long else ".") / name).symlink_to(real_videos / name)
    return folder


@pytest.fixture(scope="module")
def done(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Curated:
    """Return a finished run of everything in chunks of 8 s; nobody may change it."""
    run = Curated.below(tmp_path_factory.mktemp("real_small_chunks"), raw)
    assert run.curate(*OPTIONS, *ENCODE, "--clip_re_chunk_size", "1") == 0
    return run


@pytest.fixture(scope="module")
def cut_videos(done: Curated) -> dict[str, CutVideo]:
    """Return every source with its clips, by the source's name, read once."""
    metas: dict[str, list[dict[str, Any]]] = {name: [] for name in GOOD}
    for meta in done.metas().values():
        metas[Path(meta["source_video"]).name].append(meta)
    paths = {path.name: path for path in done.raw.rglob("*.*")}
    sources = shown_all([paths[name] for name in GOOD], size=SMALL)
    videos = {}
    for name, source in zip(GOOD, sources, strict=True):
        own = sorted(metas[name], key=lambda meta: meta["duration_span"])
        places = [Path(meta["clip_location"]) for meta in own]
        clips = shown_all(places, size=SMALL, upright=False)
        videos[name] = CutVideo(source, tuple(own), tuple(clips))
    return videos


@pytest.mark.parametrize("name", GOOD)
def test_every_clip_holds_the_frames_of_its_span(
    name: str, cut_videos: dict[str, CutVideo]
) -> None:
    video = cut_videos[name]
    seen, num_told = [], 0
    for index, (meta, clip) in enumerate(zip(video.metas, video.clips, strict=True)):
        expected = video.expected(index)
        assert meta["made_by"] == "encode"
        assert meta["num_frames"] == len(expected)
        assert meta["source_span_pts"][0] == video.source.pts[expected[0]]
        assert meta["duration_span"][0] == float(index * STRIDE)
        assert time_problems(clip, video.source, expected) == []
        problems, told = video.problems(index)
        assert problems == []
        seen += expected
        num_told += told
    assert seen == list(range(len(video.source.times)))
    assert num_told >= REPEATS.get(name, TOLD) * len(seen)


@pytest.mark.parametrize("shifted", [1, -1])
@pytest.mark.parametrize("name", GOOD)
def test_the_check_fails_on_frames_shifted_by_one(
    name: str, shifted: int, cut_videos: dict[str, CutVideo]
) -> None:
    video = cut_videos[name]
    found = [video.problems(index, shifted=shifted) for index in range(len(video.clips))]
    # A clip's outermost frame may have nothing to be shifted to.
    assert all(problems for problems, num_told in found if num_told > 1)
    assert any(problems for problems, _ in found)


def test_large_chunks_give_the_same_bytes(done: Curated, tmp_path: Path) -> None:
    run = Curated.below(tmp_path, done.raw / "long")
    assert run.curate(*OPTIONS, *ENCODE, "--clip_re_chunk_size", "32") == 0
    expected, metas = done.metas(), run.metas()
    assert len(metas) > 60
    for clip_id, meta in metas.items():
        same = expected[clip_id]
        assert (meta["sha256"], meta["source_span_pts"]) == (
            same["sha256"],
            same["source_span_pts"],
        )
        files = [Path(one["clip_location"]).read_bytes() for one in (meta, same)]
        assert files[0] == files[1]
    assert len({meta["chunk_index"] for meta in metas.values()}) == 1
    assert len({expected[clip_id]["chunk_index"] for clip_id in metas}) > 3
