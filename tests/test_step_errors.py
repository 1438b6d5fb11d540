"""What a step raises reaches the caller as it was raised, in this process and from workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apache_beam as beam
import pytest

from runners import direct
from runners.step_errors import original_error
from transforms.errors import CurateError, LedgerError, MediaError
from transforms.storage.interface import NotFoundError, StorageError

MULTI = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]


def failing(make: Callable[[], BaseException]) -> Callable[[Any], None]:
    """Return a graph whose second step raises."""

    def fail(_: int) -> int:
        raise make()

    def build(root: beam.Pipeline) -> None:
        _ = root | beam.Create([1]) | "Break" >> beam.Reshuffle() | "Fail" >> beam.Map(fail)

    return build


def chained() -> ValueError:
    """Return a bug that came up while an error of ours was handled."""
    error = ValueError("a bug")
    error.__context__ = StorageError("/x: gone")
    return error


@pytest.mark.parametrize(
    "error",
    [
        LedgerError("2 of what was planned is missing: a, b"),
        StorageError("/x/y: No space left on device"),
        NotFoundError("/x: no such file"),
        MediaError("truncated", "/x.mp4: ends early"),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_of_ours_come_out_unchanged(error: BaseException) -> None:
    with pytest.raises(type(error)) as raised:
        direct.run(failing(lambda: error), [])
    assert raised.value.args == error.args
    assert "while running" not in str(raised.value)


@pytest.mark.parametrize("make", [lambda: ValueError("a bug"), chained], ids=["plain", "chained"])
def test_unexpected_errors_keep_their_step_and_traceback(make: Callable[[], Exception]) -> None:
    with pytest.raises(ValueError, match=r"a bug \[while running 'Fail'\]"):
        direct.run(failing(make), [])


def test_errors_of_worker_processes_lose_the_traceback(
    capfd: pytest.CaptureFixture[str],
) -> None:
    direct.prepare([])
    message = "2 of what was planned is missing: a, b"
    with pytest.raises(CurateError) as raised:
        direct.run(failing(lambda: LedgerError(message)), MULTI)
    assert str(raised.value) == message
    assert capfd.readouterr().err == ""


REMOTE = """Traceback (most recent call last):
  File "x.py", line 1, in f
transforms.storage.interface.StorageError: /x: gone

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "x.py", line 2, in f
{last} [while running 'Fail/Map']
"""


@pytest.mark.parametrize(
    ("last", "message"),
    [
        ("transforms.errors.LedgerError: two\nlines", "two\nlines"),
        ("RuntimeError: transforms.media.child_process.ChildEndedError: it ended", "it ended"),
        ("ValueError: a bug", None),
        ("ValueError: transforms.errors.LedgerError: is only quoted", None),
    ],
)
def test_the_last_error_of_a_traceback_counts(last: str, message: str | None) -> None:
    import transforms.media.child_process  # noqa: F401 - it defines an error

    error = original_error(RuntimeError(REMOTE.format(last=last)))
    assert (None if error is None else str(error)) == message
