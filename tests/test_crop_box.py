"""Cutting black bars away: which box, when not, and what becomes of the clips."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from luma_video import Luma, barred, luma_video, moving
from recorded_work import ChildWork
from run_command import Curated

from transforms.errors import MediaError
from transforms.media.crop_box import Extremes, crop_box, upright_box
from transforms.media.crop_probe import decided_crop
from transforms.media.decode import DecodeCounters
from transforms.media.packet_index import build_packet_index
from transforms.media.probe import probe

STRIDE = ("--fixed_stride_split_duration", "2", "--fixed_stride_min_clip_length_s", "1")
SIZE = (192, 128)
BOX = (0, 20, 192, 88)


def extremes(pictures: Sequence[Luma]) -> Extremes:
    return Extremes(np.max(pictures, axis=0), np.min(pictures, axis=0))


def stripes(count: int = 8, size: tuple[int, int] = SIZE) -> list[Luma]:
    return [moving(9 * number, size=size) for number in range(count)]


@pytest.mark.parametrize(
    ("box", "kept"),
    [
        ((0, 20, 192, 88), (0, 20, 192, 88)),
        ((0, 19, 192, 91), (0, 20, 192, 90)),  # inwards to even rows
        ((30, 0, 132, 128), (30, 0, 132, 128)),
        ((30, 20, 132, 88), (30, 20, 132, 88)),
        ((63, 0, 66, 128), (64, 0, 64, 128)),
        ((0, 0, 192, 128), None),
        ((0, 20, 192, 108), None),  # only above: half a pair is no pair
        ((0, 24, 192, 90), None),  # 24 above, 14 below
        ((66, 0, 60, 128), None),  # less than 64 columns would be left
        ((0, 0, 0, 0), None),
    ],
)
def test_the_box(box: tuple[int, int, int, int], kept: tuple[int, int, int, int] | None) -> None:
    assert crop_box(extremes([barred(one, box=box, black=0) for one in stripes()])) == kept


def test_wide_frames_keep_at_least_a_quarter() -> None:
    wide = stripes(size=(800, 128))
    for width, kept in ((204, True), (196, False)):
        box = (400 - width // 2, 0, width, 128)
        found = crop_box(extremes([barred(one, box=box, black=0) for one in wide]))
        assert found == (box if kept else None)


def test_what_may_be_a_dark_scene_is_kept() -> None:
    rows = np.arange(128)[:, None]
    edge = (rows < 20) | (rows >= 108)
    flicker = [
        np.where(edge, 5 + 15 * (n % 2), one).astype(np.uint8) for n, one in enumerate(stripes())
    ]
    assert crop_box(extremes(flicker)) is None, "a bar does not change"
    beside = (rows >= 20) & (rows < 24)
    dusk = [np.where(edge, 0, np.where(beside, 40, one)).astype(np.uint8) for one in stripes()]
    assert crop_box(extremes(dusk)) is None, "the picture beside it is hardly lighter"


def test_turned_boxes() -> None:
    stored = np.arange(48 * 64).reshape(48, 64)
    left, top, width, height = (6, 10, 40, 30)
    inside = stored[top : top + height, left : left + width]
    for degrees in (0, 90, 180, 270):
        shown = np.rot90(stored, -degrees // 90)
        box = upright_box((left, top, width, height), size=(64, 48), rotation_degrees=degrees)
        found = shown[box[1] : box[1] + box[3], box[0] : box[0] + box[2]]
        assert (found == np.rot90(inside, -degrees // 90)).all()


def decide(path: Path, kept: Path) -> tuple[tuple[int, int, int, int] | None, int]:
    with path.open("rb") as file:
        facts = probe(file, name=path.name, num_bytes=path.stat().st_size)
    index, counters = build_packet_index(str(path), facts), DecodeCounters()
    return decided_crop(str(path), facts, index, path=kept, counters=counters), counters.num_decoded


def test_a_decision_stands(tmp_path: Path) -> None:
    path = luma_video(tmp_path / "a.mp4", [barred(one, box=BOX) for one in stripes(50)])
    box, num_decoded = decide(path, tmp_path / "a.crop.npz")
    assert box == BOX
    assert num_decoded >= 50, "two keyframes are few: all of the short video was looked at"
    assert decide(path, tmp_path / "a.crop.npz") == (BOX, 0)
    plain = luma_video(tmp_path / "b.mp4", stripes(10))
    assert decide(plain, tmp_path / "b.crop.npz")[0] is None
    assert decide(plain, tmp_path / "b.crop.npz") == (None, 0)
    (tmp_path / "b.crop.npz").write_bytes(b"torn")
    with pytest.raises(MediaError, match="crop box"):
        decide(plain, tmp_path / "b.crop.npz")


def test_many_keyframes_are_enough(tmp_path: Path) -> None:
    pictures = [barred(one, box=BOX) for one in stripes(120)]
    path = luma_video(tmp_path / "a.mp4", pictures, keyframe_every=5)
    box, num_decoded = decide(path, tmp_path / "a.crop.npz")
    assert box == BOX
    assert num_decoded < 80


def test_a_late_picture_without_bars_keeps_the_frame(tmp_path: Path) -> None:
    pictures = [barred(one, box=BOX) for one in stripes(100)]
    pictures[90:] = stripes(10)
    path = luma_video(tmp_path / "a.mp4", pictures, keyframe_every=10)
    assert decide(path, tmp_path / "a.crop.npz")[0] is None


def test_all_black_fails_by_name_but_a_black_beginning_does_not(tmp_path: Path) -> None:
    black = np.full((128, 192), 16, np.uint8)
    path = luma_video(tmp_path / "black.mp4", [black] * 30)
    with pytest.raises(MediaError, match=r"black\.mp4: crop_black_bars would cut away") as caught:
        decide(path, tmp_path / "black.crop.npz")
    assert caught.value.reason == "all_black"
    late = [black] * 60 + [barred(one, box=BOX) for one in stripes(4)]
    path = luma_video(tmp_path / "late.mp4", late, keyframe_every=1000)
    assert decide(path, tmp_path / "late.crop.npz")[0] == BOX


def test_real_videos(real_videos: Path, tmp_path: Path) -> None:
    expected = {
        "cosmos_test_clip_10s.mp4": (0, 58, 854, 364),
        "tc_nasa_13013.mp4": None,  # a dark scene: black at one side only
        "skv_bikes.mp4": None,
        "synth_cuts_gt.mp4": None,
    }
    found = {
        name: decide(real_videos / name, tmp_path / f"{name}.crop.npz")[0] for name in expected
    }
    assert found == expected
    with pytest.raises(MediaError, match="mpy_no_duration"):
        decide(real_videos / "mpy_no_duration.webm", tmp_path / "black.crop.npz")


def lumas(path: Path) -> list[Luma]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray()[: frame.height] for frame in container.decode(video=0)]


def test_clips_without_bars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    pictures = [barred(moving(n, size=SIZE), box=BOX) for n in range(100)]
    luma_video(raw / "bars.mp4", pictures)
    luma_video(raw / "one.mp4", pictures[:50])
    luma_video(raw / "turned.mp4", pictures[:50], rotation=90)
    luma_video(raw / "plain.mp4", [moving(n, size=SIZE) for n in range(50)])
    luma_video(raw / "black.mp4", [np.full((128, 192), 16, np.uint8)] * 50)
    run = Curated.below(tmp_path, raw)
    options = (*STRIDE, "--crop_black_bars", "--max_failed_share", "1")
    scored = ("--letterbox_filter", "score-only", "--clip_re_chunk_size", "1")
    assert run.curate(*options, *scored) == 3
    found: dict[str, list[dict]] = {}
    for meta in sorted(run.metas().values(), key=lambda meta: meta["duration_span"]):
        found.setdefault(Path(meta["source_video"]).stem, []).append(meta)
    assert {name: len(metas) for name, metas in found.items()} == {
        "bars": 2,
        "one": 1,
        "turned": 1,
        "plain": 1,
    }
    for meta in (*found["bars"], *found["one"]):
        assert (meta["width"], meta["height"], meta["made_by"]) == (192, 88, "encode")
        assert meta["crop_box"] == list(BOX)
        assert meta["scores"]["picture_share"] == 1.0
    [turned] = found["turned"]
    assert (turned["width"], turned["height"]) == (88, 192)
    assert turned["crop_box"] == [20, 0, 88, 192]
    assert found["plain"][0]["made_by"] == "passthrough"
    assert "crop_box" not in found["plain"][0]
    second = lumas(Path(found["bars"][1]["clip_location"]))
    for got, put_in in zip(second, pictures[50:], strict=True):
        assert np.abs(got.astype(int) - put_in[20:108]).mean() < 3, "the very rows inside the box"
    [failure] = (run.out / "failures" / "cut").glob("*.json")
    assert json.loads(failure.read_text())["reason"] == "all_black"

    lost = found["bars"][1]
    expected = run.trees()
    Path(lost["clip_location"]).unlink()
    (run.out / "metas" / "v0" / f"{lost['span_uuid']}.json").unlink()
    [record] = (run.out / "processed_clip_chunks").glob("bars.mp4_*.json")
    record.unlink()
    work = ChildWork.recorded(tmp_path, monkeypatch)
    assert run.curate(*options, *scored) == 3
    assert work.take("cut") == {lost["span_uuid"]: 1}
    assert run.trees() == expected, "a resumed video is cropped alike"


def test_the_option_is_part_of_the_cut_only_while_it_is_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    luma_video(raw / "plain.mp4", [moving(n, size=SIZE) for n in range(50)])
    run = Curated.below(tmp_path, raw)
    assert run.curate(*STRIDE) == 0
    [before] = [meta["stages"]["cut"] for meta in run.metas().values()]
    assert not list((run.out / ".work" / "index").glob("*.crop.npz"))
    assert run.curate(*STRIDE, "--crop_black_bars", "false") == 0
    assert run.curate(*STRIDE, "--crop_black_bars") == 2
    assert "crop_black_bars: was False, now True" in capsys.readouterr().err
    other = Curated.below(tmp_path / "other", raw)
    other.out.parent.mkdir()
    assert other.curate(*STRIDE, "--crop_black_bars") == 0
    assert [meta["stages"]["cut"] for meta in other.metas().values()] != [before]
    assert len(list((other.out / ".work" / "index").glob("*.crop.npz"))) == 1
