"""Options that cannot work: exit 2, one message with a way on, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from make_video import VideoSpec, make_video
from wrong_use import listing, split, use, use_process

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of one video of 3 seconds, one of 2; nobody may change it."""
    folder = tmp_path_factory.mktemp("options") / "raw"
    folder.mkdir()
    make_video(folder / "a.mp4", VideoSpec(seconds=3))
    make_video(folder / "b.mp4", VideoSpec(seconds=2))
    return folder


@pytest.mark.parametrize(
    ("options", "needles"),
    [
        (
            ["--fixed_stride_split_duration", "ten"],
            ["fixed_stride_split_duration", "number", "ten"],
        ),
        (["--limit", "-1"], ["limit", "-1"]),
        (
            ["--transcode_crf", "20", "--transcode_use_input_video_bit_rate"],
            [
                "transcode_crf",
                "transcode_use_input_video_bit_rate",
                "exclude each other",
                "keep one",
            ],
        ),
        (["--output_dataset_path", "x"], ["output_dataset_path", "shard and curate, not of split"]),
        (["--fixed_stride_split_duratoin", "3"], ["did you mean fixed_stride_split_duration?"]),
        (["--direct_num_worker", "3"], ["did you mean direct_num_workers?"]),
        (["--beam.nope", "3"], ["--beam.nope", "no such option of Beam"]),
        (["--direct_running_mode=fast"], ["direct_running_mode", "multi_processing", "fast"]),
        (["--transcode_encoder", "nonsense"], ["transcode_encoder", "libx264", "nonsense"]),
        (
            ["--splitting_algorithm", "nonsense"],
            ["splitting_algorithm", "transnetv2", "fixed-stride"],
        ),
        (
            ["--captioning_prompt_text", "{this}", "--captioning_algorithm", "openai"],
            ["captioning_prompt_text", "{this} is no placeholder", "{duration_s}"],
        ),
        (["--no-upload_clips"], ["upload_clips=false is not built", "leave it at true"]),
        (["--multi_cam"], ["multi_cam=true", "not built", "set multi_cam=false"]),
        (["--enable_sam3"], ["enable_sam3", "not built"]),
    ],
    ids=lambda value: value[0].lstrip("-").split("=")[0] if isinstance(value, list) else None,
)
def test_an_option_that_cannot_work_is_named_with_a_way_on(
    options: list[str], needles: list[str], raw: Path, tmp_path: Path, capsys: Capture
) -> None:
    ended = use(capsys, *split(raw, tmp_path / "out", *options))
    assert ended.status == 2
    ended.told(*needles)
    assert len(ended.complaints) == 1
    assert not listing(tmp_path)


def test_a_path_that_is_needed_and_missing_is_asked_for(capsys: Capture, tmp_path: Path) -> None:
    ended = use(capsys, "split", "--output_clip_path", tmp_path / "out")
    assert ended.status == 2
    ended.told("split needs input_video_path", "--input_video_path PATH")
    assert not listing(tmp_path)


@pytest.mark.parametrize(
    ("places", "needles"),
    [
        ({"output_clip_path": "raw/out"}, ["output_clip_path=", "input_video_path="]),
        ({"output_clip_path": "raw"}, ["output_clip_path=", "input_video_path="]),
        ({"output_clip_path": "."}, ["output_clip_path=", "input_video_path="]),
        ({"output_dataset_path": "raw/set"}, ["output_dataset_path=", "input_video_path="]),
        ({"output_dataset_path": "out"}, ["output_dataset_path=", "output_clip_path="]),
        ({"output_dataset_path": "out/set"}, ["output_dataset_path=", "output_clip_path="]),
        ({"scratch_path": "raw/scratch"}, ["scratch_path=", "inside the input"]),
    ],
    ids=lambda value: "-".join(f"{k}={v}" for k, v in value.items()) if type(value) is dict else "",
)
def test_folders_one_inside_the_other_are_refused(
    places: dict[str, str], needles: list[str], raw: Path, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.mp4").write_bytes((raw / "a.mp4").read_bytes())
    before = listing(tmp_path)
    paths = {"input_video_path": "raw", "output_clip_path": "out", **places}
    options = [word for name, rel in paths.items() for word in (f"--{name}", tmp_path / rel)]
    ended = use(capsys, "curate", *options)
    assert ended.status == 2
    ended.told(*needles, "beside" if "scratch_path" in places else "side by side")
    assert listing(tmp_path) == before


def test_changed_options_stop_with_three_ways_on_and_each_works(
    raw: Path, tmp_path: Path, capsys: Capture
) -> None:
    source, out = tmp_path / "raw", tmp_path / "out"
    source.mkdir()
    (source / "a.mp4").write_bytes((raw / "a.mp4").read_bytes())
    assert use(capsys, *split(source, out)).status == 0
    before = listing(out)
    longer = ("--fixed_stride_split_duration", "2", "--limit", "7")
    ended = use(capsys, *split(source, out, *longer))
    assert ended.status == 2
    ended.told("fixed_stride_split_duration: was 1.0, now 2.0", "1. give the old options again")
    ended.told("2. choose a new output_clip_path", "3. add --accept_changes")
    assert "limit:" not in ended.err, "no reason for a conflict"
    assert listing(out) == before

    again = use(capsys, *split(source, out))
    assert (again.status, listing(out)) == (0, before)
    assert "nothing was left to do" in again.out

    assert use(capsys, *split(source, tmp_path / "new", *longer)).status == 0
    assert len(list((tmp_path / "new" / "clips").iterdir())) == 2

    (source / "b.mp4").write_bytes((raw / "b.mp4").read_bytes())
    assert use(capsys, *split(source, out, *longer, "--accept_changes")).status == 0
    after = listing(out)
    clips = {rel for rel in after if rel.startswith("clips/")}
    assert len(clips) == 3 + 1, "b.mp4 is cut with the new option"
    kept = {rel for rel in before if rel.startswith(("clips/", "metas/v0/"))}
    assert {rel: after[rel] for rel in kept} == {rel: before[rel] for rel in kept}


def test_overwrite_begins_anew_and_spares_other_files(
    raw: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "out"
    assert use(capsys, *split(raw, out)).status == 0
    old = {path.name for path in (out / "clips").iterdir()}
    (out / "notes.txt").write_text("mine")
    longer = ("--fixed_stride_split_duration", "2", "--overwrite")
    assert use(capsys, *split(raw, out, *longer)).status == 0
    clips = {path.name for path in (out / "clips").iterdir()}
    assert len(clips) == 3
    # One span, the last second of a.mp4, is the same with both options.
    assert len(old - clips) == 4
    assert {path.stem for path in (out / "metas" / "v0").iterdir()} == {name[:-4] for name in clips}
    assert (out / "notes.txt").read_text() == "mine"
    runs = {path.name for path in (out / "runs").iterdir()}
    assert runs == {"0001.json", "options.json"}
    assert [path.name for path in out.glob("performance_stats_*")] == ["performance_stats_0.json"]


def test_shard_refuses_what_split_has_not_written(
    raw: Path, tmp_path: Path, capsys: Capture
) -> None:
    for clips, needles in (
        (raw, ["neither summary.json nor metas/v0", "finished split"]),
        (tmp_path / "nowhere", ["no such file or folder", "finished split"]),
    ):
        ended = use(
            capsys, "shard", "--input_clip_path", clips, "--output_dataset_path", tmp_path / "set"
        )
        assert ended.status == 1
        ended.told(f"input_clip_path={clips}", *needles)
        assert not listing(tmp_path)


def test_shard_leaves_folders_of_others_alone(raw: Path, tmp_path: Path, capsys: Capture) -> None:
    clips, other = tmp_path / "out", tmp_path / "other"
    assert use(capsys, *split(raw, clips)).status == 0
    (other / "v0" / "bin").mkdir(parents=True)
    (other / "v0" / "bin" / "000000.tar").write_bytes(b"")
    for folder in (raw, other):
        before = listing(folder)
        ended = use(capsys, "shard", "--input_clip_path", clips, "--output_dataset_path", folder)
        assert ended.status == 1
        ended.told(str(folder), "already", "empty")
        assert listing(folder) == before


def test_libopenh264_is_replaced_with_one_warning(raw: Path, tmp_path: Path) -> None:
    ended = use_process(*split(raw, tmp_path / "out", "--transcode_encoder", "libopenh264"))
    assert ended.status == 0
    ended.told("clips are encoded by libx264")
    assert sum(line.startswith("WARNING") for line in ended.err.splitlines()) == 1


def test_the_traceback_of_a_complaint_is_shown_on_request(tmp_path: Path) -> None:
    command = split(tmp_path / "nowhere", tmp_path / "out", "--verbose")
    ended = use_process(*command)
    assert ended.status == 1
    assert ended.complaints
    assert "Traceback (most recent call last)" in ended.err
    assert not listing(tmp_path)
