"""The documents' re-captioning JSON: ``split`` over the ``clips/`` of an earlier output."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from caption_server import CaptionServer, frames_digest, known_server
from make_video import VideoSpec, make_video
from run_command import Curated
from test_captions import CUT
from upstream_tree import TreeClip, write_upstream_tree

from beam_pipeline.cli import main

BLOCKS: list[str] = json.loads(
    (Path(__file__).with_name("data") / "core_curation_blocks.json").read_text()
)
RECAPTION = 2
"""Which of the documents' blocks captions anew."""

CLIPS = [
    TreeClip("long", VideoSpec(seconds=3, size=(64, 48), encoder_options=(("bf", "0"),)), ()),
    TreeClip("short", VideoSpec(seconds=0.6, size=(96, 64), b_frames=2, audio="aac"), ()),
    TreeClip("three frames", VideoSpec(seconds=0.12, size=(80, 48)), ()),
    TreeClip("baseline", VideoSpec(1, (48, 80), encoder_options=(("profile", "baseline"),)), ()),
]
"""With upstream's habits: no B-frames or some, sound, the index at the end of the file."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[CaptionServer]:
    """Return a running server that the program knows of."""
    with known_server(monkeypatch) as running:
        yield running


def documents_json(first: Path, second: Path, **changes: Any) -> Path:
    """Write the documents' JSON with paths that exist, and return where it lies."""
    job = json.loads(BLOCKS[RECAPTION])
    paths = {"input_video_path": str(first / "clips"), "output_clip_path": str(second)}
    job["args"].update(paths, **changes)
    path = second.parent / "recaption.json"
    path.write_text(json.dumps(job))
    return path


def contents(folder: Path) -> Counter[bytes]:
    return Counter(path.read_bytes() for path in folder.glob("*.mp4"))


def check_recaptioned(first: Path, second: Path, server: CaptionServer) -> None:
    """Assert that every clip is there byte for byte, once, each caption on its own window."""
    assert contents(second / "clips") == contents(first / "clips")
    num_windows = 0
    for path in (second / "metas" / "v0").glob("*.json"):
        meta = json.loads(path.read_text())
        source, clip = Path(meta["source_video"]), second / "clips" / f"{path.stem}.mp4"
        assert source.parent == first / "clips", "the old id is the name of the source"
        assert clip.read_bytes() == source.read_bytes()
        assert meta["made_by"] == "passthrough"
        for window in meta["windows"]:
            digest = frames_digest(clip, (window["start_frame"], window["end_frame"] + 1))
            assert window["openai_caption"] == f"seen {digest}"
            num_windows += 1
    assert num_windows == len(server.requests) > 0


def test_clips_of_upstream_are_captioned_anew_byte_for_byte(
    made_video: Callable[[str, VideoSpec], Path],
    server: CaptionServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, second = tmp_path / "v0", tmp_path / "v1"
    write_upstream_tree(first, CLIPS, made_video)
    job = documents_json(first, second, captioning_algorithm="openai")
    assert main([str(job)]) == 0
    said = capsys.readouterr().err
    assert "fixed_stride_min_clip_length_s: 0 (the input is the clips of a split)" in said
    check_recaptioned(first, second, server)
    assert len(list((second / "clips").iterdir())) == len(CLIPS)
    asked = len(server.requests)
    shutil.rmtree(first)
    assert main([str(job)]) == 0, "it goes on also when the first output is gone"
    assert len(server.requests) == asked


def test_own_clips_are_captioned_anew_byte_for_byte(server: CaptionServer, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    make_video(tmp_path / "raw" / "a.mp4", VideoSpec(seconds=7, size=(64, 48), audio="aac"))
    run = Curated.below(tmp_path, tmp_path / "raw")
    assert run.curate(*CUT, "--generate_captions", "false") == 0
    assert any(meta["num_frames"] < 50 for meta in run.metas().values())
    second = tmp_path / "v1"
    prompt = "What moves?"
    job = documents_json(
        run.out, second, captioning_algorithm="openai", captioning_prompt_text=prompt
    )
    assert main([str(job)]) == 0
    check_recaptioned(run.out, second, server)
    prompts = [request["messages"][0]["content"][1]["text"] for request in server.requests]
    assert set(prompts) == {prompt}


def test_a_minimum_that_is_given_stands(
    made_video: Callable[[str, VideoSpec], Path], server: CaptionServer, tmp_path: Path
) -> None:
    first, second = tmp_path / "v0", tmp_path / "v1"
    write_upstream_tree(first, CLIPS, made_video)
    changes: dict[str, Any] = {"captioning_algorithm": "openai"}
    job = documents_json(first, second, fixed_stride_min_clip_length_s=0.9, **changes)
    assert main([str(job)]) == 0
    assert len(list((second / "clips").iterdir())) == 2


def test_a_folder_of_videos_that_is_called_clips_keeps_the_default(
    server: CaptionServer, tmp_path: Path
) -> None:
    first, second = tmp_path / "v0", tmp_path / "v1"
    (first / "clips").mkdir(parents=True)
    for seconds in (1, 3):
        make_video(first / "clips" / f"{seconds}.mp4", VideoSpec(seconds=seconds, size=(64, 48)))
    job = documents_json(first, second, captioning_algorithm="openai")
    assert main([str(job)]) == 0
    assert len(list((second / "clips").iterdir())) == 1


def test_as_written_it_loads_and_says_what_its_model_needs(
    made_video: Callable[[str, VideoSpec], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "no-models"))
    first, second = tmp_path / "v0", tmp_path / "v1"
    write_upstream_tree(first, CLIPS[:1], made_video)
    assert main([str(documents_json(first, second))]) == 1
    said = capsys.readouterr().err
    assert "generate_captions=false" in said or "models pull" in said
    assert not second.exists()
