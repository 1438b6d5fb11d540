"""Options of a run as a whole."""

from __future__ import annotations

from typing import ClassVar

from transforms.section import Section, option


class Run(Section):
    """How a run begins, ends and reports."""

    title: ClassVar[str] = "Run"

    dry_run: bool = False
    """Print what the run would do, like the command ``plan``, and write nothing."""
    retry_failed: bool = False
    """Try failed videos and clips again."""
    overwrite: bool = False
    """Remove what an earlier run wrote to the output (``recaption``: this version of the
    annotations), then start anew."""
    accept_changes: bool = False
    """Go on in an output that was begun with other options; new clips get the new ones."""
    max_failed_share: float = option(0.05, unit="share of videos", ge=0, le=1)
    """Largest share of failed videos (of ``recaption``: clips) with which the run still counts as
    finished (exit 3)."""
    wave_hours: float = option(1000.0, unit="hours of video", ge=0)
    """Work through a longer selection in waves of so many hours, one after another: each is split
    and, with ``curate``, packed into shards before the next begins; 0: all at once."""
    scratch_path: str | None = None
    """Local folder for files in work; default: the system's folder for temporary files."""
    progress_interval_s: float = option(30.0, unit="seconds", gt=0)
    """Time between progress lines when the output is not a terminal."""
    verbose: bool = False
    """Log at debug level."""
    predict: bool = True
    """Cut for about two seconds before the run, to compare predicted with actual at its end."""
    fsync: bool = True
    """Wait until each file is on disk before it gets its name, so that a loss of power loses
    nothing that is finished."""
    perf_profile: bool = True
    """Write seconds per stage to ``performance_stats_N.json``."""
