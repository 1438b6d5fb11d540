"""Which samples a clip's metadata gives, how they are named, and why a clip gives none."""

from __future__ import annotations

import json

import pytest

from transforms.shards.samples import Dropped, Sample, is_kept, sample_json, samples_of

ONE = [{"start_frame": 0, "end_frame": 99}]
SEVERAL = [
    {"start_frame": 0, "end_frame": 255, "num_bytes": 6000, "qwen_caption": "first"},
    {"start_frame": 256, "end_frame": 511, "num_bytes": 3000, "qwen_caption": "second"},
    {"start_frame": 512, "end_frame": 699, "num_bytes": 1000, "qwen_caption": "third"},
]
FOLDER = "resolution_720/aspect_ratio_16_9"


def meta(**changes):
    content = {
        "span_uuid": "c0ffee",
        "clip_location": "s3://bucket/out/clips/c0ffee.mp4",
        "width": 1280,
        "height": 720,
        "framerate": 25.0,
        "num_frames": 700,
        "windows": SEVERAL,
        "valid": True,
    }
    return {name: value for name, value in (content | changes).items() if value is not None}


def samples(content, *, shard_bins="frames", window_size=256):
    return samples_of(content, num_bytes=10_500, shard_bins=shard_bins, window_size=window_size)


def test_a_clip_with_one_window_is_one_whole_sample_named_after_the_clip():
    content = meta(windows=ONE, num_frames=100)
    assert samples(content) == [
        Sample("c0ffee", 0, 100, False, 10_500, f"{FOLDER}/frames_0_255"),
    ]
    assert samples(content)[0].key == "c0ffee"


def test_each_window_of_a_clip_with_several_is_a_sample_in_the_bin_of_its_start():
    found = samples(meta())
    assert [(one.key, one.bin_path, one.num_bytes) for one in found] == [
        ("c0ffee_0_255", f"{FOLDER}/frames_0_255", 6000),
        ("c0ffee_256_511", f"{FOLDER}/frames_256_511", 3000),
        ("c0ffee_512_699", f"{FOLDER}/frames_512_767", 1000),
    ]
    assert [(one.start_frame, one.end_frame) for one in found] == [(0, 256), (256, 512), (512, 700)]


def test_an_extended_last_window_stays_in_the_bin_of_its_start():
    windows = [{"start_frame": 0, "end_frame": 255}, {"start_frame": 256, "end_frame": 599}]
    found = samples(meta(windows=windows, num_frames=600))
    assert [one.bin_path for one in found] == [f"{FOLDER}/frames_0_255", f"{FOLDER}/frames_256_511"]
    assert found[1].key == "c0ffee_256_599"


def test_without_window_bytes_they_are_the_share_of_frames():
    windows = [
        {"start_frame": one["start_frame"], "end_frame": one["end_frame"]} for one in SEVERAL
    ]
    # 10,500 bytes over 700 frames are 15 bytes a frame.
    assert [one.num_bytes for one in samples(meta(windows=windows))] == [3840, 3840, 2820]


def test_a_clip_with_several_windows_tells_its_own_window_size():
    windows = [{"start_frame": 0, "end_frame": 127}, {"start_frame": 128, "end_frame": 255}]
    found = samples(meta(windows=windows, num_frames=256), window_size=256)
    assert [one.bin_path for one in found] == [f"{FOLDER}/frames_0_127", f"{FOLDER}/frames_128_255"]


def test_with_duration_bins_every_clip_is_one_whole_sample():
    assert samples(meta(), shard_bins="duration") == [
        Sample("c0ffee", 0, 700, False, 10_500, f"{FOLDER}/duration_10_30"),
    ]


@pytest.mark.parametrize(
    ("changes", "shard_bins", "reason"),
    [
        ({"valid": False}, "frames", "not_valid"),
        ({"valid": None}, "frames", "not_valid"),
        ({"width": None}, "frames", "no_size"),
        ({"height": 0}, "frames", "no_size"),
        ({"width": 10_000, "height": 100}, "frames", "aspect_ratio"),
        ({"windows": []}, "frames", "no_windows"),
        ({"windows": [{"start_frame": 5, "end_frame": 3}]}, "frames", "bad_windows"),
        ({"framerate": None}, "duration", "no_framerate"),
        ({"framerate": 0.0}, "duration", "no_framerate"),
        ({"num_frames": 100}, "duration", "duration"),
    ],
)
def test_why_a_clip_gives_no_sample(changes, shard_bins, reason):
    assert samples(meta(**changes), shard_bins=shard_bins) == Dropped("c0ffee", reason)


@pytest.mark.parametrize(
    ("location", "kept"),
    [
        ("s3://bucket/out/clips/a.mp4", True),
        ("/out/filtered_clips/a.mp4", False),
        ("/clips/filtered_clips/a.mp4", False),
        ("", False),
    ],
)
def test_a_clip_is_kept_when_it_lies_in_the_folder_of_kept_clips(location, kept):
    assert is_kept({"clip_location": location}) is kept


def test_the_json_of_a_sample_has_the_metadata_of_the_clip_and_its_own_frames():
    window = samples(meta())[1]
    content = json.loads(sample_json(meta(), window, captioning_algorithm="qwen", reencoded=None))
    assert content == meta() | {
        "key": "c0ffee_256_511",
        "start_frame": 256,
        "end_frame": 511,
        "sample_video": "packets",
        "caption": "second",
    }


def test_the_json_says_when_a_window_was_encoded_anew_and_why():
    window = samples(meta())[0]
    content = json.loads(
        sample_json(meta(), window, captioning_algorithm="gemini", reencoded="no_keyframe_at_start")
    )
    assert content["sample_video"] == "encode"
    assert content["reencoded_because"] == "no_keyframe_at_start"
    assert "caption" not in content


def test_equal_metadata_gives_equal_bytes_whatever_the_order_of_its_keys():
    sample = samples(meta())[0]
    turned = dict(reversed(meta().items()))
    first = sample_json(meta(), sample, captioning_algorithm="qwen", reencoded=None)
    assert first == sample_json(turned, sample, captioning_algorithm="qwen", reencoded=None)
    assert b"\n" not in first
