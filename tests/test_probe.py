"""What ``probe`` says about real and made videos, and how much of them it reads."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from ffmpeg_oracle import ffmpeg, frame_hashes
from make_video import VideoSpec, make_video
from manifest import FIRST_OF_TWO_STREAMS, GOOD, read_manifest

from transforms.errors import MediaError
from transforms.media.packet_index import build_packet_index
from transforms.media.probe import keyframe_pts, probe
from transforms.records import VideoFacts

MakeVideo = Callable[[str, VideoSpec], Path]
CODECS = {"libdav1d": "av1", "msmpeg4": "msmpeg4v3"}
AUDIO = {"mp3float": "mp3", "-": ""}


class CountingReader(io.FileIO):
    """Counts the bytes that are read."""

    num_read = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read and count."""
        data = super().read(-1 if size is None else size)
        self.num_read += len(data)
        return data


def facts_of(path: Path) -> VideoFacts:
    """Probe a local file."""
    return probe(str(path), name=path.name, num_bytes=path.stat().st_size)


def reason_of(path: Path) -> str:
    """Return why the file cannot be probed; its message names the file."""
    with pytest.raises(MediaError) as caught:
        facts_of(path)
    assert path.name in str(caught.value)
    return caught.value.reason


@pytest.mark.parametrize("name", [n for n in GOOD if n != FIRST_OF_TWO_STREAMS])
def test_real_videos_are_described_as_in_the_manifest(real_videos: Path, name: str) -> None:
    row = read_manifest(real_videos)[name]
    facts = facts_of(real_videos / name)
    codec, _, pixel_format = row["codec"].split("/")
    assert facts.codec == CODECS.get(codec, codec)
    assert facts.pixel_format == pixel_format
    assert facts.bit_depth == (10 if pixel_format.endswith("10le") else 8)
    assert f"{facts.width}x{facts.height}" == row["WxH"]
    assert facts.rotation_degrees == -int(row["rotation"]) % 360
    sar = row["sar"]
    assert facts.sample_aspect_ratio == (1 if sar == "None" else Fraction(sar))
    assert facts.average_rate == Fraction(row["fps"])
    assert facts.header_frames == int(row["frames_header"])
    assert facts.audio_codec == AUDIO.get(row["audio"], row["audio"])


@pytest.mark.parametrize("name", GOOD)
def test_first_pts_is_that_of_the_first_decoded_frame(real_videos: Path, name: str) -> None:
    with av.open(str(real_videos / name)) as container:
        facts = facts_of(real_videos / name)
        first = next(container.decode(container.streams[facts.stream_index]))
    assert facts.first_pts == first.pts


def test_colour_tags_have_ffmpegs_names(real_videos: Path) -> None:
    facts = facts_of(real_videos / "fate_hevc_dv84.mp4")
    assert facts.color == ("tv", "bt2020", "arib-std-b67", "bt2020nc")
    assert facts.display_size == (1080, 1920)
    assert facts.num_streams == (1, 1, 3)
    assert facts.container == "mov"
    assert facts_of(real_videos / "nemo_test_video.mp4").color == ("tv", "bt709", "bt709", "bt709")
    assert facts_of(real_videos / "skv_bikes.mp4").color == ("", "", "", "")


def test_of_two_video_streams_the_one_ffmpeg_chooses_is_taken(real_videos: Path) -> None:
    path = real_videos / FIRST_OF_TWO_STREAMS
    facts = facts_of(path)
    chosen = ffmpeg("-i", str(path), "-frames:v", "1", "-f", "framemd5", "-")
    assert f"#dimensions 0: {facts.width}x{facts.height}" in chosen.splitlines()
    assert (facts.stream_index, facts.width, facts.height) == (3, 480, 270)
    assert facts.num_streams == (2, 2, 2)
    assert facts.average_rate == Fraction(30000, 1001)


def test_duration_comes_from_the_packets_when_the_header_has_none(real_videos: Path) -> None:
    facts = facts_of(real_videos / "mpy_no_duration.webm")
    frames = frame_hashes(real_videos / "mpy_no_duration.webm")
    assert facts.notes == ("duration_from_packets",)
    last = frames[-1][0] / 1000
    assert last < facts.duration_seconds <= last + 0.070
    assert facts_of(real_videos / "skv_bikes.mp4").notes == ()


def test_bit_rate_is_upstreams(real_videos: Path) -> None:
    # ffprobe prints 1408144 bit/s for the first; matroska states none (contract 1.4).
    assert facts_of(real_videos / "cosmos_test_clip_10s.mp4").bit_rate_kbit == 1408144 // 1024
    assert facts_of(real_videos / "tc_av1_video.mkv").bit_rate_kbit == 4000


@pytest.mark.parametrize(
    ("name", "spec", "expected"),
    [
        ("a.mp4", VideoSpec(b_frames=2), ("mp4", "h264", 0, True, False)),
        ("a.mov", VideoSpec(codec="mpeg4"), ("mov", "mpeg4", 0, True, False)),
        ("a.mkv", VideoSpec(b_frames=2), ("matroska", "h264", 0, True, False)),
        ("a.webm", VideoSpec(codec="libvpx-vp9"), ("matroska", "vp9", 0, True, False)),
        ("a.avi", VideoSpec(codec="mpeg4"), ("avi", "mpeg4", 0, False, False)),
        ("a.ts", VideoSpec(b_frames=2), ("mpegts", "h264", 7200, False, True)),
        ("a.flv", VideoSpec(b_frames=2), ("flv", "h264", 80, False, True)),
        (
            "fragmented.mp4",
            VideoSpec(container_options=(("movflags", "frag_keyframe+empty_moov"),)),
            ("mp4", "h264", 0, False, True),
        ),
        (
            "no_cues.mkv",
            VideoSpec(container_options=(("live", "1"),)),
            ("matroska", "h264", 0, False, True),
        ),
    ],
)
def test_every_container_is_known(
    made_video: MakeVideo, name: str, spec: VideoSpec, expected: tuple[object, ...]
) -> None:
    facts = facts_of(made_video(name, spec))
    found = (
        facts.container,
        facts.codec,
        facts.first_pts,
        facts.has_keyframe_index,
        facts.needs_full_read,
    )
    assert found == expected
    assert facts.average_rate == 25
    assert not facts.variable_frame_rate


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_variable_frame_rate_is_seen(made_video: MakeVideo, suffix: str) -> None:
    uneven = VideoSpec(frame_ticks=(40, 20, 70), b_frames=2)
    thirds = VideoSpec(frame_ticks=(33, 33, 34), b_frames=2)
    assert facts_of(made_video(f"uneven{suffix}", uneven)).variable_frame_rate
    assert not facts_of(made_video(f"thirds{suffix}", thirds)).variable_frame_rate


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_rotation_is_the_turn_that_shows_the_picture_upright(
    made_video: MakeVideo, turn: int
) -> None:
    path = made_video(f"turned{turn}.mp4", VideoSpec(rotation=turn))
    assert facts_of(path).rotation_degrees == turn
    by_hand = {90: "transpose=clock", 180: "hflip,vflip", 270: "transpose=cclock"}[turn]
    rotated = ffmpeg("-i", str(path), "-f", "md5", "-map", "0:v", "-")
    assert rotated == ffmpeg("-noautorotate", "-i", str(path), "-vf", by_hand, "-f", "md5", "-")


@pytest.mark.parametrize("options", [(), (("movflags", "faststart"),)], ids=["end", "front"])
def test_media_data_is_not_read(
    made_video: MakeVideo, options: tuple[tuple[str, str], ...]
) -> None:
    spec = VideoSpec(
        seconds=4,
        size=(640, 360),
        noise=True,
        b_frames=2,
        audio="aac",
        encoder_options=(("crf", "4"), ("preset", "ultrafast")),
        container_options=options,
    )
    path = made_video("big.mp4", spec)
    assert path.stat().st_size > 30_000_000
    with CountingReader(path) as file:
        facts = probe(file, name="big.mp4", num_bytes=path.stat().st_size)
        assert file.num_read <= 1 << 20
        file.num_read = 0
        keyframes = keyframe_pts(file, facts)
        assert file.num_read <= 1 << 20
    assert keyframes.tolist() == [number * 512 for number in range(0, 100, 12)]


@pytest.mark.parametrize("name", GOOD)
def test_planned_keyframes_lie_near_the_true_ones(real_videos: Path, name: str) -> None:
    path = real_videos / name
    facts = facts_of(path)
    if not facts.has_keyframe_index:
        assert keyframe_pts(str(path), facts).tolist() == []
        return
    planned = keyframe_pts(str(path), facts)
    true = build_packet_index(str(path), facts).keyframe_pts
    assert len(planned) == len(true)
    # An open GOP reorders more than the first one: three frames in the phone file.
    frames_off = 3 if name == "fate_hevc_dv84.mp4" else 0
    assert np.abs(planned - true).max() <= frames_off * 21


@pytest.mark.parametrize(
    "name",
    ['sp ace\'s "q".mp4', "#%03d%.mp4", "new\nline.mp4", "päivä-日本.mp4", "n" * 196 + ".mp4"],
)
def test_any_file_name_works(made_video: MakeVideo, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(made_video("a.mp4", VideoSpec(b_frames=2)).read_bytes())
    assert facts_of(path).header_frames == 50
    assert len(build_packet_index(str(path), facts_of(path)).pts) == 50


def test_a_path_is_never_taken_for_a_protocol(
    made_video: MakeVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pipe:0").write_bytes(made_video("a.mp4", VideoSpec(b_frames=2)).read_bytes())
    assert facts_of(Path("pipe:0")).header_frames == 50


def test_what_is_no_video_has_a_reason(made_video: MakeVideo, tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.touch()
    text = tmp_path / "text.mp4"
    text.write_text("This is a text about a video.\n" * 50)
    picture = tmp_path / "picture.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc=d=1", "-frames:v", "1", "-f", "image2", str(picture))
    sound = tmp_path / "sound.mp4"
    ffmpeg("-f", "lavfi", "-i", "sine=d=1", "-c:a", "aac", str(sound))
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(made_video("a.mp4", VideoSpec(b_frames=2)).read_bytes()[:3000])
    reasons = {path.name: reason_of(path) for path in (empty, text, picture, sound, cut)}
    assert reasons == {
        "empty.mp4": "empty_file",
        "text.mp4": "not_media",
        "picture.mp4": "not_media",
        "sound.mp4": "no_video_stream",
        "cut.mp4": "not_media",
    }


def test_a_playlist_does_not_open_other_files(made_video: MakeVideo, tmp_path: Path) -> None:
    target = made_video("a.ts", VideoSpec(b_frames=2))
    concat = tmp_path / "concat.mp4"
    concat.write_text(f"ffconcat version 1.0\nfile '{target}'\n")
    playlist = tmp_path / "playlist.mp4"
    playlist.write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n" + f"file://{target}\n#EXT-X-ENDLIST\n"
    )
    assert reason_of(concat) == "not_media"
    assert reason_of(playlist) == "not_media"


def test_a_cover_picture_is_no_video(tmp_path: Path) -> None:
    cover, path = tmp_path / "cover.png", tmp_path / "song.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc=d=1", "-frames:v", "1", str(cover))
    inputs = ("-f", "lavfi", "-i", "sine=d=1", "-i", str(cover))
    maps = ("-map", "0", "-map", "1", "-c:v", "png", "-disposition:v", "attached_pic")
    ffmpeg(*inputs, *maps, "-c:a", "aac", str(path))
    assert reason_of(path) == "no_video_stream"


def test_an_encrypted_track_is_named(real_videos: Path) -> None:
    path = real_videos / "bad" / "fate_h264_mov-3elist-encrypted.mp4"
    assert reason_of(path) == "encrypted"


def test_a_missing_file_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"gone\.mp4: the header could not be read") as caught:
        probe(str(tmp_path / "gone.mp4"), name="gone.mp4", num_bytes=1)
    assert caught.value.reason == "unreadable"


def test_a_stream_of_pictures_without_times_lacks_metadata(tmp_path: Path) -> None:
    mp4 = make_video(tmp_path / "one.mp4", VideoSpec(seconds=0.04))
    raw = tmp_path / "one.h264"
    ffmpeg("-i", os.fspath(mp4), "-c", "copy", "-bsf:v", "h264_mp4toannexb", os.fspath(raw))
    assert reason_of(raw) == "no_metadata"
