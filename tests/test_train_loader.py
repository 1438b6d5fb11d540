"""The example loader reads every sample, and what it reads are the frames that were asked for."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import PictureType
from block_codes import read_code
from make_video import VideoSpec
from model_packages import needs_torch
from shard_runs import dataset_run, shard
from upstream_tree import TreeClip, write_upstream_tree

from examples.train_loader import decode_sample, list_tars, main, make_loader, read_samples
from transforms.sample.block_code import draw_code
from transforms.sample.planes import new_planes

WINDOWS = ((0, 15), (16, 31), (32, 49))
CLIPS = (
    TreeClip("long", VideoSpec(seconds=2.0, size=(240, 136), keyframe_every=16), WINDOWS),
    TreeClip("one keyframe", VideoSpec(2.0, size=(240, 136), keyframe_every=0), WINDOWS),
    TreeClip("short", VideoSpec(0.4, size=(240, 136), fps=Fraction(30)), ((0, 11),)),
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A dataset of clips whose frames carry their number in the clip, and their shot: 7."""
    folder = tmp_path_factory.mktemp("coded")

    def make(name: str, spec: VideoSpec) -> Path:
        return coded_clip(folder / name, spec)

    write_upstream_tree(folder / "tree", CLIPS, make)
    shard(dataset_run(folder, folder / "tree"))
    return folder / "dataset" / "v0"


def coded_clip(path: Path, spec: VideoSpec) -> Path:
    options = {"preset": "veryfast", "crf": "12", "x264-params": "keyint=infinite:scenecut=0"}
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=spec.fps, options=options)
        stream.width, stream.height = spec.size
        stream.pix_fmt = "yuv420p"
        for number in range(spec.num_frames):
            planes = new_planes(*spec.size)
            draw_code(planes, frame=number, shot=7)
            frame = av.VideoFrame.from_ndarray(
                np.concatenate([plane.ravel() for plane in planes]).reshape(-1, spec.size[0]),
                format="yuv420p",
            )
            frame.pts = number
            every = spec.keyframe_every
            if every and number % every == 0:
                frame.pict_type = PictureType.I
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def test_every_sample_decodes_to_the_frames_its_metadata_names(dataset):
    seen = []
    for mp4, meta in read_samples(list_tars(dataset)):
        frames = decode_sample(mp4, meta)
        assert frames.shape == (meta["end_frame"] - meta["start_frame"] + 1, 136, 240, 3)
        codes = [read_code(frame[..., 1]) for frame in frames]
        assert codes == [
            (number, 7) for number in range(meta["start_frame"], meta["end_frame"] + 1)
        ]
        seen.append((meta["start_frame"], meta["end_frame"], meta["sample_video"]))
    assert sorted(seen) == sorted(
        [
            (0, 11, "clip"),
            *((a, b, "packets") for a, b in WINDOWS),
            (0, 15, "encode"),
            (16, 31, "encode"),
            (32, 49, "encode"),
        ]
    )


def test_a_dataset_is_found_after_it_was_moved(dataset, tmp_path):
    moved = tmp_path / "elsewhere"
    moved.symlink_to(dataset, target_is_directory=True)
    assert [Path(video).relative_to(moved) for video, _ in list_tars(moved)] == [
        Path(video).relative_to(dataset) for video, _ in list_tars(dataset)
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"end_frame": 12}, "metadata says 13 frames, got 12"),
        ({"start_frame": 1}, "metadata says 11 frames, got 12"),
        ({"framerate": 25.0}, "metadata says 25.0 fps, got 30.0"),
    ],
)
def test_a_sample_that_is_not_as_its_metadata_says_is_an_error(dataset, changes, message):
    mp4, meta = next(
        (mp4, meta) for mp4, meta in read_samples(list_tars(dataset)) if meta["end_frame"] == 11
    )
    with pytest.raises(ValueError, match=message):
        decode_sample(mp4, meta | changes)


def test_tars_that_do_not_belong_together_are_an_error(dataset):
    tars = list_tars(dataset)
    with pytest.raises(ValueError, match="do not belong together"):
        list(read_samples([(tars[0][0], tars[-1][1])]))


@needs_torch
@pytest.mark.parametrize("workers", [0, 2])
def test_the_data_loader_gives_every_sample_once(dataset, workers, capsys):
    expected = sorted(meta["key"] for _, meta in read_samples(list_tars(dataset)))
    found = [meta["key"] for _, meta in make_loader(dataset, workers=workers)]
    assert sorted(found) == expected
    assert main([str(dataset), "--workers", str(workers)]) == 0
    assert capsys.readouterr().out.startswith("7 samples, 112 frames")


def test_the_videos_are_mp4_files_of_their_own(dataset):
    for mp4, _ in read_samples(list_tars(dataset)):
        with av.open(io.BytesIO(mp4)) as container:
            assert container.format.name.startswith("mov,mp4")
            assert next(container.decode(video=0)).pts == 0
