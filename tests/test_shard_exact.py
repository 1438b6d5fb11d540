"""Shards of ``curate``: each sample holds exactly the source frames that its metadata names."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
import webdataset
from ffmpeg_oracle import frame_hashes
from frame_exact import shown
from run_command import Curated

from transforms.sample import RECIPES, draw_video

SIXTY = {recipe.name: recipe for recipe in RECIPES}["sixty-fps"]
OPTIONS = (
    "--splitting_algorithm",
    "fixed-stride",
    "--fixed_stride_split_duration",
    "10",
    "--fixed_stride_min_clip_length_s",
    "1",
)
FRAMES_PER_CLIP = 600
WINDOWS = ((0, 255), (256, 599))
"""Of a clip of 600 frames; both ends are included. The rest behind 512 is too short a window."""
LAST_WINDOW = (0, 89)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Curated:
    """Return a finished run on 21.5 s at 60 fps: two clips of two windows, one of one."""
    folder = tmp_path_factory.mktemp("shard_exact")
    (folder / "raw").mkdir()
    recipe = replace(SIXTY, size=(256, 256))
    draw_video(folder / "raw" / "square.mp4", recipe, seconds=21.5, seed=2)
    run = Curated.below(folder, folder / "raw")
    assert run.curate(*OPTIONS) == 0
    return run


@pytest.fixture(scope="module")
def samples(done: Curated, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return metadata and mp4 path of every sample by key, as webdataset reads the tars."""
    folder = tmp_path_factory.mktemp("samples")
    read = {}
    for info in sorted(done.dataset.rglob("wdinfo.json")):
        for name in json.loads(info.read_text())["data_list"]:
            videos, metas = (
                webdataset.WebDataset(str(info.parent / kind / name), shardshuffle=False)
                for kind in ("video", "metas")
            )
            for video, meta in zip(videos, metas.decode(), strict=True):
                path = folder / f"{video['__key__']}.mp4"
                path.write_bytes(video["mp4"])
                assert meta["__key__"] == video["__key__"]
                assert video["__key__"] not in read
                read[video["__key__"]] = (meta["json"], path)
    return read


def test_windows_tile_the_clips(done: Curated, samples: dict[str, Any]) -> None:
    clips = sorted(done.metas().values(), key=lambda meta: meta["duration_span"])
    assert [meta["num_frames"] for meta in clips] == [600, 600, 90]
    windows = [[(w["start_frame"], w["end_frame"]) for w in meta["windows"]] for meta in clips]
    assert windows == [list(WINDOWS), list(WINDOWS), [LAST_WINDOW]]
    expected = [
        *(f"{meta['span_uuid']}_{first}_{last}" for meta in clips[:2] for first, last in WINDOWS),
        clips[2]["span_uuid"],
    ]
    assert sorted(samples) == sorted(expected)


def test_every_sample_holds_the_source_frames_of_its_window(samples: dict[str, Any]) -> None:
    seen: list[int] = []
    for meta, path in sorted(samples.values(), key=lambda sample: _first_source_frame(sample[0])):
        codes = shown(path, upright=False).codes
        first = _first_source_frame(meta)
        length = meta["end_frame"] - meta["start_frame"] + 1
        assert [code.frame for code in codes if code] == list(range(first, first + length))
        seen += [code.frame for code in codes if code]
    assert seen == list(range(1290))


def test_the_check_fails_on_a_window_of_the_wrong_clip(samples: dict[str, Any]) -> None:
    of_256 = [sample for key, sample in samples.items() if key.endswith("_256_599")]
    (one, _), (_, other) = of_256
    assert shown(other, upright=False).codes[0] != _first_source_frame(one)


def _first_source_frame(meta: dict[str, Any]) -> int:
    """Return span start plus window start as a frame number."""
    return round(Fraction(meta["duration_span"][0]) * 60) + meta["start_frame"]


def test_samples_are_cut_out_of_clips_without_touching_a_pixel(
    done: Curated, samples: dict[str, Any]
) -> None:
    num_copied = 0
    for meta, path in samples.values():
        clip = Path(meta["clip_location"])
        first, last = meta["start_frame"], meta["end_frame"]
        hashes = [md5 for _, md5 in frame_hashes(path)]
        assert hashes == [md5 for _, md5 in frame_hashes(clip)][first : last + 1]
        sample, whole = shown(path), shown(clip)
        whole_times = whole.times[first : last + 1]
        assert sample.times == tuple(time - whole_times[0] for time in whole_times)
        with av.open(str(path)) as container:
            assert container.streams.video[0].average_rate == 60 == meta["framerate"]
        if meta["sample_video"] == "clip":
            assert path.read_bytes() == clip.read_bytes()
        num_copied += meta["sample_video"] == "packets"
    assert num_copied == 4
