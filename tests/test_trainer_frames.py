"""Clips of the rate and frame count that a trainer wants, told frame by frame."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from math import floor
from pathlib import Path

import av
import numpy as np
import pytest
from coded_video import Made, frame_times, keyframe_numbers, make_coded, read_codes
from records_for_tests import make_facts
from run_command import Curated
from trial_cut import stream_line, trial_cut

from beam_pipeline.cli import main
from transforms.media.clip_form import ClipForm
from transforms.media.cut import CutResult
from transforms.media.cut_plan import ClipPlan
from transforms.media.frame_choice import fitted
from transforms.media.packet_index import PacketIndex
from transforms.media.trainer_options import TrainerClips, exact_rate

X264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-pix_fmt", "yuv420p", "-g", "12")
VFR = ("-vf", "settb=1/1000,setpts=N*40+13*mod(N\\,3)+200*gte(N\\,40)", "-fps_mode", "passthrough")
VFR_BASE = ("-enc_time_base", "1/1000", "-video_track_timescale", "1000")
SOUND = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=3")
PAL = Made("pal.mp4", X264)
NTSC = Made("ntsc.mp4", X264, rate="30000/1001")
UNEVEN = Made("vfr.mp4", (*X264, *VFR, *VFR_BASE))
MATROSKA = Made("ticks.mkv", X264, rate="24000/1001")
SOUNDING = Made("sound.mp4", (*X264, "-c:a", "aac", "-shortest"), sound=SOUND)
PACKED = Made("packed.avi", ("-c:v", "mpeg4", "-q:v", "3", "-g", "20", "-bf", "2"))
BOUNDS = (Fraction(0), Fraction(16, 25), Fraction(37, 20), None)


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Made], Path]:
    folder = tmp_path_factory.mktemp("coded")
    return functools.cache(lambda made: make_coded(folder, made))


def own_frames(times: Sequence[Fraction], start: Fraction, end: Fraction | None) -> list[int]:
    """Return the numbers of the frames whose time lies in the span."""
    return [
        number
        for number, time in enumerate(times)
        if start <= time - times[0] and (end is None or time - times[0] < end)
    ]


def nearest(times: Sequence[Fraction], own: Sequence[int], rate: Fraction, count: int) -> list[int]:
    """Return, for each place of the grid, the nearest frame, by trying them all."""
    return [
        min(own, key=lambda n: (abs(times[n] - times[own[0]] - place / rate), n))
        for place in range(count)
    ]


def path_of(result: CutResult) -> Path:
    assert result.failure is None
    assert result.path is not None
    return result.path


@pytest.mark.parametrize("made", [PAL, NTSC, UNEVEN, MATROSKA], ids=lambda made: made.name)
@pytest.mark.parametrize("fps", [10, 23.976, 60])
def test_frames_are_the_nearest_on_a_grid(
    made: Made, fps: float, coded: Callable[[Made], Path], tmp_path: Path
) -> None:
    path, rate = coded(made), exact_rate(fps)
    times = frame_times(path)

    results = trial_cut(path, tmp_path, ClipForm(rate=rate), bounds=BOUNDS)

    for (start, end), result in zip(pairwise(BOUNDS), results, strict=True):
        own = own_frames(times, start or Fraction(0), end)
        clip = path_of(result)
        first_pts, end_pts = result.source_span_pts
        with av.open(str(path)) as container:
            time_base = container.streams.video[0].time_base
        assert time_base is not None
        count = floor((end_pts - first_pts) * time_base * rate + Fraction(1, 2))
        expected = nearest(times, own, rate, count)
        assert read_codes(clip) == expected
        assert frame_times(clip) == [place / rate for place in range(count)]
        assert result.num_frames == count
        shown = set(expected)
        assert result.repeated_dropped == (count - len(shown), len(own) - len(shown))
        assert keyframe_numbers(clip) == [0]
        with av.open(str(clip)) as container:
            assert container.streams.video[0].average_rate == rate


def test_the_same_rate_changes_no_frame(coded: Callable[[Made], Path], tmp_path: Path) -> None:
    [result] = trial_cut(coded(PAL), tmp_path, ClipForm(rate=Fraction(25)))
    assert result.repeated_dropped == (0, 0)
    assert read_codes(path_of(result)) == list(range(75))


def test_two_runs_give_the_same_bytes(coded: Callable[[Made], Path], tmp_path: Path) -> None:
    form = ClipForm(rate=Fraction(12), frame_multiple=4)
    first = trial_cut(coded(UNEVEN), tmp_path / "a", form, bounds=BOUNDS[:3])
    again = trial_cut(coded(UNEVEN), tmp_path / "b", form, bounds=BOUNDS[:3])
    assert [path_of(one).read_bytes() for one in first] == [
        path_of(one).read_bytes() for one in again
    ]


def sound_packets(path: Path) -> list[tuple[int, bytes]]:
    with av.open(str(path)) as container:
        return [
            (packet.pts or 0, bytes(packet))
            for packet in container.demux(container.streams.audio[0])
            if packet.size
        ]


def test_sound_stays_as_it_is(coded: Callable[[Made], Path], tmp_path: Path) -> None:
    path = coded(SOUNDING)
    plain = trial_cut(path, tmp_path / "a", ClipForm(), bounds=BOUNDS)
    slow = trial_cut(path, tmp_path / "b", ClipForm(rate=Fraction(7)), bounds=BOUNDS)
    for one, other in zip(plain, slow, strict=True):
        assert sound_packets(path_of(one)) == sound_packets(path_of(other))
    [trimmed] = trial_cut(path, tmp_path / "c", ClipForm(frame_multiple=8))
    seconds = trimmed.num_frames / 25
    last = sound_packets(path_of(trimmed))[-1][0] / 48000
    assert seconds - 0.1 < last < seconds + 0.1


@pytest.mark.parametrize(("multiple", "counts"), [(4, [13, 29, 29]), (8, [9, 25, 25])])
def test_tails_are_trimmed(
    multiple: int, counts: list[int], coded: Callable[[Made], Path], tmp_path: Path
) -> None:
    bounds = (Fraction(0), Fraction(16, 25), Fraction(46, 25), None)
    form = ClipForm(frame_multiple=multiple)
    results = trial_cut(coded(PAL), tmp_path, form, bounds=bounds)
    for start, count, result in zip([0, 16, 46], counts, results, strict=True):
        frames = list(range(start, start + count))
        assert read_codes(path_of(result)) == frames
        assert result.num_frames == count
        ticks = result.source_span_pts[1] - result.source_span_pts[0]
        assert ticks == count * 512, "25 fps in 1/12800 s: the span ends where the frames end"
        assert result.repeated_dropped is None


def test_a_multiple_after_a_rate(coded: Callable[[Made], Path], tmp_path: Path) -> None:
    form = ClipForm(rate=Fraction(10), frame_multiple=8)
    [result] = trial_cut(coded(PAL), tmp_path, form)
    assert result.num_frames == 25, "30 frames of 3 seconds, trimmed"
    times = [Fraction(n, 25) for n in range(75)]
    expected = nearest(times, range(75), Fraction(10), 25)
    assert read_codes(path_of(result)) == expected
    assert result.source_span_pts == (0, 32000), "2.5 s in 1/12800 s"
    assert result.repeated_dropped == (0, 63 - 25), "63 frames begin within 2.5 seconds"


def test_too_few_frames_for_the_multiple(coded: Callable[[Made], Path], tmp_path: Path) -> None:
    bounds = (Fraction(0), Fraction(8, 25), Fraction(17, 25))
    short, enough = trial_cut(coded(PAL), tmp_path, ClipForm(frame_multiple=8), bounds=bounds)
    assert short.failure is not None
    assert short.failure[0] == "too_few_frames"
    assert (
        "the clip has 8 frames, fewer than the 9 that clip_frame_multiple 8n+1"
        in (short.failure[1])
    )
    assert short.path is None
    assert read_codes(path_of(enough)) == list(range(8, 17))


@pytest.mark.parametrize(
    ("seconds", "most", "count", "rate"),
    [
        (3, 75, 75, "25"),
        (3, 74, 74, "74/3"),
        (3, 18, 18, "6"),
        (2, 49, 49, "49/2"),
        (1, 99, 25, "25"),
    ],
)
def test_a_largest_count_lowers_the_rate(
    seconds: int,
    most: int,
    count: int,
    rate: str,
    coded: Callable[[Made], Path],
    tmp_path: Path,
) -> None:
    bounds = (Fraction(0), Fraction(seconds))
    [result] = trial_cut(coded(PAL), tmp_path, ClipForm(max_frames=most), bounds=bounds)
    clip = path_of(result)
    assert result.num_frames == count == len(read_codes(clip))
    times = [Fraction(n, 25) for n in range(25 * seconds)]
    assert read_codes(clip) == nearest(times, range(len(times)), Fraction(rate), count)
    assert frame_times(clip) == [place / Fraction(rate) for place in range(count)]
    lowered = None if count == 25 * seconds else (0, 25 * seconds - count)
    assert result.repeated_dropped == lowered


def index_of(count: int, ticks: int) -> PacketIndex:
    zero = np.zeros(1, np.int64)
    pts = np.arange(count, dtype=np.int64) * ticks
    return PacketIndex(pts, zero, zero, zero, zero, count * ticks, True, True, count)


@pytest.mark.parametrize(
    ("fps", "seconds", "rate"), [(30, 30, Fraction(31, 5)), (10, 5, None)], ids=str
)
def test_upstreams_example_of_a_largest_count(
    fps: int, seconds: int, rate: Fraction | None
) -> None:
    """Contract 1.6: with 186, 30 s at 30 fps come down to 6.2 fps; 5 s at 10 fps stay."""
    facts = make_facts(time_base=Fraction(1, 600), average_rate=Fraction(fps))
    count, ticks = fps * seconds, 600 // fps
    whole = ClipPlan("a", (0, count * ticks), 0, count, (0, count * ticks))
    plan = fitted(whole, ClipForm(max_frames=186), index_of(count, ticks), facts)
    assert (plan.choice and plan.choice.rate) == rate
    assert plan.num_shown == min(count, 186)


def damaged(path: Path, folder: Path, *, frame: int) -> Path:
    """Return a copy in which the packet of frame ``frame`` is noise."""
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(container.streams.video[0]) if p.size]
    packets.sort(key=lambda packet: packet.pts or 0)
    packet = packets[frame]
    data = bytearray(path.read_bytes())
    assert packet.pos is not None
    data[packet.pos + 4 : packet.pos + packet.size] = b"\x00" * (packet.size - 4)
    copy = folder / f"damaged_{path.name}"
    copy.write_bytes(data)
    return copy


def test_what_a_fault_leaves_still_has_the_form(
    coded: Callable[[Made], Path], tmp_path: Path
) -> None:
    path = damaged(coded(Made("flat.mp4", (*X264, "-bf", "0"))), tmp_path, frame=30)
    bounds = (Fraction(0), Fraction(40, 25), None)
    form = ClipForm(frame_multiple=8)
    [plain, _] = trial_cut(path, tmp_path / "a", ClipForm(), bounds=bounds, keep_prefix=0.5)
    assert plain.truncated == "decode_error"
    [kept, _] = trial_cut(path, tmp_path / "b", form, bounds=bounds, keep_prefix=0.5)
    assert kept.truncated == "decode_error"
    assert plain.num_frames > kept.num_frames == form.trimmed(plain.num_frames)
    assert read_codes(path_of(kept)) == list(range(kept.num_frames))
    [slow, _] = trial_cut(
        path, tmp_path / "c", ClipForm(rate=Fraction(5)), bounds=bounds, keep_prefix=0.5
    )
    times = [Fraction(n, 25) for n in range(plain.num_frames)]
    count = floor(Fraction(plain.num_frames, 25) * 5 + Fraction(1, 2))
    assert read_codes(path_of(slow)) == nearest(times, range(len(times)), Fraction(5), count)
    lost, _ = trial_cut(path, tmp_path / "d", form, bounds=bounds)
    assert lost.failure is not None
    assert lost.failure[0] == "decode_error"


def test_sources_whose_packets_do_not_tell_frames(
    coded: Callable[[Made], Path], tmp_path: Path
) -> None:
    path = coded(PACKED)
    form = ClipForm(rate=Fraction(10), frame_multiple=4)
    results = trial_cut(path, tmp_path, form, bounds=(Fraction(0), Fraction(1), None))
    for start, end, result in zip([0, 25], [25, 75], results, strict=True):
        codes = read_codes(path_of(result))
        assert len(codes) % 4 == 1
        assert start <= min(codes) <= max(codes) < end


@pytest.mark.parametrize(
    ("written", "rate"),
    [
        (24, "24"),
        (23.976, "24000/1001"),
        (23.98, "24000/1001"),
        (29.97, "30000/1001"),
        (59.94, "60000/1001"),
        (12.5, "25/2"),
        (0.1, "1/10"),
        (30.0, "30"),
    ],
)
def test_rates_are_exact(written: float, rate: str) -> None:
    assert exact_rate(written) == Fraction(rate)


def test_forms_of_the_options() -> None:
    assert TrainerClips().form() == ClipForm()
    assert ClipForm().definition() == {}
    form = TrainerClips(clip_fps=24, clip_frame_multiple="8n+1", clip_width=96).form()
    assert form == ClipForm(width=96, rate=Fraction(24), frame_multiple=8)
    assert form.definition() == {"width": "96", "rate": "24", "frame_multiple": "8"}
    assert [ClipForm(frame_multiple=4).trimmed(n) for n in (4, 5, 8, 9)] == [0, 5, 5, 9]
    assert ClipForm().trimmed(3) == 3


def test_a_run_counts_and_lists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    make_coded(raw, Made("a.mp4", X264))
    make_coded(raw, Made("b.mp4", X264, num_frames=7))
    run = Curated.below(tmp_path, raw)
    stride = ("--fixed_stride_split_duration", "2", "--fixed_stride_min_clip_length_s", "0.2")
    options = ("--clip_frame_multiple", "8n+1", "--max_failed_share", "1")
    assert run.curate(*stride, *options, "--clip_fps", "30") == 3
    metas = sorted(run.metas().values(), key=lambda meta: meta["duration_span"])
    assert [meta["num_frames"] for meta in metas] == [57, 25]
    assert [meta["framerate"] for meta in metas] == [30.0, 30.0]
    for meta in metas:
        codes = read_codes(Path(meta["clip_location"]))
        assert len(codes) == meta["num_frames"]
        assert meta["frames_repeated"] == len(codes) - len(set(codes)) > 0
        assert meta["frames_dropped"] == 0
        first, end = meta["source_span_pts"]
        assert end - first == round(Fraction(meta["num_frames"] * 12800, 30))
        assert " 30 fps" in stream_line(Path(meta["clip_location"]))
        assert meta["made_by"] == "encode"
    [failure] = (run.out / "failures" / "cut").glob("*.json")
    told = json.loads(failure.read_text())
    assert told["reason"] == "too_few_frames"
    assert re.search(r"b\.mp4.* 8 frames, fewer than the 9", told["message"])
    assert main(["verify", str(run.out)]) == 0
    capsys.readouterr()
    assert run.curate(*stride, *options) == 2
    assert "clip_fps: was 30.0, now None" in capsys.readouterr().err


def test_the_largest_count_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    make_coded(raw, Made("a.mp4", X264))
    run = Curated.below(tmp_path, raw)
    assert run.curate("--transcode_max_output_frames", "30") == 0
    [meta] = run.metas().values()
    assert (meta["num_frames"], meta["framerate"]) == (30, 10.0)
    assert (meta["frames_repeated"], meta["frames_dropped"]) == (0, 45)
    assert run.curate() == 2
    assert "transcode_max_output_frames: was 30, now None" in capsys.readouterr().err
