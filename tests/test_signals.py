"""Signals end a command in order: the first one begins that, and only Ctrl-C may break it off."""

from __future__ import annotations

import os
import signal

import pytest

from beam_pipeline.cli import InterruptionError, _ending_on_signals


def end_twice(first: signal.Signals, second: signal.Signals, steps: list[str]) -> None:
    with _ending_on_signals():
        try:
            os.kill(os.getpid(), first)
        finally:
            os.kill(os.getpid(), second)
            steps.append("cleaned up")


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_another_term_does_not_break_off_what_the_first_signal_began(
    first: signal.Signals,
) -> None:
    steps: list[str] = []
    with pytest.raises(InterruptionError):
        end_twice(first, signal.SIGTERM, steps)
    assert steps == ["cleaned up"]


def test_another_ctrl_c_does() -> None:
    steps: list[str] = []
    with pytest.raises(InterruptionError):
        end_twice(signal.SIGTERM, signal.SIGINT, steps)
    assert steps == []
