"""Run a pipeline from checked options to its exit status."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from beam_pipeline.configuration.config import AnyConfig, RecaptionConfig, ShardConfig, SplitConfig
from beam_pipeline.configuration.settle_here import settle_here
from beam_pipeline.exit_status import EXIT_OK, exit_status, failed_because
from beam_pipeline.models.model_table import model_table, raise_problems
from beam_pipeline.preparation.preflight import check_run
from beam_pipeline.preparation.routes import open_stores
from beam_pipeline.preparation.run_place import RunPlace, remove_shared, shared_folder
from beam_pipeline.preparation.store_checks import check_stores
from beam_pipeline.progress_display import ProgressDisplay
from runners.boot_checks import is_visible
from runners.chosen import chosen
from runners.interface import Job, Runner
from transforms.layout import annotation_lease_uri, lease_uri
from transforms.lease import hold_lease, raise_if_held, raise_if_lost, sweep_while_held
from transforms.progress import TotalsReader, flush_counts, forget_counts, read_totals
from transforms.scratch import new_run_id, run_scratch, scratch_root
from transforms.shards.layout import version_lease_uri
from transforms.storage.routes import routes_variable
from transforms.storage.sync import VARIABLE as FSYNC
from transforms.storage.sync import syncing
from transforms.storage.uris import absolute

if TYPE_CHECKING:
    from beam_pipeline.estimate.prediction import Prediction
    from beam_pipeline.prepared_run import PreparedRun
    from beam_pipeline.recaption import PreparedRecaption
    from transforms.clips.ledger import Ledger
    from transforms.recaption.ledger import AnnotationLedger


def run_pipeline(pipeline: str, config: AnyConfig, *, beam_flags: list[str]) -> int:
    """Run ``split``, ``shard``, ``curate`` or ``recaption`` and return the exit status.

    Raises:
        UsageError: The options contradict each other or what the output was begun with.
        PreflightError: This machine or its storage cannot run them, or another run works there.
        LeaseLostError: Another run has taken over the output.
        LedgerError: Something that was planned is neither committed nor failed.
    """
    with syncing(config.run.fsync):
        return _run(pipeline, config, beam_flags)


def _run(pipeline: str, config: AnyConfig, beam_flags: list[str]) -> int:
    started_at = time.monotonic()
    runner = chosen(beam_flags)
    config, resolved = _checked(config, runner, beam_flags)
    leases = lease_uris(config)
    run_id = new_run_id()
    with contextlib.ExitStack() as held:
        for uri in leases:
            held.enter_context(hold_lease(uri, run_id))
            remove_shared(uri)
        runner.prepare(beam_flags)
        scratch = held.enter_context(run_scratch(config.run.scratch_path, run_id))
        place = RunPlace.here(scratch)
        if not runner.IS_LOCAL:
            place = RunPlace(scratch, held.enter_context(shared_folder(leases[0], run_id)))
        place = dataclasses.replace(place, workers=runner.num_workers(beam_flags))
        lost = threading.Event()
        job = _job(config, place, leases, lost)
        runner.check_workers(beam_flags, job)
        run = _prepared(pipeline, config, place, resolved)
        run.store()
        if runner.IS_LOCAL and place.workers is None:
            held.enter_context(run.kept_children())
        # It measures this machine alone.
        prediction = run.predict() if runner.IS_LOCAL else None
        predicted_at = time.monotonic()
        with _swept(leases, place, lost):
            totals = _work(run, config, runner, beam_flags, job)
        for uri in leases:
            raise_if_lost(uri, run_id)
        ledger = run.verify()
        now = time.monotonic()
        run.report(totals, now - started_at)
        if prediction is not None:
            _compare(prediction, totals, now - predicted_at)
    return EXIT_OK if ledger is None else _status(ledger, config.run.max_failed_share)


def _prepared(
    pipeline: str, config: AnyConfig, place: RunPlace, resolved: dict[str, Any]
) -> PreparedRun | PreparedRecaption:
    # Beam takes two seconds to import: the lease is held before.
    if isinstance(config, RecaptionConfig):
        from beam_pipeline.recaption import PreparedRecaption  # noqa: PLC0415

        return PreparedRecaption(config, place)
    from beam_pipeline.prepared_run import PreparedRun  # noqa: PLC0415

    return PreparedRun(pipeline, config, place, resolved)


def _status(ledger: Ledger | AnnotationLedger, max_failed_share: float) -> int:
    if reason := failed_because(ledger, max_failed_share):
        print(f"beam-curate: {reason}", file=sys.stderr)
    return exit_status(ledger, max_failed_share)


def _checked(
    config: AnyConfig, runner: Runner, beam_flags: list[str]
) -> tuple[AnyConfig, dict[str, Any]]:
    """Return the options with what follows from this machine, and what ``auto`` became.

    Raises:
        PreflightError: The run cannot work here, with the way on.
    """
    open_stores(config)
    check_stores(config)
    # Before anything that takes its time: a second run into the same output is told at once.
    for uri in lease_uris(config):
        raise_if_held(uri)
    check_run(config)
    runner.preflight(beam_flags)
    config, resolved, lines = settle_here(config)
    table = model_table(config, is_local=runner.IS_LOCAL)
    lines += table.lines() if table.rows else []
    for line in lines:
        print(line, file=sys.stderr)
    raise_problems(table)
    return config, resolved


def lease_uris(config: AnyConfig) -> list[str]:
    """Return the leases of what a run writes to: an output, a dataset, or both; or a version of
    an output's annotations."""
    uris = []
    if isinstance(config, RecaptionConfig):
        sharding = config.sharding
        root = absolute(str(sharding.input_clip_path))
        return [annotation_lease_uri(root, sharding.annotation_version)]
    if not isinstance(config, ShardConfig):
        uris.append(lease_uri(absolute(str(config.output.output_clip_path))))
    if not isinstance(config, SplitConfig):
        dataset = absolute(str(config.sharding.output_dataset_path))
        uris.append(version_lease_uri(dataset, config.sharding.annotation_version))
    return uris


def _job(config: AnyConfig, place: RunPlace, leases: list[str], lost: threading.Event) -> Job:
    """Return what a runner on other machines needs to know."""
    counted = TotalsReader(place.progress_folder)
    return Job(
        place.run_id,
        scratch_path=str(scratch_root(config.run.scratch_path))
        if config.run.scratch_path
        else None,
        visible=(*leases, *visible_inputs(config, place)),
        stall_seconds=config.execution.stall_minutes * 60,
        worker_python=config.execution.worker_python,
        reports=place.reports,
        lost=lost.set,
        environment={FSYNC: os.environ[FSYNC], **routes_variable()},
        progress=lambda: sum(counted.read().values()),
    )


def visible_inputs(config: AnyConfig, place: RunPlace) -> list[str]:
    """Return what workers on other machines must be able to read as this one is."""
    if place.shared == str(place.scratch):
        return []
    if isinstance(config, ShardConfig | RecaptionConfig):
        uri = absolute(str(config.sharding.input_clip_path))
    else:
        uri = absolute(str(config.input.input_video_path))
    # A source may be gone when all is cut from it.
    return [uri] if is_visible(uri) else []


@contextlib.contextmanager
def _swept(leases: list[str], place: RunPlace, lost: threading.Event) -> Iterator[None]:
    """Remove what worker processes were just writing when an error or a signal ended them.

    Args:
        leases: Of what the run writes to.
        place: Of the run.
        lost: Set when the run goes on although it lost workers.
    """
    try:
        yield
    except BaseException:
        lost.set()
        raise
    finally:
        if lost.is_set() and place.workers is not None:
            for uri in leases:
                sweep_while_held(uri, place.run_id)


def _work(
    run: PreparedRun | PreparedRecaption,
    config: AnyConfig,
    runner: Runner,
    beam_flags: list[str],
    job: Job,
) -> dict[str, float]:
    """Run the graphs and return the sums of its counters."""
    try:
        with ProgressDisplay(run.progress_folder, interval_seconds=config.run.progress_interval_s):
            with contextlib.closing(run.graphs()) as graphs:
                for build in graphs:
                    runner.run(build, beam_flags, job)
            flush_counts()
        return read_totals(run.progress_folder)
    finally:
        # What still waits after an error would be written into a folder that is gone.
        forget_counts(run.progress_folder)


def _compare(prediction: Prediction, totals: dict[str, float], seconds: float) -> None:
    """Print what was predicted beside what it was."""
    from beam_pipeline.estimate.prediction import Actual, predicted_vs_actual  # noqa: PLC0415 - see above

    actual = Actual(
        num_videos=int(totals.get("videos_selected", 0)),
        num_clips=int(totals.get("clips_cut", 0)),
        num_bytes=totals.get("bytes_written", 0.0),
        seconds=seconds,
    )
    print("\n".join(f"  {line}" for line in predicted_vs_actual(prediction, actual)))
