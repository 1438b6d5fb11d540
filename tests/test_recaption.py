"""``recaption``: new captions of finished clips in a version of their own, nothing else."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from caption_server import (
    KEY,
    CaptionServer,
    caption_server,
    forget_models,
    frames_digest,
    known_server,
)
from make_video import VideoSpec, make_video
from run_command import Curated
from test_captions import CAPTIONS, CUT
from test_stage_breaks import fused_stages, stage_of
from upstream_tree import TreeClip, write_upstream_tree

from beam_pipeline.cli import main
from beam_pipeline.pipelines import recaption as recaption_graph
from transforms.annotate.caption_settings import CaptionSettings, EngineSpec
from transforms.formats.annotations import AnnotationSummary
from transforms.formats.caption_stats import CaptionQuality
from transforms.formats.clip_meta import ClipMeta
from transforms.layout import annotation_lease_uri, lease_uri
from transforms.lease import hold_lease
from transforms.media.child_limits import ChildLimits
from transforms.media.look_settings import LookSettings
from transforms.models.captions.settings import OpenAISettings
from transforms.recaption.settings import RecaptionSettings
from transforms.run_context import RunContext

NUM_WINDOWS, NUM_CLIPS = 14, 6


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return two videos whose clips all look different."""
    folder = tmp_path_factory.mktemp("recaption") / "raw"
    folder.mkdir()
    for number, size in enumerate([(64, 48), (96, 64)]):
        make_video(folder / f"{number}.mp4", VideoSpec(seconds=7, size=size))
    return folder


@pytest.fixture(scope="module")
def finished(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an output of ``split`` without captions, from which tests take copies."""
    run = Curated.below(tmp_path_factory.mktemp("finished"), raw)
    assert run.curate(*CUT, "--generate_captions", "false", "--motion_filter", "score-only") == 0
    return run.out


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    """Return an output of ``split`` of the test's own."""
    import shutil

    return Path(shutil.copytree(finished, tmp_path / "processed"))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[CaptionServer]:
    """Return a running server that the program knows of."""
    with known_server(monkeypatch) as running:
        yield running


def recaption(out: Path, *options: str) -> int:
    """Run ``recaption`` and return its exit status."""
    return main(["recaption", "--input_clip_path", str(out), *CAPTIONS[2:], *options])


def digests(out: Path) -> dict[str, str]:
    """Return path to hash of every file."""
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def metas(out: Path, version: str = "v1") -> dict[str, dict[str, Any]]:
    """Return the metadata of a version by clip."""
    return {path.stem: read(path) for path in sorted((out / "metas" / version).glob("*.json"))}


def check_captions(out: Path, version: str = "v1") -> int:
    """Check every caption against the frames of its own window; return how many there are."""
    num_captions = 0
    for clip_id, meta in metas(out, version).items():
        for window in meta["windows"]:
            frames = window["start_frame"], window["end_frame"] + 1
            digest = frames_digest(out / "clips" / f"{clip_id}.mp4", frames)
            assert window["openai_caption"] == f"seen {digest}"
            num_captions += 1
    return num_captions


def test_only_a_version_of_the_metadata_is_added(out: Path, server: CaptionServer) -> None:
    before, first = digests(out), metas(out, "v0")
    assert recaption(out) == 0
    after = digests(out)
    assert {path: digest for path, digest in after.items() if path in before} == before
    added = {path for path in after if path not in before}
    assert added == {
        *(f"metas/v1/{clip_id}.json" for clip_id in first),
        "v1/all_window_captions.json",
        *(f"annotations/v1/{name}.json" for name in NAMES),
    }
    assert check_captions(out) == NUM_WINDOWS == len(server.requests)
    for clip_id, meta in metas(out).items():
        ClipMeta.model_validate(meta)
        assert meta["stages"].keys() == {*first[clip_id]["stages"], "captions"}
        changed = {name for name in meta if meta[name] != first[clip_id].get(name)}
        assert changed == {
            *("windows", "has_caption", "stages", "num_caption_windows"),
            *("total_prompt_tokens", "total_output_tokens", "caption_quality_flags_enabled"),
        }
        frames = [(window["start_frame"], window["end_frame"]) for window in meta["windows"]]
        assert frames == [(w["start_frame"], w["end_frame"]) for w in first[clip_id]["windows"]]


NAMES = ("options", "summary", "caption_quality_stats")


def test_what_is_told_of_a_version(out: Path, server: CaptionServer) -> None:
    assert recaption(out, "--annotation_version", "second-prompt") == 0
    folder = out / "annotations" / "second-prompt"
    summary, stats = read(folder / "summary.json"), read(folder / "caption_quality_stats.json")
    AnnotationSummary.model_validate(summary)
    CaptionQuality.model_validate(stats)
    assert summary["num_clips"] == summary["num_clips_with_caption"] == NUM_CLIPS
    assert summary["num_caption_windows"] == NUM_WINDOWS
    assert summary["total_output_tokens"] == 7 * NUM_WINDOWS
    assert stats["caption_status_counts"]["success"] == NUM_WINDOWS
    everything = read(out / "second-prompt" / "all_window_captions.json")
    assert list(everything) == ["0.mp4", "1.mp4"]
    found = metas(out, "second-prompt")
    assert {clip: len(windows) for clips in everything.values() for clip, windows in clips.items()}
    for clips in everything.values():
        for clip_id, windows in clips.items():
            assert windows == {
                f"{window['start_frame']}_{window['end_frame']}": window["openai_caption"]
                for window in found[clip_id]["windows"]
            }


def test_a_second_run_sends_nothing_and_writes_nothing(
    out: Path, server: CaptionServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert recaption(out) == 0
    server.requests.clear()
    written = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert recaption(out) == 0
    assert "recaption: nothing was left to do" in capsys.readouterr().out
    assert server.requests == []
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()} == written


def test_a_run_whose_endpoint_dies_is_gone_on_with(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    options = ("--openai_caption_retries", "1", "--api_caption_batch_size", "1")
    forget_models()
    with caption_server() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        server.dies_after = 7
        assert recaption(out, *options) == 1
    assert "does not answer any more; start it again" in capsys.readouterr().err
    num_done = sum(len(meta["windows"]) for meta in metas(out).values())
    assert 0 < num_done <= 7
    assert not (out / "annotations" / "v1" / "summary.json").exists()
    forget_models()
    with caption_server() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        assert recaption(out, *options) == 0
        assert check_captions(out) == NUM_WINDOWS
        assert len(server.requests) == NUM_WINDOWS - num_done


def test_shards_of_the_new_version_hold_the_new_captions(
    out: Path, server: CaptionServer, tmp_path: Path
) -> None:
    assert recaption(out) == 0
    shard = ("shard", "--input_clip_path", str(out), "--annotation_version", "v1")
    dataset = ("--output_dataset_path", str(tmp_path / "new"), "--captioning_algorithm", "openai")
    assert main([*shard, *dataset]) == 0
    samples = {}
    for path in (tmp_path / "new" / "v1").rglob("metas/*/*.tar"):
        with tarfile.open(path) as tar:
            for member in tar:
                file = tar.extractfile(member)
                assert file is not None
                samples[member.name.removesuffix(".json")] = json.loads(file.read())
    assert len(samples) == NUM_WINDOWS
    for key, sample in samples.items():
        assert key.startswith(sample["span_uuid"])
        frames = sample["start_frame"], sample["end_frame"] + 1
        digest = frames_digest(out / "clips" / f"{sample['span_uuid']}.mp4", frames)
        assert sample["caption"] == f"seen {digest}"


def test_other_options_stop_and_the_ways_on_go_on(
    out: Path, server: CaptionServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert recaption(out, "--limit", "2") == 0
    assert len(metas(out)) == 2
    before = digests(out / "metas" / "v1")
    other = ("--captioning_prompt_text", "What moves?")
    assert recaption(out, *other) == 2
    said = capsys.readouterr().err
    assert "captioning_prompt_text: was None, now 'What moves?'" in said
    assert "choose another annotation_version" in said
    assert digests(out / "metas" / "v1") == before
    assert recaption(out, *other, "--accept_changes") == 0
    after = digests(out / "metas" / "v1")
    assert len(after) == NUM_CLIPS
    assert {name: after[name] for name in before} == before
    prompts = [request["messages"][0]["content"][1]["text"] for request in server.requests]
    assert set(prompts[-NUM_WINDOWS // 2 :]) == {"What moves?"}
    server.requests.clear()
    assert recaption(out, *other, "--overwrite") == 0
    assert len(server.requests) == NUM_WINDOWS
    assert check_captions(out) == NUM_WINDOWS


def test_a_configuration_file_names_the_pipeline(out: Path, server: CaptionServer) -> None:
    args = {"input_clip_path": str(out), "captioning_algorithm": "openai", "limit": 1}
    job = out.parent / "job.json"
    job.write_text(json.dumps({"pipeline": "recaption", "args": args}))
    assert main([str(job)]) == 0
    assert len(metas(out)) == 1


def test_what_split_learns_later_is_no_damage(
    out: Path, raw: Path, server: CaptionServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert recaption(out) == 0
    run = Curated(raw, out, out.parent / "webdataset")
    scores = ("--motion_filter", "score-only", "--sharpness_filter", "score-only")
    assert run.curate(*CUT, "--generate_captions", "false", *scores, "--generate_previews") == 0
    assert any("previews" in meta for meta in metas(out, "v0").values())
    assert main(["verify", str(out)]) == 0, capsys.readouterr().out
    with hold_lease(annotation_lease_uri(str(out), "v1"), "recaption"):
        assert run.curate(*CUT, "--generate_captions", "false", "--overwrite") == 1
    assert len(metas(out)) == NUM_CLIPS
    assert run.curate(*CUT, "--generate_captions", "false", "--overwrite") == 0
    assert not metas(out)
    assert not [path for path in (out / "annotations").rglob("*") if path.is_file()]


def test_a_clip_is_looked_at_captioned_and_written_in_one_stage(tmp_path: Path) -> None:
    context = RunContext(
        root=str(tmp_path),
        run_id="run",
        scratch=str(tmp_path),
        progress_folder=str(tmp_path),
        stages=(),
        spans_fingerprint="",
        annotation_version="v1",
    )
    settings = RecaptionSettings(LookSettings(), 1, ChildLimits(None, 60.0))
    captions = CaptionSettings(EngineSpec("openai", OpenAISettings("model", None)), "What?")
    stages = fused_stages(lambda root: recaption_graph(root, context, settings, captions))
    together = {
        stage_of(step, stages)
        for step in ("OpenClips", "LookAtClips", "CaptionClips", "WriteAnnotations")
    }
    assert len(together) == 1
    assert not any("ListClips" in stages[number] for number in together)


def test_placeholders_tell_of_the_clip_and_its_source(out: Path, server: CaptionServer) -> None:
    prompt = "{source_name} {start_s} {width}x{height} {num_frames}"
    assert recaption(out, "--captioning_prompt_text", prompt) == 0
    asked = {request["messages"][0]["content"][1]["text"] for request in server.requests}
    expected = set()
    for meta in metas(out).values():
        for window in meta["windows"]:
            start = meta["duration_span"][0] + window["start_frame"] / meta["framerate"]
            name = meta["source_video"].rsplit("/", 1)[-1]
            number = window["end_frame"] + 1 - window["start_frame"]
            size = f"{meta['width']}x{meta['height']}"
            expected.add(f"{name} {start:.2f} {size} {number}")
    assert asked == expected
    assert len(expected) == NUM_WINDOWS


def damage(clip: Path) -> None:
    """Flip the bits of a byte in the middle of a clip."""
    content = bytearray(clip.read_bytes())
    content[len(content) // 2] ^= 0xFF
    clip.write_bytes(content)


def test_a_clip_that_cannot_be_captioned_fails_alone_and_is_tried_again(
    out: Path, server: CaptionServer, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, third, *_ = sorted((out / "clips").iterdir())
    contents = [clip.read_bytes() for clip in (first, second, third)]
    first.unlink()
    damage(second)
    third.write_bytes(b"no video")
    assert recaption(out, "--max_failed_share", "0.5") == 3
    said = capsys.readouterr().out
    assert "3 annotated, 3 failed" in said
    failures = {path.stem: read(path) for path in (out / "annotations/v1/failures").glob("*.json")}
    assert failures.keys() == {first.stem, second.stem, third.stem}
    assert failures[first.stem]["reason"] == "no_clip_file"
    assert failures[second.stem]["reason"] in ("clip_file_changed", "clip_does_not_decode")
    assert failures[third.stem]["reason"] == "clip_does_not_decode"
    assert read(out / "annotations/v1/summary.json")["num_clips_failed"] == 3
    asked = len(server.requests)
    assert recaption(out) == 1, "more failed than allowed"
    assert "3 of 6 clips could not be captioned anew" in capsys.readouterr().err
    assert len(server.requests) == asked
    for clip, content in zip((first, second, third), contents, strict=True):
        clip.write_bytes(content)
    assert recaption(out, "--retry_failed") == 0
    assert check_captions(out) == NUM_WINDOWS == len(server.requests)
    assert not list((out / "annotations/v1/failures").glob("*.json"))


def test_windows_without_caption_are_asked_again_when_told_so(
    out: Path, server: CaptionServer
) -> None:
    server.misbehave = lambda number: "500" if number == 0 else None
    once = ("--openai_caption_retries", "0", "--api_caption_batch_size", "1")
    assert recaption(out, *once) == 0
    assert read(out / "annotations/v1/caption_quality_stats.json")["caption_status_counts"] == {
        "success": NUM_WINDOWS - 1,
        "error": 1,
        **dict.fromkeys(("truncated", "blocked", "skipped"), 0),
    }
    server.misbehave = lambda _: None
    asked = len(server.requests)
    assert recaption(out, *once) == 0
    assert len(server.requests) == asked, "asked once, whatever became of it"
    assert recaption(out, *once, "--retry_failed") == 0
    assert 0 < len(server.requests) - asked <= 3, "the windows of one clip"
    assert check_captions(out) == NUM_WINDOWS


def test_two_runs_of_one_version_are_kept_apart(
    out: Path, server: CaptionServer, capsys: pytest.CaptureFixture[str]
) -> None:
    with hold_lease(annotation_lease_uri(str(out), "v1"), "another"):
        assert recaption(out) == 1
        assert f"{out}: " in capsys.readouterr().err
        assert recaption(out, "--annotation_version", "v2") == 0
    with hold_lease(lease_uri(str(out)), "a split"):
        assert recaption(out) == 1
    assert sorted(path.name for path in (out / "metas").iterdir()) == ["v0", "v2"]
    assert len(server.requests) == NUM_WINDOWS


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--annotation_version", "v0"], 2, "is the metadata that split writes"),
        (["--annotation_version", "clips"], 2, "cannot be the name of a folder of its own"),
        (["--annotation_version", "../x"], 2, "annotation_version"),
        (["--generate_captions", "false"], 2, "recaption makes captions and nothing else"),
        (["--captioning_prompt_text", "{this}"], 2, "{this} is no placeholder"),
        (["--openai_model_name", "other"], 1, "does not serve other"),
        (["--input_clip_path", "/nowhere"], 1, "no such file or folder"),
        (["--limit_clips", "1"], 2, "limit_clips"),
    ],
)
def test_wrong_use_is_told_before_the_start(
    out: Path,
    server: CaptionServer,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    status: int,
    said: str,
) -> None:
    before = digests(out)
    assert recaption(out, *options) == status
    assert said in capsys.readouterr().err
    assert digests(out) == before
    assert server.requests == []


def test_an_input_that_is_no_output_of_split_is_refused(
    raw: Path, server: CaptionServer, capsys: pytest.CaptureFixture[str]
) -> None:
    before = digests(raw)
    assert recaption(raw) == 1
    assert "it is no output of split" in capsys.readouterr().err
    assert digests(raw) == before


def test_a_plan_says_what_a_run_would_do(
    out: Path, server: CaptionServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert recaption(out, "--limit", "2") == 0
    before = digests(out)
    capsys.readouterr()
    assert main(["plan", "recaption", "--input_clip_path", str(out), *CAPTIONS[2:]]) == 0
    said = capsys.readouterr().out
    assert "tiny-vlm" in said
    assert "2 clips, 0 failed before" in said
    assert "to do       4 clips" in said
    assert digests(out) == before


UPSTREAM = [
    TreeClip("long", VideoSpec(seconds=3, size=(64, 48)), ((0, 74),)),
    TreeClip("short", VideoSpec(seconds=0.5, size=(96, 64)), ((0, 11),)),
    TreeClip("tiny", VideoSpec(seconds=0.12, size=(80, 48)), ()),
    TreeClip("uncaptioned", VideoSpec(seconds=1, size=(48, 80), b_frames=2, audio="aac"), ()),
    TreeClip("rejected", VideoSpec(seconds=1, size=(48, 48)), ((0, 24),), kept=False),
]


@pytest.mark.parametrize("summary", [True, False])
def test_an_output_of_upstream_is_captioned_anew(
    made_video: Callable[[str, VideoSpec], Path],
    server: CaptionServer,
    tmp_path: Path,
    summary: bool,
) -> None:
    out = tmp_path / "upstream"
    write_upstream_tree(out, UPSTREAM, made_video, summary=summary)
    before, first = digests(out), metas(out, "v0")
    assert recaption(out) == 0
    after = digests(out)
    assert {path: digest for path, digest in after.items() if path in before} == before
    found, ids = metas(out), {clip.name: clip.clip_id for clip in UPSTREAM}
    assert found.keys() == {ids[name] for name in ("long", "short", "tiny", "uncaptioned")}
    assert check_captions(out) == 3 == len(server.requests)
    for meta in found.values():
        assert not any("qwen_caption" in window for window in meta["windows"])
    assert found[ids["uncaptioned"]]["valid"], "upstream says false where no captions were made"
    tiny = found[ids["tiny"]]
    assert (tiny["windows"], tiny["valid"], tiny["has_caption"]) == ([], False, False)
    untouched = ("span_uuid", "source_video", "duration_span", "clip_location", "num_bytes")
    for clip_id, meta in found.items():
        assert {name: meta[name] for name in untouched} == {
            name: first[clip_id][name] for name in untouched
        }
    everything = read(out / "v1" / "all_window_captions.json")
    assert list(everything) == ["sub/a.mp4" if summary else "/raw/sub/a.mp4"]
    dataset = ("--output_dataset_path", str(tmp_path / "set"), "--captioning_algorithm", "openai")
    shard = ("shard", "--input_clip_path", str(out), "--annotation_version", "v1")
    assert main([*shard, *dataset]) == 0
