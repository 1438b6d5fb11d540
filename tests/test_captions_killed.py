"""A run that is killed while it captions: what is asked again, and that nothing is mixed up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from caption_server import KEY, CaptionServer, caption_server, frames_digest
from make_video import VideoSpec, make_video
from run_command import Curated
from wrong_use import environment

SLOTS = 2
OPTIONS = (
    *("--splitting_algorithm", "fixed-stride", "--no-predict"),
    *("--fixed_stride_split_duration", "1", "--fixed_stride_min_clip_length_s", "0.5"),
    *("--generate_captions", "true", "--captioning_algorithm", "openai"),
    *("--api_caption_batch_size", str(SLOTS)),
)


def run_killed_after(num_requests: int, run: Curated, server: CaptionServer) -> None:
    """Run in a process of its own, which is killed when the server has so many requests."""
    folders = ("--input_video_path", str(run.raw), "--output_clip_path", str(run.out))
    process = subprocess.Popen(
        [sys.executable, "-m", "beam_pipeline", "curate", *folders, *OPTIONS],
        env=environment({"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": KEY}),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while len(server.requests) < num_requests:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.005)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.timeout(180)
def test_at_most_the_open_windows_are_asked_about_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    for number, size in enumerate([(64, 48), (96, 64), (48, 80)]):
        make_video(raw / f"{number}.mp4", VideoSpec(seconds=8, size=size, noise=number == 1))
    run = Curated.below(tmp_path, raw)
    with caption_server() as server:
        server.misbehave = lambda _: "slow"
        run_killed_after(12, run, server)
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        assert run.curate(*OPTIONS) == 0
        asked = Counter(json.dumps(body, sort_keys=True) for body in server.requests)
    captions = {
        clip_id: window["openai_caption"]
        for clip_id, meta in run.metas().items()
        for window in meta["windows"]
    }
    assert len(captions) == 24
    for clip_id, caption in captions.items():
        assert caption == f"seen {frames_digest(run.out / 'clips' / f'{clip_id}.mp4')}"
    assert len(asked) == 24
    # Twice the slots are open, and what finished since the last clip came is not handed on yet.
    again = asked.total() - len(asked)
    assert again <= 2 * SLOTS + 1, asked.values()
