"""``runs/*.json`` and ``performance_stats_{n}.json``: what was asked for, selected and measured."""

from __future__ import annotations

from typing import Literal

from pydantic import JsonValue

from transforms.formats.document import (
    ClipStage,
    Count,
    Document,
    Fingerprint,
    SchemaVersion,
    Seconds,
    ours,
)

FingerprintName = Literal["spans", "tone_map"] | ClipStage


class AutoChoice(Document):
    """What became of an option that is ``auto``."""

    requested: Literal["auto"] = ours()
    """What was asked for."""
    resolved: bool = ours()
    """Whether it is on."""
    why: str = ours()
    """The reason."""


class StoredOptions(Document):
    """Options of an output, written before any work and compared by every later run."""

    pipeline: str = ours()
    """``split`` or ``curate``; ``recaption`` for a version of the annotations."""
    options: dict[str, JsonValue] = ours()
    """Every option with its value, defaults included; docs/options.md lists them."""
    resolved: dict[str, AutoChoice] = ours()
    """What became of options that are ``auto``."""
    fingerprints: dict[FingerprintName, Fingerprint] = ours()
    """Fingerprint of the spans, of every stage that was ever on in this output, and of the rule by
    which high dynamic range is tone-mapped."""
    schema_version: SchemaVersion = ours()
    """Version of this format."""


class CurrentRun(Document):
    """Selection of an unfinished run; the next run finishes it first."""

    run_id: str = ours()
    """Unique name of the run."""
    videos: list[tuple[str, str, str]] = ours()
    """Each selected video: relative path, source id, where it lies."""
    num_input_videos: Count = ours(unit="videos")
    """Videos found in the input."""
    num_sidecars: Count = ours(unit="files")
    """Files left out because their names say that they are no videos."""
    problems: list[tuple[str, str]] = ours()
    """What could not be listed: where, and why."""
    schema_version: SchemaVersion = ours()
    """Version of this format."""


class WaveInWork(Document):
    """Videos of the wave in work, for the workers of its graph; gone behind the last wave."""

    videos: list[tuple[str, str, str, Count]] = ours()
    """Each video: where it lies, relative path, source id, bytes."""
    schema_version: SchemaVersion = ours()
    """Version of this format."""


class RunLedger(Document):
    """Numbers that add up: nothing planned is missing."""

    num_videos: Count = ours(unit="videos")
    """Selected videos."""
    num_clips_planned: Count = ours(unit="clips")
    """Clips in their plans: kept, rejected, failed and without frames together."""
    num_clips_kept: Count = ours(unit="clips")
    """Kept clips."""
    rejected: dict[str, Count] = ours(unit="clips")
    """Rejected clips by filter."""
    num_clips_failed: Count = ours(unit="clips")
    """Failed clips."""
    num_no_frames: Count = ours(unit="clips")
    """Planned clips in whose span the video has no frame."""
    failed_videos: dict[str, str] = ours()
    """Relative path to reason; ``every_clip_failed`` when only clips failed, but all of them."""
    videos_without_clips: list[str] = ours()
    """Videos too short for a clip."""
    missing: list[str] = ours(max_length=0)
    """What was lost; a run with anything here is not filed, so it is empty."""
    seconds_in: Seconds = ours(unit="seconds")
    """Duration of the planned videos."""
    seconds_out: Seconds = ours(unit="seconds")
    """Sum of the spans of kept and rejected clips."""
    num_bytes_out: Count = ours(unit="bytes")
    """Size of kept and rejected clips."""


class FinishedRun(CurrentRun):
    """Record of a finished run."""

    minutes: Seconds = ours(unit="minutes")
    """How long the run took."""
    ledger: RunLedger = ours()
    """What became of the selected videos."""


class FirstSeconds(Document):
    """Seconds from the start of the command."""

    clip: Seconds = ours(unit="seconds", when="this run kept a clip")
    """To the first committed clip."""
    shard: Seconds = ours(unit="seconds", when="this run made a shard")
    """To the first shard whose tars are there."""
    listed_shard: Seconds = ours(unit="seconds", when="this run made a shard")
    """To when ``wdinfo.json`` named it."""


class StageSeconds(Document):
    """Where a run's time went: sums over all workers and their children.

    Processor time, but for ``write`` and ``shard``, which wait for storage: time that passed.
    """

    probe: Seconds = ours(unit="seconds", when="videos were probed")
    """Reading headers."""
    index: Seconds = ours(unit="seconds", when="packet indexes were made or read")
    """Reading the times of all packets, without decoding."""
    frames: Seconds = ours(unit="seconds", when="shots were detected")
    """Decoding to the small pictures in which shots are detected."""
    inference: Seconds = ours(unit="seconds", when="a network scored these pictures")
    """The network, all threads together; on a GPU time that passed."""
    changes: Seconds = ours(unit="seconds", when="shots were detected")
    """How much these pictures change; storing scores."""
    join: Seconds = ours(unit="seconds", when="shots were detected")
    """Bringing a video's scores together and deciding where its shots begin."""
    cut: Seconds = ours(unit="seconds", when="clips were cut")
    """Decoding sources and encoding clips."""
    cut_decode: Seconds = ours(unit="seconds", when="clips were cut")
    """Of ``cut``: in the sources' decoders."""
    look: Seconds = ours(unit="seconds", when="clips were looked at")
    """The look at finished clips, all of the following together."""
    look_read: Seconds = ours(unit="seconds", when="clips were looked at")
    """Of ``look``: checksum and packet list."""
    look_decode: Seconds = ours(unit="seconds", when="clips were looked at")
    """Of ``look``: decoding."""
    look_motion: Seconds = ours(unit="seconds", when="motion was scored")
    """Of ``look``: motion scores."""
    look_black: Seconds = ours(unit="seconds", when="it was scored")
    """Of ``look``: black frames. The first of the five scores of brightness that is on also reads
    the grid of pixels that they share."""
    look_frozen: Seconds = ours(unit="seconds", when="it was scored")
    """Of ``look``: frozen frames."""
    look_sharpness: Seconds = ours(unit="seconds", when="it was scored")
    """Of ``look``: sharpness."""
    look_brightness: Seconds = ours(unit="seconds", when="it was scored")
    """Of ``look``: brightness."""
    look_letterbox: Seconds = ours(unit="seconds", when="it was scored")
    """Of ``look``: black bars."""
    look_scores: Seconds = ours(unit="seconds", when="one of these five was scored")
    """Of ``look``: what they have in common."""
    look_previews: Seconds = ours(unit="seconds", when="previews were made")
    """Of ``look``: previews."""
    write: Seconds = ours(unit="seconds", when="clips were written")
    """Writing clips, their metadata and records."""
    shard: Seconds = ours(unit="seconds", when="shards were written")
    """Building the tars of shards and writing them."""


class PerformanceStats(Document):
    """What a run counted and measured."""

    wall_seconds: Seconds = ours(unit="seconds")
    """How long the run took."""
    stage_seconds: StageSeconds = ours()
    """Where the time went."""
    seconds_to_first: FirstSeconds = ours()
    """How long after the start of the command there was something to use."""
    counters: dict[str, float] = ours()
    """Sums over all workers: numbers of things done."""
    schema_version: SchemaVersion = ours()
    """Version of this format."""


class Lease(Document):
    """Which run works here now; removed at its end, left behind when it is killed."""

    run_id: str = ours()
    """Unique name of the run."""
    host: str = ours()
    """Name of the machine of the run's driver."""
    boot_id: str = ours()
    """Of that machine's kernel since it started."""
    pid_namespace: str = ours()
    """What the process number counts in; containers have numbers of their own."""
    pid: Count = ours()
    """Process number of the driver."""
    process_start: str = ours()
    """When that process started, in the kernel's ticks: a number used again is another process."""
    started_at: str = ours()
    """When the run started, in UTC; for people. Its life is told by the file's own time."""
    beat: str = ours()
    """Different with every heartbeat: object stores tell versions apart by their content."""
    given_back: Literal[True] = ours(when="its run has ended and is removing it, or could not")
    """Nobody works here any more."""
    schema_version: SchemaVersion = ours()
    """Version of this format."""
