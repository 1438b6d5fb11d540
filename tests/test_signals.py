"""Signals end a command in order: the first one begins that, and only Ctrl-C may break it off."""

from __future__ import annotations

import os
import signal

import pytest

from beam_pipeline.cli import InterruptionError, _ending_on_signals


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_another_term_does_not_break_off_what_the_first_signal_began(
    first: signal.Signals,
) -> None:
    steps = []
    with pytest.raises(InterruptionError), _ending_on_signals():
        try:
            os.kill(os.getpid(), first)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            steps.append("cleaned up")
    assert steps == ["cleaned up"]


def test_another_ctrl_c_does() -> None:
    with pytest.raises(InterruptionError), _ending_on_signals():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            raise AssertionError("it went on")
