"""Captions of clips that are decided, divided or asked about anew: none is lost, none is mixed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from caption_server import CaptionServer, frames_digest, known_server
from make_video import VideoSpec, make_video
from run_command import Curated
from test_captions import CAPTIONS, CUT, check_captions

from beam_pipeline.cli import main
from transforms.annotate.collect_captions import _CollectCaptions
from transforms.models.captions.tickets import put
from transforms.recaption.annotated_meta import with_earlier_captions
from transforms.records import CaptionAnswer, Clip, ClipFile, Window
from transforms.run_context import RunContext

NONE = ("--generate_captions", "false")
STRICT = ("--brightness_filter", "enable", "--brightness_min_threshold", "0.94")
LENIENT = ("--brightness_filter", "enable", "--brightness_min_threshold", "0", "--accept_changes")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[CaptionServer]:
    """Return a running server that the program knows of."""
    with known_server(monkeypatch) as running:
        yield running


@pytest.fixture
def run(tmp_path: Path) -> Curated:
    """Return the folders of a run over one video of three clips with seven windows."""
    (tmp_path / "raw").mkdir()
    make_video(tmp_path / "raw" / "a.mp4", VideoSpec(seconds=7, size=(64, 48)))
    return Curated.below(tmp_path, tmp_path / "raw")


def windows_of(run: Curated, version: str = "v0") -> list[dict[str, Any]]:
    """Return all windows of a version, by clip."""
    metas = sorted((run.out / "metas" / version).glob("*.json"))
    return [window for meta in metas for window in json.loads(meta.read_text())["windows"]]


def test_a_clip_that_stays_rejected_is_not_asked_about(run: Curated, server: CaptionServer) -> None:
    assert run.curate(*CUT, *NONE, *STRICT) == 0
    # The filter is off now, and a new score makes every clip be looked at again.
    later = ("--brightness_filter", "disable", "--black_filter", "score-only")
    assert run.curate(*CUT, *CAPTIONS, *later) == 0
    assert server.requests == []
    assert not any("caption_status" in window for window in windows_of(run))
    for meta in run.metas().values():
        assert meta["rejection"]["filter"] == "brightness"
        assert "black_score" in meta["stages"]
        assert "captions" not in meta["stages"]
    assert main(["verify", str(run.out)]) == 0


def test_a_clip_that_is_kept_again_has_nothing_of_its_earlier_captions(
    run: Curated, server: CaptionServer
) -> None:
    assert run.curate(*CUT, *CAPTIONS) == 0
    assert run.curate(*CUT, *CAPTIONS, *STRICT) == 0
    server.misbehave = lambda _: "400"
    assert run.curate(*CUT, *CAPTIONS, *LENIENT) == 0
    assert len(server.requests) == 7 + 7
    for window in windows_of(run):
        assert window["caption_status"] == "error"
        assert "openai_caption" not in window
    assert main(["verify", str(run.out)]) == 0


def test_clips_keep_their_windows_when_other_ones_are_asked_for(
    run: Curated, server: CaptionServer
) -> None:
    assert run.curate(*CUT, *NONE) == 0
    before = windows_of(run)
    others = ("--captioning_window_size", "16", "--accept_changes")
    assert run.curate(*CUT, *CAPTIONS, *others) == 0
    assert check_captions(run) == len(before) == 7
    assert main(["verify", str(run.out)]) == 0


def test_captions_of_clips_that_are_turned_down_later_leave_the_files(
    run: Curated, server: CaptionServer
) -> None:
    assert run.curate(*CUT, *CAPTIONS) == 0
    assert run.curate(*CUT, *NONE, *STRICT) == 0
    assert run.read("v0/all_window_captions.json") == {"a.mp4": {}}
    assert run.read("caption_quality_stats.json")["caption_windows_checked"] == 0


def test_a_window_that_is_asked_about_again_costs_no_other_one_its_caption(
    run: Curated, server: CaptionServer
) -> None:
    assert run.curate(*CUT, *NONE) == 0
    again = ["recaption", "--input_clip_path", str(run.out), *CAPTIONS[2:]]
    server.misbehave = {0: "400"}.get
    assert main(again) == 0
    before = windows_of(run, "v1")
    assert [window["caption_status"] for window in before].count("success") == 6
    server.misbehave = lambda _: "400"
    assert main([*again, "--retry_failed"]) == 0
    assert windows_of(run, "v1") == before
    summary = run.read("annotations/v1/summary.json")
    assert (summary["num_caption_windows"], summary["total_output_tokens"]) == (6, 42)
    assert main(["verify", str(run.out)]) == 0
    server.misbehave = lambda _: None
    assert main([*again, "--retry_failed"]) == 0
    for path in (run.out / "metas" / "v1").glob("*.json"):
        for window in json.loads(path.read_text())["windows"]:
            frames = window["start_frame"], window["end_frame"] + 1
            clip = run.out / "clips" / path.with_suffix(".mp4").name
            assert window["openai_caption"] == f"seen {frames_digest(clip, frames)}"
    assert run.read("annotations/v1/summary.json")["total_output_tokens"] == 49


def test_each_window_keeps_the_better_of_two_answers() -> None:
    def window(start: int, status: str, tokens: int, text: str = "") -> dict[str, Any]:
        caption = {"qwen_caption": text} if text else {}
        counts = {"qwen_prompt_tokens": 10 * tokens, "qwen_output_tokens": tokens}
        frames = {"start_frame": start, "end_frame": start + 9}
        enhanced = {"enhancement_prompt_tokens": 1000, "enhancement_output_tokens": 1000}
        return {**enhanced, **frames, "caption_status": status, **counts, **caption}

    def meta(*windows: dict[str, Any]) -> dict[str, Any]:
        return {
            "windows": list(windows),
            "total_prompt_tokens": sum(one["qwen_prompt_tokens"] for one in windows),
            "total_output_tokens": sum(one["qwen_output_tokens"] for one in windows),
        }

    earlier = meta(window(0, "success", 3, "a"), window(10, "error", 1), window(20, "truncated", 5))
    now = meta(window(0, "error", 2), window(10, "success", 7, "b"), window(30, "blocked", 1))
    better = with_earlier_captions(now, earlier)
    assert better["windows"] == [earlier["windows"][0], now["windows"][1], now["windows"][2]]
    assert (better["has_caption"], better["num_caption_windows"]) == (True, 2)
    assert (better["total_prompt_tokens"], better["total_output_tokens"]) == (110, 11)


def test_what_a_bundle_that_failed_had_asked_is_given_up(tmp_path: Path) -> None:
    context = RunContext(str(tmp_path), "run", str(tmp_path), str(tmp_path / "progress"), (), "")

    collect = _CollectCaptions(4, context)
    collect.start_bundle()
    asked: Future[CaptionAnswer] = Future()
    window = Window(0, 10, 1)
    file = ClipFile(1, "", 64, 48, 25.0, 10, "h264", (0, 1), "encode", (window,))
    clip = Clip("c", "", "a.mp4", 0, 0, file=file)
    assert list(collect.process((clip, (put(asked),)))) == []
    collect.start_bundle()
    assert asked.cancelled()
    collect.teardown()
