"""The command ``plan``: what a run would do, make and take; writes nothing."""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from beam_pipeline.configuration.config import (
    AnyConfig,
    CurateConfig,
    RecaptionConfig,
    ShardConfig,
    SplitConfig,
)
from beam_pipeline.configuration.settle_here import settle_here
from beam_pipeline.exit_status import EXIT_OK
from beam_pipeline.models.model_table import model_table, raise_problems
from beam_pipeline.preparation.preflight import check_apart, check_input
from beam_pipeline.preparation.prepare import prepare_shard, prepare_split
from beam_pipeline.preparation.routes import open_stores
from beam_pipeline.preparation.run_place import RunPlace
from beam_pipeline.preparation.store_checks import check_stores
from transforms.shards.list_clip_records import Dropped, list_clip_records, read_clip
from transforms.storage.uris import absolute

if TYPE_CHECKING:
    from beam_pipeline.estimate.outlook import Outlook
    from beam_pipeline.estimate.prediction import Prediction
    from transforms.shards.samples import Sample

_SHOWN = 10


def run_plan(config: AnyConfig) -> int:
    """Print what a run with this configuration would do, and return the exit status.

    Raises:
        UsageError: The options contradict each other.
        PreflightError: The input is missing or empty, or the encoder is not there.
    """
    open_stores(config)
    check_stores(config, writes=False)
    config, _, settled = settle_here(config)
    lines = [f"Plan of {config.pipeline} (nothing is written)", *settled]
    table = model_table(config)
    lines += [f"  {line}" for line in table.lines()] if table.rows else []
    if table.problems:
        print("\n".join(lines))
    raise_problems(table)
    if isinstance(config, RecaptionConfig):
        from beam_pipeline.recaption import plan_lines  # noqa: PLC0415 - imports Beam

        lines += plan_lines(config)
    elif isinstance(config, ShardConfig):
        lines += _shard_lines(config)
    else:
        lines += _split_lines(config)
    print("\n".join(lines))
    return EXIT_OK


def _split_lines(config: SplitConfig | CurateConfig) -> list[str]:
    # A run imports Beam too: what that takes here, it will take there.
    started_at = time.monotonic()
    from beam_pipeline.estimate.outlook import look_ahead, open_looker, predict_split  # noqa: PLC0415
    from transforms.ingest.select_videos import select_videos  # noqa: PLC0415

    start_seconds = time.monotonic() - started_at
    paths = (str(config.input.input_video_path), str(config.output.output_clip_path))
    check_input(config.input, None if config.run.overwrite else absolute(paths[1]))
    check_apart(*paths, names=("input_video_path", "output_clip_path"))
    prepared = prepare_split(config, RunPlace.here(Path(tempfile.gettempdir())), {})
    for warning in prepared.warnings:
        print(f"Warning: {warning}", file=sys.stderr)
    selection = select_videos(config.input, prepared.context)
    with open_looker(config, prepared, num_videos=len(selection.videos)) as looker:
        outlook = look_ahead(config, prepared, selection, looker)
        lines = [*outlook_lines(outlook, absolute(paths[0]))]
        if outlook.to_detect:
            lines.append(f"  shots       to be found in {len(outlook.to_detect)} videos first")
        if outlook.left:
            prediction = predict_split(
                config, prepared, outlook, looker, start_seconds=start_seconds
            )
            lines += prediction_lines(prediction, shards=isinstance(config, CurateConfig))
    return lines


def outlook_lines(outlook: Outlook, input_uri: str) -> Iterable[str]:
    """Yield what was found: files, hours, codecs, sizes, what is done, what cannot be read."""
    from beam_pipeline.estimate.outlook import total_seconds  # noqa: PLC0415 - imports Beam

    listing = outlook.listing
    yield f"  input       {input_uri}"
    yield f"  files       {len(listing.videos)} videos, {listing.num_sidecars} other files left out"
    yield from (f"              {uri}: {reason}" for uri, reason in listing.problems[:_SHOWN])
    yield f"  done        {outlook.num_done}"
    if outlook.num_waiting:
        yield f"  not now     {outlook.num_waiting} (beyond limit, or failed before)"
    splits = outlook.splits
    yield f"  to do       {len(splits)} videos, {total_seconds(splits) / 3600:.3f} hours"
    facts = [split.facts for split in splits]
    yield f"  containers  {_counted(one.container for one in facts)}"
    yield f"  codecs      {_counted(one.codec for one in facts)}"
    yield f"  sizes       {_counted('{}x{}'.format(*one.display_size) for one in facts)}"
    whole = sum(one.needs_full_read for one in facts)
    if whole:
        yield f"  full reads  {whole} videos have no index and are read whole before they are cut"
    if outlook.failures:
        yield f"  fail        {len(outlook.failures)}"
        for rel, error in outlook.failures[:_SHOWN]:
            yield f"              {rel}: {error.reason}"


def prediction_lines(prediction: Prediction, *, shards: bool) -> list[str]:
    """Return what the run will make and take."""
    from beam_pipeline.estimate.prediction import (  # noqa: PLC0415 - imports Beam
        count_text,
        size_text,
        time_text,
    )

    lines = [
        f"  clips       {count_text(prediction.num_clips)}",
        f"  clip data   about {size_text(prediction.num_bytes)}",
    ]
    if shards:
        lines.append(f"  shards      about {size_text(prediction.num_bytes)} more")
    lines.append(f"  time        about {time_text(prediction.seconds)} on this machine")
    return lines


def _shard_lines(config: ShardConfig) -> list[str]:
    from beam_pipeline.estimate.outlook import runner_seconds  # noqa: PLC0415 - imports Beam
    from beam_pipeline.estimate.prediction import size_text, time_text  # noqa: PLC0415

    prepared = prepare_shard(config, RunPlace.here(Path(tempfile.gettempdir())))
    started_at = time.monotonic()
    samples: list[Sample] = []
    dropped: Counter[str] = Counter()
    num_clips = 0
    for clip_id in list_clip_records(prepared.dataset).clip_ids:
        found = read_clip(clip_id, prepared.settings, prepared.dataset)
        if isinstance(found, Dropped):
            dropped[found.reason] += 1
        elif found is not None:
            num_clips += 1
            samples += found
    read_seconds = time.monotonic() - started_at
    num_bytes = sum(sample.num_bytes for sample in samples)
    lines = [
        f"  input       {prepared.dataset.input_root}",
        f"  clips       {num_clips}",
        f"  samples     {len(samples)}",
        f"  shard data  about {size_text(num_bytes)}",
    ]
    if dropped:
        lines.append(f"  dropped     {_counted(dropped.elements())}")
    seconds = runner_seconds() + read_seconds + _copy_seconds(num_bytes)
    lines.append(f"  time        about {time_text(seconds)} on this machine")
    return lines


def _copy_seconds(num_bytes: int) -> float:
    """Return how long it takes to write so many bytes here, judged by 32 MiB."""
    block = bytes(1024 * 1024)
    started_at = time.monotonic()
    with tempfile.TemporaryFile() as file:
        for _ in range(32):
            file.write(block)
        file.flush()
    return (time.monotonic() - started_at) * num_bytes / (32 * len(block))


def _counted(names: Iterable[str]) -> str:
    counts = sorted(Counter(names).items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{name} {count}" for name, count in counts[:_SHOWN])
    return shown + (f" and {len(counts) - _SHOWN} more kinds" if len(counts) > _SHOWN else "")
