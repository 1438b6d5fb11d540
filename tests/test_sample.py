"""The sample videos: what is drawn is what their truth says, and the codes survive."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
import pytest
from block_codes import BlockCode, read_code
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.media.observers.motion import Motion, MotionSettings
from transforms.sample import RECIPES, VideoRecipe, draw_sample_set, draw_video, truth_path
from transforms.sample.block_code import code_bits, draw_code
from transforms.sample.planes import new_planes
from transforms.sample.sample_set import plan_sample_set
from transforms.sample.scenes import SCENES, scene_kind, scene_moves
from transforms.sample.timeline import plan_timeline

NAMES = [recipe.name for recipe in RECIPES]
BY_NAME = {recipe.name: recipe for recipe in RECIPES}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return one short file of each kind by the name of its recipe, drawn once."""
    folder = tmp_path_factory.mktemp("sample")
    videos = draw_sample_set(folder, seconds=65, seed=3)
    return {name: video.path for name, video in zip(NAMES, videos, strict=True)}


def truth_of(video: Path) -> dict[str, Any]:
    return json.loads(truth_path(video).read_text())


def expected_codes(truth: dict[str, Any]) -> list[BlockCode]:
    cuts = [cut["frame"] for cut in truth["cuts"]]
    return [BlockCode(i, sum(i >= cut for cut in cuts)) for i in range(truth["num_frames"])]


def upright_luma(frame: av.VideoFrame) -> np.ndarray:
    dtype = np.uint16 if "10le" in frame.format.name else np.uint8
    rows = np.frombuffer(memoryview(frame.planes[0]), dtype).reshape(frame.height, -1)
    return np.rot90(rows[:, : frame.width], frame.rotation // 90)


def ffmpeg(*arguments: str) -> bytes:
    """Return what the ffmpeg program of the imageio-ffmpeg wheel writes to its stdout."""
    program = imageio_ffmpeg.get_ffmpeg_exe()
    command = [program, "-v", "error", "-nostdin", *arguments, "-"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def ffmpeg_codes(video: Path, size: tuple[int, int], *filters: str) -> list[BlockCode | None]:
    """Return the codes in the grey pictures that ffmpeg shows, turned upright by ffmpeg itself."""
    chain = ",".join([*filters, "format=gray"])
    raw = ffmpeg("-i", str(video), "-vf", chain, "-fps_mode", "passthrough", "-f", "rawvideo")
    pictures = np.frombuffer(raw, np.uint8).reshape(-1, size[1], size[0])
    return [read_code(picture) for picture in pictures]


# --- what is in the files ---------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_frame_carries_its_number_and_shot(sample: dict[str, Path], name: str) -> None:
    truth = truth_of(sample[name])
    with av.open(str(sample[name])) as source:
        frames = [(frame.pts, read_code(upright_luma(frame))) for frame in source.decode(video=0)]
        assert source.streams.video[0].time_base == Fraction(truth["time_base"])
    assert [code for _, code in frames] == expected_codes(truth)
    assert len(truth["cuts"]) >= 1
    assert [frames[cut["frame"]][0] for cut in truth["cuts"]] == [
        cut["pts"] for cut in truth["cuts"]
    ]
    assert frames[0][0] == truth["first_pts"]
    if truth["variable_rate"]:
        assert [pts for pts, _ in frames] == truth["pts"]


@pytest.mark.parametrize("name", NAMES)
def test_pictures_have_the_size_depth_and_times_of_the_recipe(
    sample: dict[str, Path], name: str
) -> None:
    recipe, truth = BY_NAME[name], truth_of(sample[name])
    with av.open(str(sample[name])) as source:
        stream = source.streams.video[0]
        codec = {"h264": "h264", "hevc10": "hevc", "vp9": "vp9"}[recipe.codec]
        assert codec in stream.codec_context.name
        pts = []
        for frame in source.decode(stream):
            assert upright_luma(frame).shape == (recipe.size[1], recipe.size[0])
            assert frame.format.name == ("yuv420p10le" if truth["bits"] == 10 else "yuv420p")
            pts.append(frame.pts)
        tick = float(stream.time_base)
    seconds = (np.array(pts) - pts[0]) * tick
    if not recipe.variable_rate:
        wanted = np.arange(len(pts)) / float(recipe.fps)
        assert np.abs(seconds - wanted).max() <= tick


def test_variable_rate_file_has_four_different_frame_lengths(sample: dict[str, Path]) -> None:
    truth = truth_of(sample["variable-rate"])
    gaps = np.diff(truth["pts"]) * Fraction(truth["time_base"])
    assert set(gaps) == {Fraction(1, n) for n in (30, 24, 20, 15)}


def test_only_the_single_keyframe_recipe_has_a_single_keyframe(tmp_path: Path) -> None:
    small = replace(BY_NAME["one-keyframe"], size=(160, 96), scenes=("bricks", "card"))
    counts = []
    for name, recipe in (("one.mp4", small), ("many.mp4", replace(small, single_keyframe=False))):
        draw_video(tmp_path / name, recipe, seconds=12, seed=1)
        with av.open(str(tmp_path / name)) as source:
            counts.append(sum(p.is_keyframe for p in source.demux(video=0) if p.size))
        assert truth_of(tmp_path / name)["num_keyframes"] == counts[-1]
    assert counts[0] == 1
    assert counts[1] >= 2


def test_rotated_file_is_stored_lying_and_shown_upright(sample: dict[str, Path]) -> None:
    video = sample["phone-rotated"]
    with av.open(str(video)) as source:
        frame = next(source.decode(video=0))
        assert (frame.width, frame.height, frame.rotation % 360) == (640, 360, 270)
        assert (
            read_code(np.frombuffer(memoryview(frame.planes[0]), np.uint8).reshape(360, -1)) is None
        )
    assert ffmpeg_codes(video, (360, 640)) == expected_codes(truth_of(video))


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_every_rotation_is_shown_upright(tmp_path: Path, degrees: Any) -> None:
    recipe = replace(BY_NAME["square"], size=(96, 160), rotation=degrees, scenes=("bricks", "card"))
    draw_video(tmp_path / "turned.mp4", recipe, seconds=2.6, seed=1)
    codes = ffmpeg_codes(tmp_path / "turned.mp4", (96, 160))
    assert codes == expected_codes(truth_of(tmp_path / "turned.mp4"))


@pytest.mark.parametrize("name", NAMES)
def test_sound_is_where_it_is_said_to_be(sample: dict[str, Path], name: str) -> None:
    truth = truth_of(sample[name])
    with av.open(str(sample[name])) as source:
        assert len(source.streams.audio) == (truth["audio"] is not None)
        if not source.streams.audio:
            return
        assert source.streams.audio[0].codec_context.name in (truth["audio"], "opus")
        sound = np.concatenate([frame.to_ndarray() for frame in source.decode(audio=0)], axis=1)
    assert sound.shape[0] == 2
    assert sound.shape[1] / 48_000 == pytest.approx(truth["seconds"], abs=0.06)
    assert 0.02 < np.sqrt(np.mean(sound.astype(np.float64) ** 2)) < 0.5


# --- the codes survive ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["landscape", "full-hd", "phone-rotated", "ten-bit", "web"])
def test_codes_survive_encoding_halving_and_eight_bits(
    sample: dict[str, Path], tmp_path: Path, name: str
) -> None:
    video, copy = sample[name], tmp_path / "copy.mp4"
    encoder = ["-c:v", "libx264", "-preset", "veryfast", "-b:v", "4M", "-pix_fmt", "yuv420p"]
    ffmpeg(
        "-i", str(video), "-an", *encoder, "-fps_mode", "passthrough", "-y", str(copy), "-f", "null"
    )
    width, height = BY_NAME[name].size
    wanted = expected_codes(truth_of(video))
    assert ffmpeg_codes(copy, (width, height)) == wanted
    half = (width // 2, height // 2)
    assert ffmpeg_codes(copy, half, f"scale={half[0]}:{half[1]}:flags=bicubic") == wanted


@given(
    st.integers(0, 2**20 - 1),
    st.integers(0, 2**12 - 1),
    st.sampled_from([(180, 320), (512, 270), (190, 186)]),
)
def test_reader_reads_what_is_drawn(frame: int, shot: int, size: tuple[int, int]) -> None:
    canvas = new_planes(*size)
    draw_code(canvas, frame=frame, shot=shot)
    assert read_code(canvas.y) == BlockCode(frame, shot)
    assert read_code(canvas.y.astype(np.uint16) << 2) == BlockCode(frame, shot)


@given(st.integers(0, 2**20 - 1), st.integers(1, 5), st.integers(1, 10))
def test_reader_refuses_a_wrong_block(frame: int, row: int, column: int) -> None:
    canvas = new_planes(240, 120)  # blocks of 2 px
    draw_code(canvas, frame=frame, shot=7)
    top, left = 120 - 2 * (8 - row), 2 * (1 + column)
    block = canvas.y[top : top + 2, left : left + 2]
    block[...] = 251 - block
    assert read_code(canvas.y) is None


def test_reader_finds_nothing_where_nothing_is() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (360, 640), dtype=np.uint8)
    assert read_code(noise) is None
    assert read_code(np.full((360, 640), 90, np.uint8)) is None


@pytest.mark.parametrize(("frame", "shot"), [(1 << 20, 0), (0, 1 << 12), (-1, 0)])
def test_numbers_that_do_not_fit_are_refused(frame: int, shot: int) -> None:
    with pytest.raises(ValueError, match="draw a shorter file"):
        code_bits(frame, shot)


# --- the scenes -------------------------------------------------------------------------------


def motion_scores(video: Path) -> tuple[float, float]:
    """Return the two scores (contract §1.8) of the video encoded as clips are by default."""
    memory = io.BytesIO()
    with av.open(str(video)) as source, av.open(memory, "w", format="mp4") as output:
        rate = source.streams.video[0].average_rate
        options = {"preset": "veryfast", "x264-params": "threads=1:keyint=infinite"}
        encoder: Any = output.add_stream("libx264", rate=rate, options=options)
        size = source.streams.video[0].width, source.streams.video[0].height
        encoder.width, encoder.height = size
        encoder.bit_rate = 4_000_000
        frames = 0
        for frame in source.decode(video=0):
            frame.pict_type = 0
            output.mux(encoder.encode(frame))
            frames += 1
        output.mux(encoder.encode(None))
    memory.seek(0)
    motion = Motion(MotionSettings(), size=size, fps=rate, duration_seconds=float(frames / rate))
    with av.open(memory) as clip:
        clip.streams.video[0].codec_context.options = {"flags2": "+export_mvs"}
        for index, frame in enumerate(clip.decode(video=0)):
            motion.observe(frame, index)
    scores = motion.finish().scores
    return scores["motion_global_mean"], scores["motion_per_patch_min_256"]


@pytest.mark.parametrize("scene", SCENES)
def test_moving_scenes_score_above_upstreams_thresholds_and_still_ones_below(
    tmp_path: Path, scene: str
) -> None:
    # 60 frames per second is the hardest case: the same speed is half the step from frame to frame.
    recipe = VideoRecipe(name="one-scene", size=(384, 272), fps=Fraction(60), scenes=(scene,))
    draw_video(tmp_path / "scene.mp4", recipe, seconds=2.6, seed=5)
    global_mean, patch = motion_scores(tmp_path / "scene.mp4")
    assert (global_mean >= 0.00098 and patch >= 0.000001) == scene_moves(scene)
    if not scene_moves(scene):
        assert global_mean < 0.0005


def test_dark_shots_are_dark_and_others_are_not(sample: dict[str, Path]) -> None:
    kinds = set()
    for video in sample.values():
        truth = truth_of(video)
        middles = {(s["first_frame"] + s["last_frame"]) // 2: s["kind"] for s in truth["shots"]}
        with av.open(str(video)) as source:
            for index, frame in enumerate(source.decode(video=0)):
                if index in middles:
                    brightness = upright_luma(frame).mean() / (4 if truth["bits"] == 10 else 1)
                    assert (brightness < 60) == (middles[index] == "dark"), (video.name, index)
                    kinds.add(middles[index])
    assert kinds == {"moving", "static", "dark"}


def test_gradual_transitions_are_where_they_are_said_to_be(tmp_path: Path) -> None:
    still = replace(BY_NAME["square"], size=(160, 96), scenes=("card", "poster"))
    for kind in ("fade", "dissolve"):
        path = tmp_path / f"{kind}.mp4"
        draw_video(path, replace(still, transitions=(kind,)), seconds=5.3, seed=2)  # type: ignore[arg-type]
        (transition,) = truth_of(path)["transitions"]
        assert transition["kind"] == kind
        assert transition["first_frame"] < transition["cut_frame"] <= transition["last_frame"]
        with av.open(str(path)) as source:
            lumas = [upright_luma(f)[:60].astype(float) for f in source.decode(video=0)]
        changes = np.array([np.abs(b - a).mean() for a, b in itertools.pairwise(lumas)])
        # changes[i] is the step from frame i to i + 1; nothing else moves in these files.
        moving = np.flatnonzero(changes > 1.0)
        assert moving[0] == transition["first_frame"] - 1
        assert moving[-1] == transition["last_frame"]
        if kind == "fade":
            assert lumas[transition["cut_frame"]].mean() < 30


# --- plans ------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.sampled_from(RECIPES), st.floats(2.6, 90), st.integers(0, 1000), st.integers(0, 5))
def test_shots_tile_the_file_and_last_long_enough(
    recipe: VideoRecipe, seconds: float, seed: int, turn: int
) -> None:
    timeline = plan_timeline(recipe, seconds=seconds, seed=seed, turn=turn)
    assert float(timeline.duration) == pytest.approx(seconds, abs=1 / 12)
    assert timeline.shots[0].first_frame == 0
    assert timeline.shots[-1].end_frame == timeline.num_frames
    for shot in timeline.shots:
        ticks = timeline.ticks[shot.end_frame] - timeline.ticks[shot.first_frame]
        assert int(ticks) * timeline.time_base >= Fraction(5, 2)
    for before, after in itertools.pairwise(timeline.shots):
        assert before.end_frame == after.first_frame
        assert before.scene != after.scene
    for before, after in itertools.pairwise(timeline.transitions):
        assert before.last_frame < after.first_frame


def test_default_set_has_every_kind_of_shot_and_transition() -> None:
    timelines = [video.timeline() for video in plan_sample_set(seconds=150, seed=0)]
    assert sum(t.duration for t in timelines) == pytest.approx(150, abs=1)
    assert {x.kind for t in timelines for x in t.transitions} == {"cut", "fade", "dissolve"}
    assert {scene_kind(s.scene) for t in timelines for s in t.shots} == {"moving", "static", "dark"}


def test_hours_are_many_files_of_at_most_a_minute() -> None:
    planned = plan_sample_set(seconds=2 * 3600, seed=0)
    assert sum(video.seconds for video in planned) == pytest.approx(7200)
    assert max(video.seconds for video in planned) <= 60.0
    assert min(video.seconds for video in planned) >= 5.2
    assert len({video.name for video in planned}) == len(planned) >= 120
    assert len({video.seed for video in planned}) == len(planned)
    assert [video.name for video in planned] == sorted(video.name for video in planned)


@pytest.mark.parametrize(("seconds", "seed"), [(0, 0), (-1, 0), (float("nan"), 0), (10, -1)])
def test_impossible_sets_are_refused(tmp_path: Path, seconds: float, seed: int) -> None:
    with pytest.raises(ValueError, match="seconds above 0 and a seed of 0 or more"):
        draw_sample_set(tmp_path / "none", seconds=seconds, seed=seed)
    assert not (tmp_path / "none").exists()


# --- drawing once -----------------------------------------------------------------------------


def hashes(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def test_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        draw_sample_set(tmp_path / name, seconds=5.4, seed=seed)
    assert len(hashes(tmp_path / "a")) == 5  # two videos, two truths, one record
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")
    assert not set(hashes(tmp_path / "a").values()) & set(hashes(tmp_path / "c").values())


@pytest.mark.parametrize("name", ["wide", "variable-rate", "phone-rotated", "ten-bit", "web"])
def test_every_encoder_and_container_is_deterministic(tmp_path: Path, name: str) -> None:
    recipe = BY_NAME[name]
    small = replace(recipe, size=(recipe.size[0] // 4 * 2, recipe.size[1] // 4 * 2))
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        draw_video(tmp_path / folder / "v.bin", small, seconds=2.6, seed=4)
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")


def test_complete_files_are_left_alone_and_damaged_ones_drawn_again(tmp_path: Path) -> None:
    told: list[str] = []
    videos = draw_sample_set(tmp_path, seconds=5.4, seed=1, progress=told.append)
    assert [line.split()[1] for line in told] == ["01-landscape.mp4", "02-portrait.mp4"]
    before, times = hashes(tmp_path), {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()}

    again = draw_sample_set(tmp_path, seconds=5.4, seed=1, progress=told.append)
    assert again == videos
    assert len(told) == 2
    assert {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()} == times

    videos[1].path.write_bytes(b"damaged")
    (tmp_path / ".sample-0123.part").write_bytes(b"of a drawing that was killed")
    draw_sample_set(tmp_path, seconds=5.4, seed=1, progress=told.append)
    assert [line.split()[1] for line in told[2:]] == ["02-portrait.mp4"]
    assert hashes(tmp_path) == before


def test_another_set_replaces_the_files_of_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "mine.mp4").write_bytes(b"mine")
    draw_sample_set(tmp_path, seconds=5.4, seed=1)
    (only,) = draw_sample_set(tmp_path, seconds=2.7, seed=1)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        [only.path.name, truth_path(only.path).name, "sample-set.json", "mine.mp4"]
    )
    assert (tmp_path / "mine.mp4").read_bytes() == b"mine"


def test_damaged_record_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "sample-set.json").write_text("[]")
    with pytest.raises(ValueError, match="remove it, or draw into another folder"):
        draw_sample_set(tmp_path, seconds=2.7, seed=1)


def test_returned_facts_are_those_of_the_files(sample: dict[str, Path]) -> None:
    folder = sample["landscape"].parent
    for video in draw_sample_set(folder, seconds=65, seed=3):
        truth = truth_of(video.path)
        assert (video.width, video.height) == (truth["width"], truth["height"])
        assert (video.fps, video.num_frames) == (Fraction(truth["fps"]), truth["num_frames"])
        assert (video.num_shots, video.seconds) == (len(truth["shots"]), truth["seconds"])
        with av.open(str(video.path)) as source:
            assert sum(1 for p in source.demux(video=0) if p.size) == video.num_frames
