"""Captions by a real server: every caption on its own window, whatever the server does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from caption_server import (
    KEY,
    MODEL,
    CaptionServer,
    caption_server,
    forget_models,
    frames_digest,
    known_server,
)
from make_video import VideoSpec, make_video
from run_command import Curated

from beam_pipeline.cli import main
from transforms.formats.caption_stats import CaptionQuality
from transforms.formats.chunk_record import ChunkRecord
from transforms.formats.clip_meta import ClipMeta
from transforms.models.api_access import ApiAccess
from transforms.models.captions.engine import CaptionRequest, EngineGoneError
from transforms.models.captions.openai_engine import OpenAIEngine
from transforms.models.captions.settings import OpenAISettings

CUT = (
    *("--fixed_stride_split_duration", "3", "--fixed_stride_min_clip_length_s", "1"),
    *("--captioning_window_size", "32", "--captioning_remainder_threshold", "8"),
)
CAPTIONS = (
    *("--generate_captions", "true", "--captioning_algorithm", "openai"),
    *("--openai_retry_delay_seconds", "0.01"),
)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return three videos whose clips all look different, and a text file with a video's name."""
    folder = tmp_path_factory.mktemp("captions") / "raw"
    folder.mkdir()
    for number, size in enumerate([(64, 48), (96, 64), (48, 80)]):
        make_video(folder / f"{number}.mp4", VideoSpec(seconds=7, size=size, noise=number == 1))
    (folder / "text.mp4").write_text("no video")
    return folder


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[CaptionServer]:
    """Return a running server that the program knows of."""
    with known_server(monkeypatch) as running:
        yield running


def check_captions(run: Curated) -> int:
    """Check every caption against the frames of its own window; return how many there are."""
    num_captions = 0
    for clip_id, meta in run.metas().items():
        clip = run.out / "clips" / f"{clip_id}.mp4"
        assert meta["windows"], clip_id
        for window in meta["windows"]:
            frames = window["start_frame"], window["end_frame"] + 1
            assert window["openai_caption"] == f"seen {frames_digest(clip, frames)}"
            assert window["caption_status"] == "success"
            assert window["openai_prompt_tokens"] == 100
            num_captions += 1
    return num_captions


def test_every_caption_is_on_its_own_window(
    raw: Path, server: CaptionServer, tmp_path: Path
) -> None:
    run = Curated.below(tmp_path, raw)
    ways = {0: "429", 2: "drop", 3: "500", 5: "garbage", 7: "slow", 9: "page", 11: "odd"}
    server.misbehave = ways.get
    # As many as there are bad answers: one window may get them all.
    retries = ("--openai_caption_retries", "6")
    assert run.curate(*CUT, *CAPTIONS, *retries, "--max_failed_share", "0.5") == 3
    num_windows = check_captions(run)
    assert num_windows == 21
    assert not server.problems
    assert len(server.requests) == num_windows + 6
    assert server.most_at_once > 1
    summary = run.read("summary.json")
    assert summary["total_num_clips_with_caption"] == len(run.metas())
    assert summary["total_output_tokens"] == 7 * num_windows
    stats = run.read("caption_quality_stats.json")
    assert stats["caption_status_counts"]["success"] == num_windows
    for meta in run.metas().values():
        ClipMeta.model_validate(meta)
    ChunkRecord.model_validate(run.read("processed_clip_chunks/0.mp4_0.json"))
    CaptionQuality.model_validate(stats)
    everything = run.read("v0/all_window_captions.json")
    assert sum(len(windows) for clips in everything.values() for windows in clips.values()) == 21
    server.requests.clear()
    assert run.curate(*CUT, *CAPTIONS, "--max_failed_share", "0.5") == 3
    assert server.requests == [], "a rerun sends nothing"


def test_an_endpoint_that_dies_ends_the_run_and_the_same_command_goes_on(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Curated.below(tmp_path, raw)
    options = (*CUT, *CAPTIONS, "--max_failed_share", "0.5", "--openai_caption_retries", "1")
    forget_models()
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with caption_server() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        server.dies_after = 5
        assert run.curate(*options) == 1
    assert "does not answer any more; start it again" in capsys.readouterr().err
    assert not (run.out / "summary.json").exists()
    forget_models()
    with caption_server() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        assert run.curate(*options) == 3
        assert check_captions(run) == 21
        assert len(server.requests) <= 21


def test_a_key_that_is_withdrawn_ends_the_run(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Curated.below(tmp_path, raw)
    forget_models()
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with caption_server() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        server.withdraws_after = 5
        assert run.curate(*CUT, *CAPTIONS, "--max_failed_share", "0.5") == 1
    told = capsys.readouterr().err
    assert "refuses the API key by now (HTTP 401)" in told
    assert KEY not in told
    assert not any(
        '"caption_status": "error"' in path.read_text() for path in run.out.glob("metas/v0/*.json")
    )


def test_an_engine_whose_endpoint_is_gone_tells_no_password(tmp_path: Path) -> None:
    (tmp_path / "w.mp4").write_bytes(b"")
    settings = OpenAISettings("m", None, retries=0)
    engine = OpenAIEngine(settings, ApiAccess("http://me:p4ss@127.0.0.1:9/v1", "key"))
    try:
        answer = engine.submit(CaptionRequest("w", "?", str(tmp_path / "w.mp4")))
        with pytest.raises(EngineGoneError, match=r"^http://127\.0\.0\.1:9/v1/: the endpoint"):
            answer.result(30)
    finally:
        engine.close()


def test_no_key_is_stored_or_said(
    raw: Path, server: CaptionServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = Curated.below(tmp_path, raw)
    options = (*CUT, *CAPTIONS, "--max_failed_share", "1", "--verbose", "--openai_caption_retries")
    server.misbehave = lambda _: "500"
    assert run.curate(*options, "0") == 3
    said = capfd.readouterr()
    assert KEY not in said.out + said.err
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    windows = [window for meta in run.metas().values() for window in meta["windows"]]
    assert {window["caption_status"] for window in windows} == {"error"}
    assert {window["caption_failure_reason"] for window in windows} == {"exception"}
    assert not any("openai_caption" in window for window in windows)


def test_a_rejected_clip_causes_no_request(
    raw: Path, server: CaptionServer, tmp_path: Path
) -> None:
    run = Curated.below(tmp_path, raw)
    # The noisy video's clips are sharp; the others are not.
    rejecting = ("--sharpness_filter", "enable", "--sharpness_threshold", "500")
    assert run.curate(*CUT, *CAPTIONS, *rejecting, "--max_failed_share", "0.5") == 3
    metas = run.metas()
    rejected = {clip_id for clip_id, meta in metas.items() if "rejection" in meta}
    assert 0 < len(rejected) < len(metas)
    kept_windows = sum(len(m["windows"]) for clip, m in metas.items() if clip not in rejected)
    assert len(server.requests) == kept_windows
    for clip_id in rejected:
        assert "captions" not in metas[clip_id]["stages"]
        assert not any("caption_status" in window for window in metas[clip_id]["windows"])


def test_captions_turned_on_later_leave_the_clips_alone(
    raw: Path, server: CaptionServer, tmp_path: Path
) -> None:
    run = Curated.below(tmp_path, Path(shutil.copytree(raw, tmp_path / "raw")))
    failing = ("--max_failed_share", "0.5")
    assert run.curate(*CUT, *failing, "--generate_captions", "false") == 3
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in mp4s(run.out)}
    first = run.metas()
    # Nothing is cut: the sources are not even there.
    shutil.rmtree(run.raw)
    assert run.curate(*CUT, *failing, *CAPTIONS) == 3
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in mp4s(run.out)} == before
    assert check_captions(run) == 21 == len(server.requests)
    for clip_id, meta in run.metas().items():
        assert {*first[clip_id]["stages"], "captions"} == {*meta["stages"]}
        changed = {name for name in meta if meta[name] != first[clip_id].get(name)}
        assert changed == {
            *("windows", "has_caption", "stages", "num_caption_windows"),
            *("total_prompt_tokens", "total_output_tokens", "caption_quality_flags_enabled"),
        }


def mp4s(out: Path) -> list[Path]:
    return sorted((out / "clips").iterdir())


def test_a_clip_that_is_kept_after_all_is_captioned(
    raw: Path, server: CaptionServer, tmp_path: Path
) -> None:
    run = Curated.below(tmp_path, raw)
    failing = (*CUT, *CAPTIONS, "--max_failed_share", "0.5", "--sharpness_filter", "enable")
    assert run.curate(*failing, "--sharpness_threshold", "500") == 3
    asked = len(server.requests)
    assert 0 < asked < 21
    lenient = ("--sharpness_threshold", "0", "--accept_changes")
    assert run.curate(*failing, *lenient) == 3
    assert check_captions(run) == 21
    assert len(server.requests) == 21, "what was captioned is not asked about again"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--captioning_prompt_text", "what is {this}"], "{this} is no placeholder"),
        (["--captioning_prompt_file", "/nowhere/prompt.txt"], "cannot be read"),
        (["--captioning_prompt_text", " "], "the prompt is empty"),
        (
            ["--captioning_prompt_text", "{this}", "--generate_captions", "auto"],
            "{this} is no placeholder",
        ),
        (["--openai_model_name", "other"], f"does not serve other; it serves {MODEL}"),
        (["--captioning_algorithm", "nemotron"], "models pull nemotron"),
        (["--captioning_model", "some/vlm"], "captioning_model=some/vlm is for models in the"),
    ],
)
def test_wrong_use_is_told_before_the_start(
    raw: Path,
    server: CaptionServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    said: str,
) -> None:
    run = Curated.below(tmp_path, raw)
    assert run.curate(*CUT, *CAPTIONS, *options) in (1, 2)
    assert said in capsys.readouterr().err
    assert not run.out.exists()
    assert server.requests == []


def test_an_endpoint_that_refuses_or_is_down_is_named(
    raw: Path,
    server: CaptionServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = Curated.below(tmp_path, raw)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-a-wrong-one")
    assert run.curate(*CUT, *CAPTIONS) == 1
    said = capsys.readouterr().err
    assert "refuses the API key (HTTP 401)" in said
    assert "sk-a-wrong-one" not in said
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    assert run.curate(*CUT, *CAPTIONS) == 1
    assert "http://127.0.0.1:9/v1: does not answer" in capsys.readouterr().err
    for password, said in (("p4ss", "http://127.0.0.1:9/v1: does not answer"), ("p4s/s", "is no")):
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://me:{password}@127.0.0.1:9/v1?key=p4ss")
        assert run.curate(*CUT, *CAPTIONS) == 1
        told = capsys.readouterr().err
        assert said in told
        assert "p4s" not in told
    monkeypatch.delenv("OPENAI_BASE_URL")
    monkeypatch.delenv("OPENAI_API_KEY")
    assert run.curate(*CUT, *CAPTIONS) == 1
    assert "set OPENAI_BASE_URL" in capsys.readouterr().err
    # Auto makes none then, and says why.
    auto = ("--captioning_algorithm", "openai", "--max_failed_share", "0.5")
    assert run.curate(*CUT, *auto) == 3
    assert (
        "generate_captions: auto is off here (no OpenAI-compatible endpoint is known"
        in capsys.readouterr().err
    )
    assert json.loads((run.out / "runs" / "options.json").read_text())


def test_half_a_character_in_an_answer_breaks_no_file(
    raw: Path, server: CaptionServer, tmp_path: Path
) -> None:
    """A server may send half of a surrogate pair: JSON has it as ``\\ud83d``."""
    server.says = lambda _, seen: f"\ud83d on {seen}"
    run = Curated.below(tmp_path, raw)
    twice = ("--captioning_stage2", "--max_failed_share", "0.5")
    assert run.curate(*CUT, *CAPTIONS, *twice) == 3
    for meta in run.metas().values():
        assert [window["openai_caption"][0] for window in meta["windows"]] == ["\ufffd"] * len(
            meta["windows"]
        )
        assert not [window for window in meta["windows"] if "second_pass_failure_message" in window]
    assert main(["verify", str(run.out)]) == 0
