"""High dynamic range: mapped by the documented rule, or kept with its tags; never by a guess."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
from run_command import Curated
from trial_cut import stream_line, trial_cut

from transforms.errors import PreflightError
from transforms.media import tone_map
from transforms.media.clip_form import ClipForm
from transforms.media.encode import resolve_encoder
from transforms.media.trainer_options import check_encoder
from transforms.media.transcode_options import Transcode

PQ_TAGS = ("bt2020", "smpte2084", "bt2020nc")
HLG_TAGS = ("bt2020", "arib-std-b67", "bt2020nc")
NUMBERS = {"bt2020": 9, "smpte2084": 16, "arib-std-b67": 18, "bt2020nc": 9}
PATCH = 32
GREYS = (0.0, 0.1, 0.25, 0.4, 0.5, 0.58, 0.65, 0.75, 0.9, 1.0)
COLOURS = ((0.5, 0.4, 0.4), (0.45, 0.5, 0.48), (0.4, 0.45, 0.55), (0.6, 0.55, 0.45))
PATCHES = np.array([*((grey,) * 3 for grey in GREYS), *COLOURS])


def pq_nits(value: float) -> float:
    """SMPTE ST 2084, one value at a time."""
    root = value ** (32 / 2523)
    fraction = max(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)
    return 10000 * fraction ** (8192 / 1305)


def hlg_scene(value: float) -> float:
    """ITU-R BT.2100."""
    if value <= 0.5:
        return value * value / 3
    return float((np.exp((value - 0.55991073) / 0.17883277) + 0.28466892) / 12)


def expected_signal(colour: np.ndarray, transfer: str) -> list[float]:
    """Return what the documented rule makes of a colour, computed as a person would."""
    if transfer == "smpte2084":
        nits = [pq_nits(value) for value in colour]
    else:
        scene = [hlg_scene(value) for value in colour]
        luminance = 0.2627 * scene[0] + 0.678 * scene[1] + 0.0593 * scene[2]
        nits = [1000 * luminance**0.2 * value for value in scene]
    light = [min(value, 1000) / 203 for value in nits]
    luminance, peak = 0.2627 * light[0] + 0.678 * light[1] + 0.0593 * light[2], 1000 / 203
    if luminance > 0.5:
        a = -0.25 * (peak - 1) / (peak - 0.75)
        b = 0.25 / (peak - 1)
        bent = (b * b + b + 0.25) / (b - a) * (luminance + a) / (luminance + b)
        light = [value * bent / luminance for value in light]
    red, green, blue = light
    light = [
        min(1.0, max(0.0, 1.6605 * red - 0.5876 * green - 0.0728 * blue)),
        min(1.0, max(0.0, -0.1246 * red + 1.1329 * green - 0.0083 * blue)),
        min(1.0, max(0.0, -0.0182 * red - 0.1006 * green + 1.1187 * blue)),
    ]
    return [value ** (1 / 2.4) for value in light]


def hdr_video(path: Path, tags: tuple[str, str, str] | None, *, frames: int = 4) -> Path:
    """Write the patches side by side as lossless 10-bit 4:2:0, BT.2020 matrix, limited range."""
    luma = PATCHES @ [0.2627, 0.678, 0.0593]
    planes = (
        64 + 876 * luma,
        512 + 896 * (PATCHES[:, 2] - luma) / 1.8814,
        512 + 896 * (PATCHES[:, 0] - luma) / 1.4746,
    )
    raw = b""
    for plane, side in zip(planes, (PATCH, PATCH // 2, PATCH // 2), strict=True):
        row = np.rint(plane).astype("<u2").repeat(side)
        raw += np.tile(row, (side, 1)).tobytes()
    size = f"{PATCH * len(PATCHES)}x{PATCH}"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-f", "rawvideo"]
    command += ["-pix_fmt", "yuv420p10le", "-s", size, "-r", "25", "-i", "-"]
    if tags:
        command += [
            "-vf",
            "setparams=range=tv:color_primaries={}:color_trc={}:colorspace={}".format(*tags),
        ]
    command += ["-c:v", "ffv1", str(path)]
    subprocess.run(command, input=raw * frames, check=True)
    return path


def patches(path: Path, *, margin: int = 8) -> np.ndarray:
    """Return the mean colour of each patch of the first frame as full-range RGB, by BT.709.

    Without ``margin`` columns of each patch at both sides.
    """
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        planes = frame.to_ndarray()
    height, width = frame.height, frame.width
    flat = planes.reshape(-1)
    luma = flat[: height * width].reshape(height, width)
    chroma = flat[height * width :].reshape(2, height // 2, width // 2)
    count = len(PATCHES)
    y = (luma.reshape(height, count, -1)[:, :, margin:-margin].mean(axis=(0, 2)) - 16) / 219
    u, v = (
        (
            plane.reshape(height // 2, count, -1)[:, :, margin // 2 : -margin // 2].mean(
                axis=(0, 2)
            )
            - 128
        )
        / 224
        for plane in chroma
    )
    red, blue = y + 1.5748 * v, y + 1.8556 * u
    green = (y - 0.2126 * red - 0.0722 * blue) / 0.7152
    return np.stack([red, green, blue], axis=1)


def tags_of(path: Path) -> tuple[int, int, int, int, str]:
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    return (
        int(frame.color_range),
        int(frame.color_primaries),
        int(frame.color_trc),
        int(frame.colorspace),
        frame.format.name,
    )


@pytest.mark.parametrize("tags", [PQ_TAGS, HLG_TAGS], ids=lambda tags: tags[1])
def test_the_rule(tags: tuple[str, str, str], tmp_path: Path) -> None:
    path = hdr_video(tmp_path / "hdr.mkv", tags)
    [result] = trial_cut(path, tmp_path / "a", ClipForm())
    [again] = trial_cut(path, tmp_path / "b", ClipForm())
    assert result.path
    assert again.path
    assert result.path.read_bytes() == again.path.read_bytes()
    assert tags_of(result.path) == (1, 1, 1, 1, "yuv420p")
    assert "yuv420p(tv, bt709" in stream_line(result.path)
    got = patches(result.path)
    expected = np.array([expected_signal(colour, tags[1]) for colour in PATCHES])
    assert np.abs(got - expected).max() < 3 / 255
    assert result.num_frames == 4


@pytest.mark.parametrize("tags", [PQ_TAGS, HLG_TAGS], ids=lambda tags: tags[1])
def test_kept_it_is_10_bits_with_its_tags(tags: tuple[str, str, str], tmp_path: Path) -> None:
    path = hdr_video(tmp_path / "hdr.mkv", tags)
    [result] = trial_cut(path, tmp_path, ClipForm(keep_hdr=True))
    assert result.path
    numbers = tuple(NUMBERS[tag] for tag in tags)
    assert tags_of(result.path) == (1, *numbers, "yuv420p10le")
    with av.open(str(path)) as container:
        source = next(container.decode(video=0)).to_ndarray().astype(int)
    with av.open(str(result.path)) as container:
        clip = next(container.decode(video=0)).to_ndarray().astype(int)
    assert np.abs(clip - source).mean() < 3, "of 1023"


def test_without_a_transfer_tag_nothing_is_guessed(tmp_path: Path) -> None:
    plain = hdr_video(tmp_path / "plain.mkv", None)
    wide = hdr_video(tmp_path / "wide.mkv", ("bt2020", "unknown", "bt2020nc"))
    for number, (path, primaries) in enumerate([(plain, 2), (wide, 9)]):
        for form in (ClipForm(), ClipForm(keep_hdr=True)):
            [result] = trial_cut(path, tmp_path / f"{number}{form.keep_hdr}", form)
            assert result.path
            _, *tags, pixel_format = tags_of(result.path)
            assert tags[:2] == [primaries, 2]
            assert pixel_format == "yuv420p"
            with av.open(str(result.path)) as container:
                frame = next(container.decode(video=0)).to_ndarray()
            luma = 16 + 219 * (PATCHES @ [0.2627, 0.678, 0.0593])
            got = frame[:PATCH].reshape(PATCH, len(PATCHES), -1)[:, :, 8:-8].mean(axis=(0, 2))
            assert np.abs(got - luma).max() < 2, "the same values in 8 bits"


def test_8_bit_files_of_high_dynamic_range_are_not_passed_through(tmp_path: Path) -> None:
    path = tmp_path / "pq.mp4"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi"]
    command += ["-i", "testsrc2=size=96x64:rate=25:duration=0.4", "-c:v", "libx264"]
    command += ["-pix_fmt", "yuv420p", "-x264-params", "colorprim=bt2020:transfer=smpte2084"]
    subprocess.run([*command, str(path)], check=True)
    through = resolve_encoder(Transcode())[0]
    [mapped] = trial_cut(path, tmp_path / "a", ClipForm(), encode=through)
    [kept] = trial_cut(path, tmp_path / "b", ClipForm(keep_hdr=True), encode=through)
    assert mapped.made_by == kept.made_by == "encode"
    assert mapped.path
    assert kept.path
    assert tags_of(mapped.path)[2:] == (1, 1, "yuv420p")
    assert tags_of(kept.path)[2] == 16


def test_scaled_turned_and_mapped_at_once(tmp_path: Path) -> None:
    path = hdr_video(tmp_path / "hdr.mkv", PQ_TAGS, frames=10)
    form = ClipForm(width=PATCH * len(PATCHES) // 2, rate=Fraction(5))
    [result] = trial_cut(path, tmp_path, form)
    assert result.path
    assert result.num_frames == 2
    expected = np.array([expected_signal(colour, PQ_TAGS[1]) for colour in PATCHES])
    half = patches(result.path, margin=4)
    assert np.abs(half - expected).max() < 6 / 255


def test_a_real_phone_video(real_videos: Path, tmp_path: Path) -> None:
    bounds = (Fraction(0), Fraction(1, 10))
    fast = dataclasses.replace(resolve_encoder(Transcode(transcode_crf=20))[0], preset="ultrafast")
    path = real_videos / "fate_hevc_dv84.mp4"
    [mapped] = trial_cut(path, tmp_path / "a", ClipForm(), bounds=bounds, encode=fast)
    [kept] = trial_cut(path, tmp_path / "b", ClipForm(keep_hdr=True), bounds=bounds, encode=fast)
    assert mapped.path
    assert kept.path
    assert tags_of(mapped.path) == (1, 1, 1, 1, "yuv420p")
    assert tags_of(kept.path) == (1, 9, 18, 9, "yuv420p10le")


def test_an_output_begun_with_another_rule_is_not_gone_on_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    hdr_video(raw / "a.mkv", PQ_TAGS, frames=60)
    run = Curated.below(tmp_path, raw)
    assert run.curate() == 0
    path = run.out / "runs" / "options.json"
    stored = json.loads(path.read_text())
    assert stored["fingerprints"].keys() == {"spans", "cut", "tone_map"}
    before = run.trees()
    for fingerprints, status in (
        ({**stored["fingerprints"], "tone_map": "0" * 16}, 2),
        ({name: stored["fingerprints"][name] for name in ("spans", "cut")}, 0),
    ):
        path.write_text(json.dumps({**stored, "fingerprints": fingerprints}))
        assert run.curate() == status
        assert run.trees() == before
    assert "was begun with other options for: tone_map" in capsys.readouterr().err
    assert json.loads(path.read_text()) == stored


def test_the_rule_is_counted_up_when_its_tables_change() -> None:
    digest = hashlib.sha256()
    for transfer in (tone_map.PQ, tone_map.HLG):
        for table in tone_map.tables(transfer):
            digest.update(table.encode())
    assert (tone_map.RULE, digest.hexdigest()[:16]) == (1, "3a1a2447c63b1133")


def test_an_encoder_of_8_bits_cannot_keep_it() -> None:
    nvenc = dataclasses.replace(resolve_encoder(Transcode())[0], codec="h264_nvenc")
    check_encoder(ClipForm(width=96), nvenc)
    with pytest.raises(PreflightError, match="keep_hdr true: h264_nvenc encodes 8 bits"):
        check_encoder(ClipForm(keep_hdr=True), nvenc)


def test_a_run_keeps_and_scores_10_bits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    hdr_video(raw / "a.mkv", PQ_TAGS, frames=60)
    run = Curated.below(tmp_path, raw)
    scores = ("--black_filter", "score-only", "--generate_previews")
    assert run.curate(*scores, "--keep_hdr") == 0
    [meta] = run.metas().values()
    assert meta["num_frames"] == 60
    assert tags_of(Path(meta["clip_location"]))[2:] == (16, 9, "yuv420p10le")
    assert run.curate(*scores) == 2
    assert "keep_hdr: was True, now False" in capsys.readouterr().err
