"""What a run prints at its end, and the numbers it keeps."""

from __future__ import annotations

from typing import Any

from transforms.clips.ledger import Ledger
from transforms.json_files import create_json, read_json
from transforms.layout import FAILURES
from transforms.progress import MOMENT
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


def packed_before_lines(totals: dict[str, float], dataset: dict[str, Any]) -> list[str]:
    """Return a line when this run made captions or vectors, and all shards are older.

    Example:
        >>> packed_before_lines({"windows_captioned": 2}, {"num_shards": 1, "num_new_shards": 0})
        ['          finished shards keep what they held: --reshard packs what is new']
    """
    made = totals.get("windows_captioned", 0) + totals.get("clips_embedded", 0)
    if not made or not dataset["num_shards"] or dataset["num_new_shards"]:
        return []
    return ["          finished shards keep what they held: --reshard packs what is new"]


def caption_lines(totals: dict[str, float], seconds: float) -> list[str]:
    """Return what this run's captions took (contract §8.1); nothing when it made none.

    Averages are per window with a caption. Tokens are those of the engine that captions, all of
    its passes together; seconds are those of the whole run.

    Example:
        >>> totals = {"windows_captioned": 3, "windows_with_caption": 2}
        >>> totals |= {"caption_prompt_tokens": 3000, "caption_output_tokens": 150}
        >>> print("\\n".join(caption_lines(totals, 10.0)))
        Captioning throughput
          windows                   2 with a caption, 1 without
          prompt tokens             3,000 (1,500 per window)
          output tokens             150 (75 per window)
          output tokens per second  15.0
    """
    num_asked = int(totals.get("windows_captioned", 0))
    if not num_asked:
        return []
    num_windows = int(totals.get("windows_with_caption", 0))
    told = {"windows": f"{num_windows:,} with a caption, {num_asked - num_windows:,} without"}
    for kind in ("prompt", "output"):
        num_tokens = int(totals.get(f"caption_{kind}_tokens", 0))
        average = f" ({num_tokens / num_windows:,.0f} per window)" if num_windows else ""
        told[f"{kind} tokens"] = f"{num_tokens:,}{average}"
    rate = totals.get("caption_output_tokens", 0) / seconds if seconds > 0 else 0.0
    told["output tokens per second"] = f"{rate:,.1f}"
    width = max(map(len, told))
    return ["Captioning throughput", *(f"  {n:<{width}}  {text}" for n, text in told.items())]


def embedding_lines(totals: dict[str, float]) -> list[str]:
    """Return how many clips of this run got a vector, nothing when none was asked for.

    Example:
        >>> embedding_lines({"clips_embedded": 2, "embeddings_failed": 1})
        ['vectors   2 clips with one, 1 without (embedding_message in their metadata says why)']
    """
    num_made, num_failed = (
        int(totals.get(name, 0)) for name in ("clips_embedded", "embeddings_failed")
    )
    if not num_made + num_failed:
        return []
    why = " (embedding_message in their metadata says why)" if num_failed else ""
    return [f"vectors   {num_made} clips with one, {num_failed} without{why}"]


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


def seconds_to_first(totals: dict[str, float], started_at: float) -> dict[str, float]:
    """Return how long after the start of the run its first clip and its first shards were there.

    Keys, each only if it came about in this run: ``clip``: a kept clip was committed; ``shard``:
    the tars of a shard were; ``listed_shard``: ``wdinfo.json`` named it, so that a trainer finds
    it.

    Args:
        totals: Counters and moments of the workers.
        started_at: When the command began, in seconds since the epoch.
    """
    return {
        name: totals[MOMENT + name] - started_at
        for name in ("clip", "shard", "listed_shard")
        if MOMENT + name in totals
    }


def first_line(firsts: dict[str, float]) -> list[str]:
    """Return the line about what :func:`seconds_to_first` found, none when nothing was new.

    Example:
        >>> first_line({"clip": 3.14, "shard": 12.0, "listed_shard": 12.5})
        ['first     clip after 3.1 s, shard after 12.0 s, usable (in wdinfo.json) after 12.5 s']
    """
    names = {"clip": "clip", "shard": "shard", "listed_shard": "usable (in wdinfo.json)"}
    told = [f"{names[name]} after {seconds:.1f} s" for name, seconds in firsts.items()]
    return [f"first     {', '.join(told)}"] if told else []


def write_performance_stats(
    root: str, totals: dict[str, float], seconds: float, firsts: dict[str, float]
) -> None:
    """Write the run's counters and seconds to the next free ``performance_stats_N.json``.

    Args:
        root: The output.
        totals: Sums of all counters; ``seconds_of_{stage}`` is what a stage took.
        seconds: How long the run took.
        firsts: As ``seconds_to_first``.
    """
    stages = {
        name.removeprefix(_SECONDS): value
        for name, value in sorted(totals.items())
        if name.startswith(_SECONDS)
    }
    others = (_SECONDS, MOMENT)
    content: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "wall_seconds": seconds,
        "seconds_to_first": firsts,
        "stage_seconds": stages,
        "counters": {name: n for name, n in totals.items() if not name.startswith(others)},
    }
    number = 0
    while not create_json(join(root, f"performance_stats_{number}.json"), content):
        number += 1
