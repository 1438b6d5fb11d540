"""Check an output of ``split`` from its files alone: every claim against what it is about."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from transforms.checked_files import BadFileError, list_files, read_checked
from transforms.clips.selections import Selected
from transforms.clips.verified_clips import VerifiedClips
from transforms.clips.verify_failures import Failures, read_checked_failures
from transforms.clips.verify_runs import Runs, verify_runs
from transforms.clips.verify_strays import verify_strays
from transforms.clips.verify_summary import verify_summary
from transforms.clips.verify_video import verify_video
from transforms.finding import Finding, Watch
from transforms.formats.plan import VideoPlan
from transforms.layout import (
    CLIPS,
    FILTERED_CLIPS,
    PREVIEWS,
    RUNS,
    WORK,
    summary_uri,
    video_record_uri,
)
from transforms.models.embeddings.algorithms import STEMS
from transforms.storage.uris import is_inside, join, relative

_PLAN = re.compile(r"([0-9a-f-]{36})\.json")


@dataclass(frozen=True)
class VerifiedOutput:
    """What was found in an output."""

    findings: list[Finding]
    clips: VerifiedClips
    options: dict[str, Any] | None
    """The stored options, as in ``runs/options.json``."""


def is_output(root: str) -> bool:
    """Return whether there are files below ``root`` by which an output can be verified."""
    folders = (join(root, RUNS), join(root, WORK, "plans"))
    return any(next(iter(list_files(folder)), None) for folder in folders)


def verify_output(root: str, watch: Watch) -> VerifiedOutput:
    """Return everything that is missing or wrong in an output of ``split``.

    Reads every file once and holds none of them whole but JSON. Metadata is not trusted: no path
    that it names is opened.
    """
    runs = verify_runs(root, watch)
    findings = list(runs.findings)
    failed_videos, failed_clips, bad = read_checked_failures(root, watch)
    findings += bad
    clips = VerifiedClips(root)
    unselected = list(_unselected(root, runs, failed_videos, watch))
    findings += [finding for _, finding in unselected]
    for video in _in_order([*runs.videos.values(), *(video for video, _ in unselected if video)]):
        findings += verify_video(video, (failed_videos, failed_clips), clips=clips, watch=watch)
    findings += verify_strays(clips, failed_clips, watch)
    if {finding.what for finding in findings} <= {"clip", "options"}:
        # Records that are wrong themselves are not summed up.
        findings += verify_summary(root, runs, watch)
    return VerifiedOutput(_with_summary(root, findings), clips, runs.options)


def _in_order(videos: list[Selected]) -> list[Selected]:
    return sorted(videos, key=lambda video: video.rel)


def _unselected(
    root: str, runs: Runs, failed_videos: Failures, watch: Watch
) -> Iterator[tuple[Selected | None, Finding]]:
    """Yield planned and failed videos that no run's record lists, as when such a record is lost."""
    listed = {video.video_uuid for video in runs.videos.values()}
    for identity, (uri, _) in failed_videos.items():
        if identity not in listed:
            yield None, Finding("failure", identity, uri, "no run selected this video", (uri,))
    folder = join(root, WORK, "plans")
    for stat in list_files(folder):
        match = _PLAN.fullmatch(relative(stat.uri, folder))
        if match is None or match.group(1) in listed:
            continue
        try:
            video = read_checked(stat.uri, VideoPlan, watch)["video"]
        except BadFileError as error:
            yield None, Finding("plan", match.group(1), stat.uri, str(error), (stat.uri,))
            continue
        found = Selected(video["rel"], video["source_id"], video["uri"])
        if found.video_uuid != match.group(1) or {"", ".", ".."} & set(found.rel.split("/")):
            reason = f"is the plan of {found.rel}"
            yield None, Finding("plan", match.group(1), stat.uri, reason, (stat.uri,))
        elif found.rel not in runs.videos:
            # Without its record the video is open again, and the next run lists it.
            record = video_record_uri(root, found.rel)
            reason = "it is planned, and no run's record lists it"
            yield found, Finding("video", found.rel, stat.uri, reason, (record,))
        else:
            reason = f"another plan of {found.rel} is in use"
            yield None, Finding("plan", match.group(1), stat.uri, reason, (stat.uri,))


def _with_summary(root: str, findings: list[Finding]) -> list[Finding]:
    """Let the summary go before any commit goes that it counts."""
    embeddings = [folder for stem in STEMS for folder in (stem, f"{stem}_parquet")]
    data = [join(root, folder) for folder in (CLIPS, FILTERED_CLIPS, PREVIEWS, *embeddings)]
    counted = [
        index
        for index, finding in enumerate(findings)
        if any(not any(is_inside(uri, folder) for folder in data) for uri in finding.removes)
    ]
    if counted:
        first = findings[counted[0]]
        removes = (summary_uri(root), *first.removes)
        findings[counted[0]] = replace(first, removes=tuple(dict.fromkeys(removes)))
    return findings
