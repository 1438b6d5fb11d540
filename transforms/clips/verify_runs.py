"""Check the records of runs and the stored options: which videos were ever selected."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from transforms.checked_files import BadFileError, list_files, read_checked
from transforms.clips.selections import Selected, selected_videos
from transforms.finding import Finding, Watch
from transforms.formats.run_record import CurrentRun, FinishedRun, StoredOptions
from transforms.layout import RUNS, current_run_uri, options_uri
from transforms.storage.interface import NotFoundError
from transforms.storage.uris import join, relative

_FINISHED = re.compile(r"(\d{4,})\.json")


@dataclass
class Runs:
    """What the records of runs say."""

    videos: dict[str, Selected] = field(default_factory=dict)
    """Every video that a run selected, by relative path."""
    is_unfinished: bool = False
    """Whether a run's selection waits for its end."""
    last: dict[str, Any] | None = None
    """Record of the last finished run."""
    options: dict[str, Any] | None = None
    """The stored options."""
    findings: list[Finding] = field(default_factory=list)


def verify_runs(root: str, watch: Watch) -> Runs:
    """Return what the records of runs say, and what is wrong with them."""
    runs = Runs()
    _read_options(root, runs, watch)
    folder, last = join(root, RUNS), ""
    for stat in list_files(folder):
        name = relative(stat.uri, folder)
        is_current = stat.uri == current_run_uri(root)
        if not is_current and not _FINISHED.fullmatch(name):
            continue
        try:
            record = read_checked(stat.uri, CurrentRun if is_current else FinishedRun, watch)
            _add(record, runs)
        except BadFileError as error:
            name = name.removesuffix(".json")
            runs.findings.append(Finding("run", name, stat.uri, str(error), (stat.uri,)))
            continue
        if is_current:
            runs.is_unfinished = True
            reason = f"it did not end; it selected {len(record['videos'])} videos"
            runs.findings.append(Finding("run", record["run_id"], stat.uri, reason))
        elif len(name) >= len(last):
            # Numbers have four digits, and more only behind 9999.
            last, runs.last = name, record
    return runs


def _add(record: dict[str, Any], runs: Runs) -> None:
    videos = selected_videos(record)
    for video in videos:
        # Every path of a video's files is made of this one.
        if not video.rel or set(video.rel.split("/")) & {"", ".", ".."}:
            raise BadFileError(f"videos: {video.rel!r} is no path below the input")
    runs.videos.update((video.rel, video) for video in videos)


def _read_options(root: str, runs: Runs, watch: Watch) -> None:
    uri = options_uri(root)
    try:
        runs.options = read_checked(uri, StoredOptions, watch)
    except NotFoundError:
        reason = "the options of this output are missing; give exactly those it was made with"
        runs.findings.append(Finding("options", "options", uri, reason))
    except BadFileError as error:
        runs.findings.append(Finding("options", "options", uri, str(error), (uri,)))
