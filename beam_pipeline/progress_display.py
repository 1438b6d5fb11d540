"""Shows how far a run is: a live display on a terminal, else a line every now and then."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table

from transforms.progress import TotalsReader

_LIVE_SECONDS = 1.0
_MIN_SHARE = 0.02
"""Before this share of the work is done, the time left is a guess not worth printing."""


class ProgressDisplay:
    """Context in which a thread adds up the workers' counters and shows them on stderr.

    Args:
        folder: Folder of the counters' files (see ``transforms.progress``).
        interval_seconds: Time between lines where stderr is no terminal.
    """

    def __init__(self, folder: str, *, interval_seconds: float) -> None:
        self._reader = TotalsReader(folder)
        self._interval = interval_seconds
        self._ended = threading.Event()
        self._started_at = time.monotonic()
        self._console = Console(stderr=True)
        self._thread = threading.Thread(target=self._show, name="progress", daemon=True)

    def __enter__(self) -> ProgressDisplay:
        """Start to show."""
        self._started_at = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Show the last state and stop."""
        self._ended.set()
        self._thread.join()

    def _show(self) -> None:
        if self._console.is_terminal:
            self._show_live()
        else:
            self._show_lines()

    def _show_lines(self) -> None:
        while not self._ended.wait(self._interval):
            print(self._line(), file=sys.stderr, flush=True)

    def _show_live(self) -> None:
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            ended = False
            while not ended:
                ended = self._ended.wait(_LIVE_SECONDS)
                live.update(self._table(), refresh=True)

    def _line(self) -> str:
        return progress_line(self._reader.read(), time.monotonic() - self._started_at)

    def _table(self) -> Table:
        table = Table(show_header=False, box=None)
        facts = progress_facts(self._reader.read(), time.monotonic() - self._started_at)
        for name, value in facts:
            table.add_row(name, value)
        return table


def progress_line(totals: dict[str, float], elapsed_seconds: float) -> str:
    """Return the progress as one line.

    Example:
        >>> progress_line({"videos_selected": 2, "videos_probed": 1, "failures": 1}, 65)
        'progress 0:01:05: probed 1/2 videos; failures 1'
        >>> progress_line({"clips_to_annotate": 4, "clips_annotated": 1, "failures": 1}, 60)
        'progress 0:01:00: captions 2/4 clips, 0 windows asked; failures 1; left 0:01:00'
    """
    facts = progress_facts(totals, elapsed_seconds)
    return f"progress {facts[0][1]}: " + "; ".join(f"{name} {value}" for name, value in facts[1:])


def progress_facts(totals: dict[str, float], elapsed_seconds: float) -> list[tuple[str, str]]:
    """Return (name, value) of what is known so far, the elapsed time first.

    Args:
        totals: Sums of the workers' counters.
        elapsed_seconds: Since the run began.
    """

    def number(name: str) -> int:
        return int(totals.get(name, 0))

    facts = [("elapsed", clock(elapsed_seconds))]
    if number("waves_begun"):
        facts.append(("wave", str(number("waves_begun"))))
    if "clips_to_annotate" in totals:
        return facts + _annotation_facts(totals, elapsed_seconds)
    facts.append(("probed", f"{number('videos_probed')}/{number('videos_selected')} videos"))
    if number("segments_planned"):
        segments = f"{number('segments_scored')}/{number('segments_planned')} segments"
        facts.append(("shots", f"{segments}, cutting starts behind the last"))
    planned, cut = totals.get("seconds_planned", 0.0), totals.get("seconds_cut", 0.0)
    if planned:
        facts.append(("cut", f"{cut:.0f}/{planned:.0f} s of video"))
        facts.append(("clips", f"{number('clips_written')} written"))
    if number("clips_rejected"):
        facts.append(("rejected", str(number("clips_rejected"))))
    if number("shards_written"):
        facts.append(("shards", f"{number('shards_written')} written"))
    facts.append(("failures", str(number("failures"))))
    if cut and elapsed_seconds > 0:
        facts.append(("rate", f"{cut / elapsed_seconds:.1f} s of video per second"))
    if planned and cut / planned > _MIN_SHARE and number("videos_probed"):
        # Videos that are not probed yet are taken to be as long as the probed ones.
        expected = planned * max(1.0, number("videos_selected") / number("videos_probed"))
        facts.append(("left", clock(elapsed_seconds * max(0.0, expected - cut) / cut)))
    return facts


def _annotation_facts(totals: dict[str, float], elapsed_seconds: float) -> list[tuple[str, str]]:
    """Return what is known so far of new captions for clips that are there."""
    failures = int(totals.get("failures", 0))
    to_do = int(totals["clips_to_annotate"] - totals.get("clips_left_out", 0))
    done = int(totals.get("clips_annotated", 0)) + failures
    windows = int(totals.get("windows_captioned", 0))
    facts = [
        ("captions", f"{done}/{to_do} clips, {windows} windows asked"),
        ("failures", str(failures)),
    ]
    if 0 < done < to_do and done / to_do > _MIN_SHARE:
        facts.append(("left", clock(elapsed_seconds * (to_do - done) / done)))
    return facts


def clock(seconds: float) -> str:
    """Return hours, minutes and seconds.

    Example:
        >>> clock(3725.4)
        '1:02:05'
    """
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
