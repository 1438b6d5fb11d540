"""Clips of copied packets: the source's frames bit for bit, from a keyframe on, no neighbour's."""

from __future__ import annotations

import functools
import itertools
import json
import tarfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import pytest
from coded_video import Made, frame_times, keyframe_numbers, make_coded
from ffmpeg_oracle import ffmpeg, frame_hashes
from hypothesis import given
from hypothesis import strategies as st
from manifest import GOOD as GOOD_FILES
from run_command import Curated
from sound_oracle import heard, lag_and_likeness
from trial_cut import stream_line, trial_cut
from wrong_use import split, use

from beam_pipeline.cli import main
from transforms.media.clip_form import ClipForm
from transforms.media.copy_packets import whole_prefix
from transforms.media.cut import CutResult
from transforms.media.encode import resolve_encoder
from transforms.media.probe import probe
from transforms.media.transcode_options import Transcode

COPY = resolve_encoder(Transcode(transcode_encoder="copy"))[0]
PIXELS = ("-pix_fmt", "yuv420p")
X264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "20", *PIXELS, "-bf", "3")
CLOSED = ("-x264-params", "keyint=12:min-keyint=12:scenecut=0:b-pyramid=normal:b-adapt=0")
OPEN = ("-x264-params", "keyint=12:min-keyint=12:scenecut=0:open-gop=1:b-adapt=0")
X265 = ("-c:v", "libx265", "-preset", "ultrafast", *PIXELS, "-x265-params")
GOP = "log-level=none:keyint=12:min-keyint=12:scenecut=0:bframes=3:b-adapt=0"
SOUND = ("-f", "lavfi", "-i", "aevalsrc=0.5*sin(2000*t*t):s=48000:d=3")
VFR = ("-vf", "settb=1/1000,setpts=N*40+13*mod(N\\,3)+200*gte(N\\,40)", "-fps_mode", "passthrough")
VFR_BASE = ("-enc_time_base", "1/1000", "-video_track_timescale", "1000")
GOOD = {
    "mp4": Made("a.mp4", (*X264, *CLOSED)),
    "mkv": Made("a.mkv", (*X264, *CLOSED), rate="24000/1001"),
    "ts": Made("a.ts", (*X264, *CLOSED, "-c:a", "aac"), sound=SOUND),
    "flv": Made("a.flv", (*X264, *CLOSED)),
    "uneven": Made("vfr.mp4", (*X264, *CLOSED, *VFR, *VFR_BASE)),
    "hevc closed": Made("b.mp4", (*X265, f"{GOP}:open-gop=0")),
    "hevc open": Made("c.mkv", (*X265, f"{GOP}:open-gop=1")),
    "mpeg4": Made("d.mp4", ("-c:v", "mpeg4", "-q:v", "3", "-g", "12", "-bf", "2")),
    "vp9": Made("e.webm", ("-c:v", "libvpx-vp9", *PIXELS, "-g", "12", "-cpu-used", "8")),
    "av1": Made("f.mp4", ("-c:v", "libsvtav1", *PIXELS, "-g", "12", "-preset", "12")),
}
BOUNDS = (Fraction(0), Fraction(24, 25), Fraction(41, 25), Fraction(58, 25), None)
WHY_NOT = {
    "decord_video_90.mov": "turned by 90 degrees",
    "fate_hevc_dv84.mp4": "turned by 90 degrees",
    "mpy_fire2.mp4": "turned by 180 degrees",
    "mpy_big_buck_bunny_0_30.webm": "vp8 does not fit into mp4",
    "opencv_vtest.avi": "msmpeg4v3 does not fit into mp4",
}
"""Real videos of which nothing can be copied."""
KEYS = range(0, 75, 12)
"""Numbers of the frames at which every source here has a keyframe."""


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Made], Path]:
    folder = tmp_path_factory.mktemp("copy")
    return functools.cache(lambda made: make_coded(folder, made))


def numbers_of(path: Path, result: CutResult) -> list[int]:
    """Return which frames of the source a clip holds; they must be those, bit for bit, in time."""
    assert result.failure is None, result.failure
    assert result.path is not None
    assert result.made_by == "copy"
    source, clip = frame_hashes(path), frame_hashes(result.path)
    first, end = result.source_span_pts
    numbers = [number for number, (pts, _) in enumerate(source) if first <= pts < end]
    assert [code for _, code in clip] == [source[number][1] for number in numbers]
    times = frame_times(path)
    assert frame_times(result.path) == [times[number] - times[numbers[0]] for number in numbers]
    assert result.num_frames == len(numbers)
    return numbers


def own_frames(path: Path, start: Fraction | None, end: Fraction | None) -> list[int]:
    times = frame_times(path)
    return [
        number
        for number, time in enumerate(times)
        if (start or 0) <= time - times[0] and (end is None or time - times[0] < end)
    ]


@pytest.mark.parametrize("kind", GOOD)
def test_frames_are_the_sources_own_bit_for_bit(
    kind: str, coded: Callable[[Made], Path], tmp_path: Path
) -> None:
    path = coded(GOOD[kind])
    results = trial_cut(path, tmp_path, ClipForm(), bounds=BOUNDS, encode=COPY)
    for (start, end), result in zip(itertools.pairwise(BOUNDS), results, strict=True):
        own = own_frames(path, start, end)
        numbers = numbers_of(path, result)
        assert numbers[0] == next(number for number in own if number in KEYS)
        assert set(numbers) <= set(own), "no frame of a neighbour"
        # Frames that need one behind the span, at most those between two reference frames.
        lost = own[-1] - numbers[-1]
        assert lost <= 3
        if own[-1] + 1 in KEYS and kind not in {"hevc open", "mpeg4"}:
            assert lost == 0, "a keyframe follows that nothing refers across"
        assert result.path
        assert keyframe_numbers(result.path)[0] == 0


def test_the_same_span_gives_the_same_bytes(coded: Callable[[Made], Path], tmp_path: Path) -> None:
    path = coded(GOOD["ts"])
    all_of_them = trial_cut(path, tmp_path / "a", ClipForm(), bounds=BOUNDS, encode=COPY)
    alone = trial_cut(path, tmp_path / "b", ClipForm(), bounds=BOUNDS[1:3], encode=COPY)
    assert all_of_them[1].path
    assert alone[0].path
    assert all_of_them[1].path.read_bytes() == alone[0].path.read_bytes()


def test_x264_open_gops_are_no_beginning(coded: Callable[[Made], Path], tmp_path: Path) -> None:
    path = coded(Made("open.mp4", (*X264, *OPEN)))
    with av.open(str(path)) as container:
        keys = [p for p in container.demux(video=0) if p.size and p.is_keyframe]
    assert len(keys) > 3, "the container calls them keyframes"
    first, *others = trial_cut(path, tmp_path, ClipForm(), bounds=BOUNDS, encode=COPY)
    assert numbers_of(path, first)[0] == 0
    for result in others:
        assert result.failure is not None
        assert result.failure[0] == "no_keyframe"
        assert "in the span from second" in result.failure[1]
        assert result.path is None


def test_leading_pictures_are_left_out(coded: Callable[[Made], Path], tmp_path: Path) -> None:
    path = coded(GOOD["hevc open"])
    with av.open(str(path)) as container:
        stored = [packet.pts or 0 for packet in container.demux(video=0) if packet.size]
    assert any(later < before for before, later in itertools.pairwise(stored)), "it reorders"
    results = trial_cut(path, tmp_path, ClipForm(), bounds=(Fraction(1, 2), None), encode=COPY)
    numbers = numbers_of(path, results[0])
    assert numbers == list(range(24, 75))
    assert results[0].path
    with av.open(str(results[0].path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    assert len(packets) == 51, "nothing hidden lies in the file"
    assert not any(packet.is_discard for packet in packets)


def test_frames_that_an_edit_list_hides_stay_out(
    coded: Callable[[Made], Path], tmp_path: Path
) -> None:
    path = tmp_path / "edited.mp4"
    ffmpeg("-ss", "0.2", "-i", str(coded(GOOD["mp4"])), "-c", "copy", str(path))
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    assert sum(packet.is_discard for packet in packets) >= 3
    assert len(frame_hashes(path)) == 70
    whole, last = trial_cut(
        path, tmp_path / "a", ClipForm(), bounds=(Fraction(0), Fraction(2), None), encode=COPY
    )
    # Frame 12 of the original, the first keyframe that is shown, is number 7 here.
    assert numbers_of(path, whole)[0] == 7
    assert numbers_of(path, last) == list(range(55, 70))


def test_a_source_that_breaks_off_is_copied_up_to_there(
    coded: Callable[[Made], Path], tmp_path: Path
) -> None:
    whole, path = coded(GOOD["mkv"]), tmp_path / "short.mkv"
    data = whole.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    bounds = (Fraction(0), Fraction(1), None)
    good, short = trial_cut(
        path, tmp_path / "b", ClipForm(), bounds=bounds, encode=COPY, keep_prefix=0.1
    )
    assert (good.truncated, short.truncated) == ("", "truncated")
    for result in (good, short):
        assert result.path
        assert numbers_of(whole, result)[0] in KEYS


@pytest.mark.parametrize(
    ("made", "needle"),
    [
        (
            Made("v.webm", ("-c:v", "libvpx", *PIXELS, "-g", "12")),
            "vp8 does not fit into mp4 (what does: h264, hevc, av1, vp9, mpeg4)",
        ),
        (
            Made("p.avi", ("-c:v", "libx264", *PIXELS, "-bf", "2", "-g", "12")),
            "do not tell when their frames are shown",
        ),
    ],
    ids=["vp8", "no times"],
)
def test_what_cannot_be_copied_says_so(
    made: Made, needle: str, coded: Callable[[Made], Path], tmp_path: Path
) -> None:
    for result in trial_cut(coded(made), tmp_path, ClipForm(), bounds=BOUNDS, encode=COPY):
        assert result.failure is not None
        reason, message = result.failure
        assert reason == "not_copyable"
        assert needle in message
        assert "take another transcode_encoder" in message


def test_turned_and_high_dynamic_range_sources(tmp_path: Path) -> None:
    plain, turned, pq = (tmp_path / name for name in ("plain.mp4", "turned.mp4", "pq.mp4"))
    test = ("-f", "lavfi", "-i", "testsrc2=size=96x64:rate=25:duration=0.4")
    ffmpeg(*test, *X264, str(plain))
    ffmpeg("-display_rotation", "90", "-i", str(plain), "-c", "copy", str(turned))
    tags = "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"
    ffmpeg(*test, *X264, "-x264-params", tags, str(pq))
    for path, needle in ((turned, "turned by"), (pq, "add --keep_hdr")):
        [result] = trial_cut(path, tmp_path / path.stem, ClipForm(), encode=COPY)
        assert result.failure is not None
        assert result.failure[0] == "not_copyable"
        assert needle in result.failure[1]
    [kept] = trial_cut(pq, tmp_path / "kept", ClipForm(keep_hdr=True), encode=COPY)
    assert kept.path
    assert "bt2020nc/bt2020/smpte2084" in stream_line(kept.path)
    assert numbers_of(pq, kept) == list(range(10))


@pytest.mark.parametrize("name", ["a.ts", "sound.mp4", "opus.mkv"])
def test_sound_is_that_of_the_frames(
    name: str, coded: Callable[[Made], Path], tmp_path: Path
) -> None:
    codec = "libopus" if name.endswith("mkv") else "aac"
    path = coded(Made(name, (*X264, *CLOSED, "-c:a", codec), sound=SOUND))
    times = frame_times(path)
    for result in trial_cut(path, tmp_path, ClipForm(), bounds=BOUNDS[:4], encode=COPY):
        numbers = numbers_of(path, result)
        assert result.path
        seconds = 0.9 * float(times[numbers[-1]] - times[numbers[0]])
        wanted = heard(path, times[numbers[0]], seconds=seconds)
        lag, likeness = lag_and_likeness(heard(result.path, Fraction(0), seconds=seconds), wanted)
        assert abs(lag) <= (48 if name.endswith("mkv") else 2), "matroska counts milliseconds"
        assert likeness > 0.9


@given(st.permutations(range(9)), st.integers(1, 9))
def test_a_whole_prefix_is_the_longest_one(stored: list[int], most: int) -> None:
    stored = [pts for pts in stored if pts < most]
    shown = list(range(most))
    found = whole_prefix(stored, shown)
    good = [n for n in range(most + 1) if sorted(stored[:n]) == shown[:n]]
    assert found == max(good)


@pytest.mark.parametrize("name", GOOD_FILES)
def test_real_videos(name: str, real_videos: Path, tmp_path: Path) -> None:
    path = real_videos / name
    facts = probe(str(path), name=name, num_bytes=path.stat().st_size)
    bounds = tuple(Fraction(n) for n in range(0, min(7, int(facts.duration_seconds) + 1), 2))
    bounds = bounds if len(bounds) > 1 else (Fraction(0), None)
    form = ClipForm(keep_hdr=True)
    results = trial_cut(path, tmp_path, form, bounds=bounds, encode=COPY)
    if name in WHY_NOT:
        told = [result.failure[1] for result in results if result.failure]
        assert [WHY_NOT[name] in message for message in told] == [True] * len(results)
        return
    source = frame_hashes(path, stream=facts.stream_index)
    copied = 0
    for (start, end), result in zip(itertools.pairwise(bounds), results, strict=True):
        if result.failure is not None:
            assert result.failure[0] == "no_keyframe"
            continue
        assert result.path
        first, behind = result.source_span_pts
        assert first >= source[0][0] + (start or 0) / facts.time_base
        own = [code for pts, code in source if first <= pts < behind]
        assert [code for _, code in frame_hashes(result.path)] == own
        assert len(own) == result.num_frames > 0
        if end is not None:
            last = [pts for pts, _ in source if first <= pts < behind][-1]
            assert last < source[0][0] + end / facts.time_base
        copied += 1
    assert copied


def test_a_run(coded: Callable[[Made], Path], tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    moving = ("-f", "lavfi", "-i", "testsrc2=size=320x256:rate=25:duration=12")
    made = {"h264.mp4": (*X264, "-g", "50"), "hevc.mp4": (*X265, f"{GOP}:open-gop=0")}
    for name, output in made.items():
        ffmpeg(*moving, *output, str(raw / name))
    make_coded(raw, Made("one_key.mp4", (*X264, "-g", "900"), num_frames=100))
    run = Curated.below(tmp_path, raw)
    cut = ("--transcode_encoder", "copy", "--fixed_stride_split_duration", "10.3")
    looks = ("--motion_filter", "score-only", "--black_filter", "score-only")
    windows = ("--captioning_window_size", "100", "--captioning_remainder_threshold", "50")
    options = (*cut, *looks, *windows, "--generate_previews")
    assert run.curate(*options) == 0
    before = run.trees()
    metas = {Path(meta["source_video"]).name: meta for meta in run.metas().values()}
    for name in made:
        meta = metas[name]
        assert (meta["made_by"], meta["video_codec"]) == ("copy", name.split(".")[0])
        shown = [code for _, code in frame_hashes(Path(meta["clip_location"]))]
        assert shown == [code for _, code in frame_hashes(raw / name)][: meta["num_frames"]]
        assert 254 <= meta["num_frames"] <= 258, "10.3 s are 257.5 frames"
        assert meta["motion_score"]["global_mean"] > 0
        assert [window["start_frame"] for window in meta["windows"]] == [0, 100, 200]
        assert len(meta["previews"]) == 3
    counts = [len(frame_times(path)) for path in sample_videos(run, tmp_path)]
    assert sum(counts) == sum(meta["num_frames"] for meta in metas.values())
    assert sorted(counts)[-2:] == [100, 100]
    assert main(["verify", str(run.out)]) == 0
    assert run.curate(*options) == 0
    assert run.trees() == before


def sample_videos(run: Curated, target: Path) -> list[Path]:
    """Return the mp4 of every sample in the tars of videos."""
    found = []
    for number, path in enumerate(sorted(run.dataset.rglob("video/*/*.tar"))):
        folder = target / f"tar{number}"
        folder.mkdir()
        with tarfile.open(path) as tar:
            for member in tar:
                stored = tar.extractfile(member)
                assert stored is not None
                (folder / Path(member.name).name).write_bytes(stored.read())
        found += sorted(folder.glob("*.mp4"))
    return found


def test_clips_without_a_keyframe_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    make_coded(raw, Made("a.mp4", (*X264, "-g", "900")))
    copy = ("--transcode_encoder", "copy")
    ended = use(capsys, *split(raw, tmp_path / "out", *copy))
    assert ended.status == 3
    assert "cut no_keyframe (2 times)" in ended.out
    [meta] = [json.loads(path.read_text()) for path in (tmp_path / "out/metas/v0").iterdir()]
    assert (meta["made_by"], meta["source_span_pts"][0]) == ("copy", 0)
    again = use(capsys, *split(raw, tmp_path / "out"))
    assert again.status == 2
    again.told("transcode_encoder: was 'copy', now 'auto'")


def test_clips_that_become_too_short_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    # Keyframes at seconds 0, 0.8, 1.6 and 2.4; of the second clip 0.4 s are left, of the third 0.6.
    closed = ("-x264-params", "keyint=20:min-keyint=20:scenecut=0", "-bf", "0")
    make_coded(raw, Made("a.mp4", (*X264, *closed)))
    ended = use(capsys, *split(raw, tmp_path / "out", "--transcode_encoder", "copy"))
    assert ended.status == 3
    [path] = (tmp_path / "out" / "failures" / "cut").iterdir()
    told = json.loads(path.read_text())
    assert told["reason"] == "too_short"
    assert "lasts 0.400 s, less than the 0.5 s of fixed_stride_min_clip_length_s" in told["message"]
    metas = [json.loads(one.read_text()) for one in (tmp_path / "out/metas/v0").iterdir()]
    assert sorted(meta["num_frames"] for meta in metas) == [15, 25]


@pytest.mark.parametrize(
    "option",
    [
        ("--transcode_crf", "20"),
        ("--transcode_use_input_video_bit_rate",),
        ("--transcode_max_output_frames", "20"),
        ("--crop_black_bars",),
        ("--clip_width", "64"),
        ("--clip_height", "64"),
        ("--clip_fps", "10"),
        ("--clip_frame_multiple", "8n+1"),
    ],
    ids=lambda option: option[0][2:],
)
def test_what_only_encoding_can_do_is_refused(
    option: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    ended = use(capsys, *split(raw, tmp_path / "out", "--transcode_encoder", "copy", *option))
    assert ended.status == 2
    ended.told("transcode_encoder=copy", f"{option[0][2:]}=", "leave", "libx264")
    assert len(ended.complaints) == 1
    assert not (tmp_path / "out").exists()
