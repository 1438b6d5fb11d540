"""The packet index against ffmpeg's frames, and files that hold less than they promise."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import fields
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from ffmpeg_oracle import ffmpeg, frame_hashes
from hypothesis import given
from hypothesis import strategies as st
from make_video import VideoSpec
from manifest import FIRST_OF_TWO_STREAMS, GOOD, read_manifest
from packed_avi import pack_b_frames

from transforms.errors import MediaError
from transforms.media.packet_index import PacketIndex, build_packet_index
from transforms.media.probe import probe
from transforms.records import VideoFacts

MakeVideo = Callable[[str, VideoSpec], Path]
PACKED = VideoSpec(codec="mpeg4", b_frames=1, encoder_options=(("sc_threshold", "1000000000"),))


def index_of(path: Path) -> tuple[PacketIndex, VideoFacts]:
    """Probe and index a local file."""
    facts = probe(str(path), name=path.name, num_bytes=path.stat().st_size)
    return build_packet_index(str(path), facts), facts


def truncated(path: Path, target: Path, *, keep: float) -> str:
    """Return the reason for which a copy of the first part of the file is refused."""
    data = path.read_bytes()
    target.write_bytes(data[: round(len(data) * keep)])
    with pytest.raises(MediaError, match=target.name) as caught:
        index_of(target)
    return caught.value.reason


@pytest.mark.parametrize("name", [n for n in GOOD if n != FIRST_OF_TWO_STREAMS])
def test_real_videos_have_the_frames_of_the_manifest(real_videos: Path, name: str) -> None:
    index, _ = index_of(real_videos / name)
    assert len(index.pts) == int(read_manifest(real_videos)[name]["frames_decoded"])
    assert (np.diff(index.pts) > 0).all()
    assert index.pts_usable
    assert index.first_packet_is_keyframe
    assert set(index.keyframe_pts) <= set(index.pts)
    assert index.keyframe_position[0] == 0


def test_the_frames_are_those_of_the_chosen_stream(real_videos: Path) -> None:
    index, facts = index_of(real_videos / FIRST_OF_TWO_STREAMS)
    assert facts.stream_index == 3
    assert len(index.pts) == 390


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("b.mp4", VideoSpec(b_frames=2, audio="aac")),
        ("b.mkv", VideoSpec(b_frames=2, audio="aac")),
        ("b.ts", VideoSpec(b_frames=2, audio="aac")),
        ("b.flv", VideoSpec(b_frames=2, audio="aac")),
        ("b.avi", VideoSpec(codec="mpeg4", b_frames=2)),
        ("v.mp4", VideoSpec(frame_ticks=(40, 20, 70), b_frames=2)),
        ("h.mp4", VideoSpec(codec="libx265", encoder_options=(("x265-params", "pools=1"),))),
    ],
)
def test_frames_keyframes_and_end_are_exact(
    made_video: MakeVideo, name: str, spec: VideoSpec
) -> None:
    path = made_video(name, spec)
    index, _ = index_of(path)
    assert index.pts.tolist() == [pts for pts, _ in frame_hashes(path)]
    if spec.codec != "mpeg4":  # which adds keyframes of its own
        assert index.keyframe_pts.tolist() == index.pts[::12].tolist()
        assert index.keyframe_position.tolist() == list(range(0, 50, 12))
    assert (index.keyframe_dts <= index.keyframe_pts).all()
    assert index.num_packets == 50
    if not spec.frame_ticks:
        assert index.end_pts - index.pts[-1] == index.pts[1] - index.pts[0]


def test_frames_hidden_by_an_edit_list_are_left_out(made_video: MakeVideo, tmp_path: Path) -> None:
    source = made_video("b3.mp4", VideoSpec(seconds=3, b_frames=2, audio="aac"))
    path = tmp_path / "edited.mp4"
    ffmpeg("-ss", "0.7", "-t", "1.5", "-i", str(source), "-c", "copy", str(path))
    index, facts = index_of(path)
    assert index.pts.tolist() == [pts for pts, _ in frame_hashes(path)]
    assert index.num_packets > len(index.pts)
    assert facts.first_pts == index.pts[0] == 0
    assert index.keyframe_pts[0] < 0


def test_frames_before_the_first_keyframe_are_left_out(
    made_video: MakeVideo, tmp_path: Path
) -> None:
    source = made_video("b3.ts", VideoSpec(seconds=3, b_frames=2))
    path = tmp_path / "joined_late.ts"
    path.write_bytes(source.read_bytes()[188 * 40 :])
    index, facts = index_of(path)
    shown = [pts for pts, _ in frame_hashes(path)]
    assert index.pts.tolist() == shown
    assert not index.first_packet_is_keyframe
    assert facts.first_pts == shown[0]
    assert index.num_packets > len(shown)


def test_avi_with_packed_b_frames_gets_its_times_from_frame_numbers(
    made_video: MakeVideo, tmp_path: Path
) -> None:
    source = made_video("for_packing.avi", PACKED)
    packed, _ = index_of(pack_b_frames(source, tmp_path / "packed.avi"))
    plain, _ = index_of(source)
    assert plain.pts_usable
    assert len(plain.keyframe_pts) > 1
    assert not packed.pts_usable
    assert packed.pts.tolist() == list(range(1, 51))
    assert (packed.end_pts, packed.keyframe_pts.tolist()) == (51, [1])


def test_h264_with_b_frames_in_avi_has_no_usable_pts(made_video: MakeVideo) -> None:
    index, _ = index_of(made_video("h264b.avi", VideoSpec(b_frames=2)))
    assert not index.pts_usable
    assert len(index.pts) == 50
    without, _ = index_of(made_video("h264.avi", VideoSpec()))
    assert without.pts_usable


def test_invisible_vp8_frames_are_left_out(real_videos: Path, tmp_path: Path) -> None:
    path = tmp_path / "alternate_references.webm"
    encode = ("-c:v", "libvpx", "-b:v", "60k", "-auto-alt-ref", "1", "-lag-in-frames", "25")
    passes = ("-threads", "1", "-passlogfile", str(tmp_path / "log"), "-an", "-vf", "scale=160:68")
    for number in ("1", "2"):
        source = ("-y", "-i", str(real_videos / "skv_bikes.mp4"), "-t", "5")
        ffmpeg(*source, *encode, *passes, "-pass", number, str(path))
    index, facts = index_of(path)
    assert index.num_packets > 125  # the hidden frames have packets of their own
    assert index.pts.tolist() == [pts for pts, _ in frame_hashes(path)]
    assert len(index.pts) == 125
    assert not facts.variable_frame_rate


def test_real_truncated_mp4_is_named(real_videos: Path) -> None:
    path = real_videos / "bad" / "fate_h264_white_zombie_scrunch-part.mp4"
    with pytest.raises(MediaError, match=r"white_zombie.* promises 708 frames, got 6") as caught:
        index_of(path)
    assert caught.value.reason == "truncated"


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("c.mp4", VideoSpec(seconds=4, container_options=(("movflags", "faststart"),))),
        ("c.mkv", VideoSpec(seconds=4)),
        ("c.flv", VideoSpec(seconds=4)),
        ("c.avi", VideoSpec(seconds=4)),
    ],
)
def test_a_file_that_was_cut_off_is_truncated(
    made_video: MakeVideo, tmp_path: Path, name: str, spec: VideoSpec
) -> None:
    path = made_video(name, spec)
    assert len(index_of(path)[0].pts) == 100
    assert truncated(path, tmp_path / name, keep=0.6) == "truncated"


def test_an_mp4_that_lacks_its_last_frame_is_truncated(
    made_video: MakeVideo, tmp_path: Path
) -> None:
    spec = VideoSpec(seconds=4, container_options=(("movflags", "faststart"),))
    path = made_video("last.mp4", spec)
    assert truncated(path, tmp_path / "last.mp4", keep=1 - 20 / path.stat().st_size) == "truncated"


def test_counts_and_spans_are_half_open(made_video: MakeVideo) -> None:
    index, facts = index_of(made_video("b.ts", VideoSpec(b_frames=2, audio="aac")))
    first, tick = int(index.pts[0]), facts.time_base
    assert index.span_pts(Fraction(0), Fraction(1), tick) == (first, first + 90000)
    assert index.count(first, first + 90000) == 25
    assert index.count(first + 1, first + 90000) == 24
    assert index.count(first, first + 90001) == 26
    assert index.count(first + 90000, first) == 0
    assert index.span_pts(Fraction(1), None, tick) == (first + 90000, index.end_pts)
    assert index.count(first + 90000, index.end_pts) == 25
    # A third of a second lies between ticks of 1/90000 only when it is not whole: 30000 is.
    assert index.span_pts(Fraction(1, 7), Fraction(2, 7), tick) == (first + 12858, first + 25715)


@given(
    cuts=st.lists(st.fractions(min_value=0, max_value=5), max_size=6),
    steps=st.lists(st.integers(1, 200), min_size=1, max_size=40),
)
def test_spans_that_tile_the_video_hold_every_frame_once(
    cuts: list[Fraction], steps: list[int]
) -> None:
    pts = np.cumsum(np.array([17, *steps], dtype=np.int64))
    one = pts[:1]
    index = PacketIndex(pts, one, one, one, one * 0, int(pts[-1]) + 9, True, True, len(pts))
    tick = Fraction(1, 1000)
    bounds = [Fraction(0), *sorted(cuts), None]
    held: list[int] = []
    for start, end in pairwise(bounds):
        assert start is not None
        span = index.span_pts(start, end, tick)
        seconds = [(int(time) - 17) * tick for time in pts]
        inside = [s for s in seconds if s >= start and (end is None or s < end)]
        assert index.count(*span) == len(inside)
        held += [round(s * 1000) + 17 for s in inside]
    assert held == pts.tolist()


def test_what_is_saved_is_loaded_again(made_video: MakeVideo, tmp_path: Path) -> None:
    index, _ = index_of(made_video("b.mp4", VideoSpec(b_frames=2, audio="aac")))
    path = tmp_path / "index.npz"
    index.save(path)
    loaded = PacketIndex.load(path)
    for field in fields(PacketIndex):
        before, after = getattr(index, field.name), getattr(loaded, field.name)
        assert type(before) is type(after)
        assert np.array_equal(before, after)
    assert [entry.name for entry in tmp_path.iterdir()] == ["index.npz"]


def test_a_damaged_index_file_is_unreadable(made_video: MakeVideo, tmp_path: Path) -> None:
    index, _ = index_of(made_video("b.mp4", VideoSpec(b_frames=2, audio="aac")))
    path = tmp_path / "index.npz"
    index.save(path)
    path.write_bytes(path.read_bytes()[:200])
    objects = tmp_path / "objects.npz"
    np.savez(objects, pts=np.array([{"a": 1}], dtype=object))
    for damaged in (path, objects, tmp_path / "gone.npz"):
        with pytest.raises(MediaError, match=damaged.name) as caught:
            PacketIndex.load(damaged)
        assert caught.value.reason == "unreadable"


def test_memory_grows_by_bytes_per_frame_not_by_packets(made_video: MakeVideo) -> None:
    peaks = []
    for seconds in (20, 220):
        spec = VideoSpec(seconds=seconds, size=(32, 32), keyframe_every=100)
        path = made_video("long.mp4", spec)
        facts = probe(str(path), name="long.mp4", num_bytes=1)
        tracemalloc.start()
        build_packet_index(str(path), facts)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 160 * 5000


def test_a_matroska_file_that_starts_late_is_not_truncated(
    made_video: MakeVideo, tmp_path: Path
) -> None:
    early, late = made_video("early.mkv", VideoSpec(seconds=4)), tmp_path / "late.mkv"
    ffmpeg("-i", str(early), "-c", "copy", "-output_ts_offset", "3.84", str(late))
    index, facts = index_of(late)
    assert index.pts[0] * facts.time_base == Fraction(384, 100)
    assert len(index.pts) == 100
    assert truncated(late, tmp_path / "cut.mkv", keep=0.3) == "truncated"
