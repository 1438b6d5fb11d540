"""Decoded spans against the frames that the ffmpeg binary decodes from the same files."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ffmpeg_oracle import ffmpeg, frame_hashes, visible_md5
from make_video import VideoSpec
from manifest import GOOD, read_manifest
from packed_avi import pack_b_frames

from transforms.errors import MediaError
from transforms.media.decode import DecodeCounters, decode_frames
from transforms.media.packet_index import PacketIndex, build_packet_index
from transforms.media.probe import probe
from transforms.records import VideoFacts

MakeVideo = Callable[[str, VideoSpec], Path]
Frames = list[tuple[int, str]]
X265 = (("x265-params", "log-level=none:pools=1:frame-threads=1"),)
OPEN_GOP = (("x264-params", "open-gop=1:keyint=12:min-keyint=12:scenecut=0:bframes=3:b-adapt=0"),)


class Source:
    """A file, its facts and its index."""

    def __init__(self, path: Path) -> None:
        """Probe and index the file."""
        self.path = path
        self.facts: VideoFacts = probe(str(path), name=path.name, num_bytes=path.stat().st_size)
        self.index: PacketIndex = build_packet_index(str(path), self.facts)
        self.counters = DecodeCounters()

    def oracle(self) -> Frames:
        """Return ffmpeg's frames."""
        return frame_hashes(self.path, stream=self.facts.stream_index)

    def frames(self, start_pts: int, end_pts: int, index: PacketIndex | None = None) -> Frames:
        """Return ours."""
        self.counters = DecodeCounters()
        return [
            (int(frame.pts or 0), visible_md5(frame))
            for frame in decode_frames(
                str(self.path),
                self.facts,
                index or self.index,
                start_pts=start_pts,
                end_pts=end_pts,
                counters=self.counters,
            )
        ]

    def failure(self) -> MediaError:
        """Return why decoding all of it fails; the message names the file."""
        with pytest.raises(MediaError, match=self.path.name) as caught:
            self.frames(int(self.index.pts[0]), self.index.end_pts)
        return caught.value


def check_spans(source: Source, expected: Frames) -> None:
    """Compare spans that begin at, just before and in the middle behind every keyframe."""
    starts = {0}
    for pts in source.index.keyframe_pts[1:]:
        number = int(np.searchsorted(source.index.pts, pts))
        starts |= {number - 1, number, min(number + 5, len(expected) - 1)}
    for start in sorted(starts):
        wanted = expected[start : start + 7]
        behind = expected[start + 7][0] if start + 7 < len(expected) else source.index.end_pts
        assert source.frames(wanted[0][0], behind) == wanted
        assert source.counters.num_restarts == 0


@pytest.mark.parametrize("name", GOOD)
def test_real_videos_decode_to_ffmpegs_frames(real_videos: Path, name: str) -> None:
    source = Source(real_videos / name)
    expected = source.oracle()
    if name != "tc_nasa_13013.mp4":  # whose row is about the other stream
        assert len(expected) == int(read_manifest(real_videos)[name]["frames_decoded"])
    assert source.frames(expected[0][0], source.index.end_pts) == expected
    assert source.counters == DecodeCounters(num_decoded=len(expected), num_restarts=0)
    first, behind = len(expected) * 6 // 10, min(len(expected) * 6 // 10 + 20, len(expected) - 1)
    middle = source.frames(expected[first][0], expected[behind][0])
    assert middle == expected[first:behind]


@pytest.mark.parametrize(
    "name", ["fate_hevc_dv84.mp4", "imageio_cockatoo.mp4", "opencv_vtest.avi", "skv_bikes.mp4"]
)
def test_every_entry_into_a_real_video_gives_the_frames_of_one_pass(
    real_videos: Path, name: str
) -> None:
    # The cockatoo decodes to garbage unless the decoder has seen the stream's first packet.
    source = Source(real_videos / name)
    check_spans(source, source.oracle())


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("b.mp4", VideoSpec(b_frames=2)),
        ("b.mov", VideoSpec(b_frames=2, frame_ticks=(40, 20, 70))),
        ("b.mkv", VideoSpec(b_frames=2, audio="aac")),
        ("b.ts", VideoSpec(b_frames=2, audio="aac")),
        ("b.flv", VideoSpec(b_frames=2, audio="aac")),
        ("open.mp4", VideoSpec(seconds=3, b_frames=3, encoder_options=OPEN_GOP)),
        ("open.mkv", VideoSpec(seconds=3, b_frames=3, encoder_options=OPEN_GOP)),
        ("open.ts", VideoSpec(seconds=3, b_frames=3, encoder_options=OPEN_GOP)),
        ("hevc.mp4", VideoSpec(codec="libx265", encoder_options=X265, b_frames=2)),
        ("hevc.ts", VideoSpec(codec="libx265", encoder_options=X265, b_frames=2)),
        ("vp8.webm", VideoSpec(codec="libvpx", encoder_options=(("lag-in-frames", "16"),))),
        ("vp9.webm", VideoSpec(codec="libvpx-vp9", encoder_options=(("lag-in-frames", "16"),))),
        ("av1.mp4", VideoSpec(codec="libsvtav1", encoder_options=(("preset", "10"),))),
        ("av1.mkv", VideoSpec(codec="libsvtav1", encoder_options=(("preset", "10"),))),
        ("mpeg4.avi", VideoSpec(codec="mpeg4")),
        ("mpeg4b.avi", VideoSpec(codec="mpeg4", b_frames=2)),
        ("mpeg4b.mp4", VideoSpec(codec="mpeg4", b_frames=2)),
        ("ten.mp4", VideoSpec(pixel_format="yuv420p10le", b_frames=2)),
        ("odd.mkv", VideoSpec(pixel_format="yuv444p", size=(97, 65), b_frames=2)),
    ],
)
def test_every_entry_gives_the_frames_of_one_pass(
    made_video: MakeVideo, name: str, spec: VideoSpec
) -> None:
    source = Source(made_video(name, spec))
    expected = source.oracle()
    assert len(expected) == spec.num_frames
    assert source.frames(expected[0][0], source.index.end_pts) == expected
    check_spans(source, expected)


@pytest.mark.parametrize("name", ["d.mp4", "d.mkv", "d.ts", "d.flv"])
def test_only_the_span_and_its_gop_are_decoded(made_video: MakeVideo, name: str) -> None:
    source = Source(made_video(name, VideoSpec(seconds=6, b_frames=2)))
    pts = source.index.pts
    assert len(source.frames(int(pts[120]), int(pts[124]))) == 4
    # Entry keyframe 120, 4 frames, at most 2 B-frames of look-ahead and the first packet.
    assert source.counters.num_decoded <= 4 + 2 + 1
    assert source.counters.num_restarts == 0
    assert len(source.frames(int(pts[131]), int(pts[132]))) == 1
    assert source.counters.num_decoded <= 12 + 2 + 1


def test_a_video_with_one_keyframe_is_decoded_once(made_video: MakeVideo) -> None:
    source = Source(made_video("one.mp4", VideoSpec(keyframe_every=0, b_frames=2)))
    pts = source.index.pts
    assert len(source.frames(int(pts[0]), source.index.end_pts)) == 50
    assert source.counters.num_decoded == 50
    source.frames(int(pts[0]), int(pts[10]))
    assert source.counters.num_decoded <= 13


def test_a_seek_that_lands_late_is_repeated_further_back(made_video: MakeVideo) -> None:
    source = Source(made_video("late.ts", VideoSpec(seconds=4, b_frames=2)))
    expected = source.oracle()
    index = source.index
    one_late = dataclasses.replace(index, keyframe_seek=np.roll(index.keyframe_seek, -1))
    assert source.frames(expected[60][0], expected[64][0], one_late) == expected[60:64]
    assert source.counters.num_restarts == 1
    last = np.full_like(index.keyframe_seek, index.keyframe_seek[-1])
    all_late = dataclasses.replace(index, keyframe_seek=last)
    assert source.frames(expected[60][0], expected[64][0], all_late) == expected[60:64]
    assert source.counters.num_restarts >= 2


def test_a_span_without_frames_gives_none(made_video: MakeVideo) -> None:
    source = Source(made_video("b.mp4", VideoSpec(b_frames=2)))
    pts = source.index.pts
    assert source.frames(int(pts[3]) + 1, int(pts[4])) == []
    assert source.frames(source.index.end_pts, source.index.end_pts + 9999) == []
    assert source.counters.num_decoded == 0


def test_an_edited_mp4_shows_only_what_its_edit_list_shows(
    made_video: MakeVideo, tmp_path: Path
) -> None:
    path = tmp_path / "edited.mp4"
    original = made_video("b3.mp4", VideoSpec(seconds=3, b_frames=2))
    ffmpeg("-ss", "0.7", "-t", "1.5", "-i", str(original), "-c", "copy", str(path))
    source = Source(path)
    expected = source.oracle()
    assert source.frames(-99999, source.index.end_pts) == expected
    check_spans(source, expected)


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "h264"])
def test_without_usable_pts_frames_come_in_order_with_times_by_number(
    made_video: MakeVideo, tmp_path: Path, packed: bool
) -> None:
    if packed:
        quiet = (("sc_threshold", "1000000000"),)
        spec = VideoSpec(codec="mpeg4", b_frames=1, encoder_options=quiet)
        path = pack_b_frames(made_video("plain.avi", spec), tmp_path / "packed.avi")
    else:
        path = made_video("h264b.avi", VideoSpec(b_frames=2))
    source = Source(path)
    assert not source.index.pts_usable
    pixels = [md5 for _, md5 in source.oracle()]
    assert len(set(pixels)) == 50
    frames = source.frames(0, source.index.end_pts)
    assert frames == list(zip(range(1, 51), pixels, strict=True))
    assert source.frames(31, 36) == frames[30:35]
    assert source.counters.num_decoded == 35


def test_a_decoder_error_names_file_and_cause(real_videos: Path) -> None:
    error = Source(real_videos / "bad" / "decord_corrupted.mp4").failure()
    assert error.reason == "decode_error"
    assert "Invalid data" in str(error)


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("fate_h264_brokensps.mp4", "192x144.*320x240"),
        ("fate_vp8_frame_size_change.mp4", "1920x1080.*160x90"),
    ],
)
def test_a_changing_frame_size_is_an_error(real_videos: Path, name: str, sizes: str) -> None:
    source = Source(real_videos / "bad" / name)
    with pytest.raises(MediaError, match=sizes) as caught:
        source.frames(int(source.index.pts[0]), source.index.end_pts)
    assert caught.value.reason == "frame_size_change"


def test_frames_that_do_not_come_are_missed(made_video: MakeVideo) -> None:
    source = Source(made_video("b.mp4", VideoSpec(b_frames=2)))
    pts = source.index.pts
    more = dataclasses.replace(source.index, pts=np.append(pts, pts[-1] + 512))
    with pytest.raises(MediaError, match="promise 1 more frames") as caught:
        source.frames(int(pts[40]), int(pts[-1]) + 1024, more)
    assert caught.value.reason == "truncated"
    other = dataclasses.replace(source.index, pts=np.insert(pts, 46, pts[45] + 100))
    with pytest.raises(MediaError, match=f"needed the frame at PTS {pts[45] + 100}") as caught:
        source.frames(int(pts[40]), source.index.end_pts, other)
    assert caught.value.reason == "decode_error"


def test_damage_behind_the_span_does_no_harm(real_videos: Path) -> None:
    source = Source(real_videos / "bad" / "decord_corrupted.mp4")
    pts = source.index.pts
    expected = source.oracle()[:20]
    assert source.frames(int(pts[0]), int(pts[20])) == expected


def test_frames_that_lean_on_what_was_cut_away_are_left_out(
    made_video: MakeVideo, tmp_path: Path
) -> None:
    spec = VideoSpec(seconds=4, b_frames=3, keyframe_every=0, encoder_options=OPEN_GOP)
    whole = Source(made_video("open.ts", spec))
    keyframes = whole.index.keyframe_pts
    assert len(keyframes) > 4
    path = tmp_path / "joined_late.ts"
    data = whole.path.read_bytes()
    path.write_bytes(data[len(data) // 188 // 2 * 188 :])
    source = Source(path)
    # The first whole GOP is open: B-frames shown before its keyframe need the GOP before it.
    first = int(source.index.pts[0])
    assert first in keyframes
    expected = [frame for frame in whole.oracle() if frame[0] >= first]
    assert source.frames(first, source.index.end_pts) == expected
    assert source.facts.first_pts == first
