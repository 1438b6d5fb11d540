"""Run a pipeline from checked options to its exit status."""

from __future__ import annotations

import sys
import time

from beam_pipeline.auto_options import resolve_auto
from beam_pipeline.config import AnyConfig
from beam_pipeline.exit_status import EXIT_OK, exit_status, failed_because
from beam_pipeline.prediction import Actual, predicted_vs_actual
from beam_pipeline.preflight import check_run
from beam_pipeline.prepare import new_run_id
from beam_pipeline.prepared_run import PreparedRun
from beam_pipeline.progress_display import ProgressDisplay
from beam_pipeline.scratch import run_scratch
from runners import direct
from transforms.progress import flush_counts, forget_counts, read_totals


def run_pipeline(pipeline: str, config: AnyConfig, *, beam_flags: list[str]) -> int:
    """Run ``split``, ``shard`` or ``curate`` and return the exit status.

    Raises:
        UsageError: The options contradict each other or what the output was begun with.
        PreflightError: This machine or its storage cannot run them.
        LedgerError: Something that was planned is neither committed nor failed.
    """
    started_at = time.monotonic()
    check_run(config)
    resolved, lines = resolve_auto(config)
    for line in lines:
        print(line, file=sys.stderr)
    direct.prepare(beam_flags)
    with run_scratch(config.run.scratch_path, new_run_id()) as scratch:
        run = PreparedRun(pipeline, config, scratch, beam_flags, resolved)
        run.store()
        prediction = run.predict()
        predicted_at = time.monotonic()
        try:
            with ProgressDisplay(
                run.progress_folder, interval_seconds=config.run.progress_interval_s
            ):
                direct.run(run.build, beam_flags)
                flush_counts()
            totals = read_totals(run.progress_folder)
        finally:
            # What still waits after an error would be written into a folder that is gone.
            forget_counts(run.progress_folder)
        ledger = run.verify()
        now = time.monotonic()
        run.report(ledger, totals, now - started_at)
        if prediction is not None:
            actual = Actual(
                num_videos=int(totals.get("videos_selected", 0)),
                num_clips=int(totals.get("clips_cut", 0)),
                num_bytes=totals.get("bytes_written", 0.0),
                seconds=now - predicted_at,
            )
            print("\n".join(f"  {line}" for line in predicted_vs_actual(prediction, actual)))
    if ledger is None:
        return EXIT_OK
    if reason := failed_because(ledger, config.run.max_failed_share):
        print(f"beam-curate: {reason}", file=sys.stderr)
    return exit_status(ledger, config.run.max_failed_share)
