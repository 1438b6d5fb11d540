"""Threads that wait for servers: every call answered, none that keeps a process alive."""

from __future__ import annotations

import functools
import gc
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError
from pathlib import Path

import pytest
from caption_server import KEY, caption_server, forget_models
from make_video import VideoSpec, make_video
from test_captions import CAPTIONS, CUT
from wrong_use import environment

from transforms.models.daemon_pool import DaemonPool


def test_calls_run_side_by_side_and_errors_reach_who_waits() -> None:
    pool = DaemonPool(3, "test")
    together = threading.Barrier(3)
    futures = [pool.submit(functools.partial(together.wait, 10)) for _ in range(6)]
    assert sorted(future.result(10) for future in futures) == [0, 0, 1, 1, 2, 2]
    with pytest.raises(ZeroDivisionError):
        pool.submit(lambda: 1 // 0).result(10)
    assert pool.submit(lambda: 7).result(10) == 7
    pool.close()


def test_a_closed_pool_finishes_what_it_began_and_nothing_else() -> None:
    pool = DaemonPool(1, "test")
    begun, may_end = threading.Event(), threading.Event()

    def call() -> str:
        begun.set()
        may_end.wait(10)
        return "done"

    first, second = pool.submit(call), pool.submit(call)
    assert begun.wait(10)
    threading.Timer(0.2, may_end.set).start()
    pool.close()
    assert first.result(0) == "done"
    with pytest.raises(CancelledError):
        second.result(0)
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(call)


def test_threads_end_with_the_pool_that_nobody_has_any_more() -> None:
    pool = DaemonPool(2, "forgotten")
    pool.submit(int).result(10)
    del pool
    gc.collect()
    deadline = time.monotonic() + 10
    while any(thread.name == "forgotten" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_interrupted_run_does_not_wait_for_a_slow_server(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    make_video(tmp_path / "raw" / "a.mp4", VideoSpec(seconds=7, size=(64, 48)))
    forget_models()
    over = threading.Event()
    with caption_server() as server:
        server.misbehave = lambda _: "drop" if over.wait(120) else None
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "beam_pipeline", "split", *CUT, *CAPTIONS),
                *("--input_video_path", str(tmp_path / "raw"), "--no-predict"),
                *("--output_clip_path", str(tmp_path / "out")),
                *("--splitting_algorithm", "fixed-stride"),
                *("--scratch_path", str(tmp_path / "scratch")),
            ],
            env=environment({"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": KEY}),
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + 60
            while not server.requests:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 130
        finally:
            over.set()
            process.kill()
            process.wait()
