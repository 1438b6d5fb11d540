"""What a run prints at its end, and the numbers it keeps."""

from __future__ import annotations

from typing import Any

from transforms.clips.ledger import Ledger
from transforms.json_files import create_json, read_json
from transforms.layout import FAILURES
from transforms.run_context import SCHEMA_VERSION
from transforms.storage.open_storage import storage_for
from transforms.storage.plain_names import one_line
from transforms.storage.uris import join

FAILURES_SHOWN = 10
_SECONDS = "seconds_of_"


def report_lines(ledger: Ledger, root: str) -> list[str]:
    """Return what became of the videos and clips of an output, and where it lies."""
    lines = [
        f"videos    {ledger.num_videos}: {_video_counts(ledger)}",
        f"hours     {ledger.seconds_in / 3600:.3f} in, {ledger.seconds_out / 3600:.3f} out",
        f"clips     {_clip_counts(ledger)}",
        f"output    {root}",
    ]
    failures = failed_items(root)
    if failures:
        lines.append(
            f"failures  {join(root, FAILURES)} ({len(failures)}); --retry_failed tries again"
        )
        lines.extend(f"          {line}" for line in failure_lines(failures))
    return lines


def dataset_lines(dataset: dict[str, Any]) -> list[str]:
    """Return what the dataset holds and where it lies."""
    lines = [
        f"shards    {dataset['num_shards']} in {dataset['num_bins']} bins, "
        f"{dataset['num_samples']} samples, {dataset['num_new_shards']} new",
        f"dataset   {dataset['dataset_uri']}",
    ]
    dropped = ", ".join(f"{number} {reason}" for reason, number in dataset["dropped"])
    if dropped:
        lines.append(f"dropped   {dropped}; see dropped_clips.json in the dataset")
    return lines


def failed_items(root: str) -> list[dict[str, Any]]:
    """Return the content of every failure file."""
    return [read_json(stat.uri) for stat in storage_for(root).list(join(root, FAILURES))]


def failure_lines(failures: list[dict[str, Any]]) -> list[str]:
    """Return one line per video, stage and reason, with one message; the most frequent first."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    for item in failures:
        key = (item["stage"], item["reason"], item["rel"])
        alike.setdefault(key, []).append(item["message"])
    lines = [
        f"{stage} {reason}{f' ({len(texts)} times)' if len(texts) > 1 else ''}: "
        + one_line(min(texts))
        for (stage, reason, _), texts in sorted(
            alike.items(), key=lambda item: (-len(item[1]), item[0])
        )
    ]
    if len(lines) > FAILURES_SHOWN:
        rest = len(lines) - FAILURES_SHOWN
        lines[FAILURES_SHOWN:] = [f"... and {rest} more"]
    return lines


def _video_counts(ledger: Ledger) -> str:
    num_failed, num_empty = len(ledger.failed_videos), len(ledger.videos_without_clips)
    parts = [f"{ledger.num_videos - num_failed - num_empty} curated"]
    if num_empty:
        parts.append(f"{num_empty} too short for a clip")
    parts.append(f"{num_failed} failed")
    return ", ".join(parts)


def _clip_counts(ledger: Ledger) -> str:
    reasons = ", ".join(f"{name} {number}" for name, number in sorted(ledger.rejected.items()))
    rejected = f"{ledger.num_clips_rejected} rejected" + (f" ({reasons})" if reasons else "")
    parts = [f"{ledger.num_clips_kept} kept", rejected, f"{ledger.num_clips_failed} failed"]
    if ledger.num_no_frames:
        parts.append(f"{ledger.num_no_frames} without frames")
    return ", ".join(parts)


def write_performance_stats(root: str, totals: dict[str, float], seconds: float) -> None:
    """Write the run's counters and seconds to the next free ``performance_stats_N.json``.

    Args:
        root: The output.
        totals: Sums of all counters; ``seconds_of_{stage}`` is what a stage took.
        seconds: How long the run took.
    """
    stages = {
        name.removeprefix(_SECONDS): value
        for name, value in sorted(totals.items())
        if name.startswith(_SECONDS)
    }
    counters = {name: value for name, value in totals.items() if not name.startswith(_SECONDS)}
    content: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "wall_seconds": seconds,
        "stage_seconds": stages,
        "counters": counters,
    }
    number = 0
    while not create_json(join(root, f"performance_stats_{number}.json"), content):
        number += 1
