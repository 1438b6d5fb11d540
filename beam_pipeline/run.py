"""Run a pipeline from checked options to its exit status."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path
from typing import Any

from beam_pipeline.auto_options import resolve_auto
from beam_pipeline.config import CurateConfig, ShardConfig, SplitConfig, flat
from beam_pipeline.exit_status import EXIT_OK, exit_status, failed_because
from beam_pipeline.outlook import look_ahead, predict_split
from beam_pipeline.overwrite import remove_output
from beam_pipeline.prediction import Actual, Prediction, predicted_vs_actual
from beam_pipeline.preflight import (
    check_apart,
    check_dataset_root,
    check_input,
    check_scratch,
    check_split_output,
    check_writable,
)
from beam_pipeline.prepare import (
    PreparedShard,
    PreparedSplit,
    new_run_id,
    prepare_shard,
    prepare_split,
)
from beam_pipeline.progress_display import ProgressDisplay
from beam_pipeline.report import dataset_lines, report_lines, write_performance_stats
from beam_pipeline.scratch import run_scratch
from beam_pipeline.stored_options import RunOptions, store_options
from runners import direct
from transforms.clips.finish_run import raise_if_false
from transforms.clips.ledger import Ledger, read_ledger
from transforms.clips.selections import all_selected_videos
from transforms.ingest.select_videos import select_videos
from transforms.json_files import read_json
from transforms.progress import TotalsReader, flush_counts, forget_counts
from transforms.shards.dataset_state import check_dataset

_logger = logging.getLogger(__name__)

AnyConfig = SplitConfig | ShardConfig | CurateConfig
PREDICTED_VIDEOS = 500
"""A run of more videos is not predicted: it would probe them all before its first clip."""


def run_pipeline(pipeline: str, config: AnyConfig, *, beam_flags: list[str]) -> int:
    """Run ``split``, ``shard`` or ``curate`` and return the exit status.

    Raises:
        UsageError: The options contradict each other or what the output was begun with.
        PreflightError: This machine or its storage cannot run them.
        LedgerError: Something that was planned is neither committed nor failed.
    """
    started_at = time.monotonic()
    _check(config)
    resolved, lines = resolve_auto(config)
    for line in lines:
        print(line, file=sys.stderr)
    direct.prepare(beam_flags)
    with run_scratch(config.run.scratch_path, new_run_id()) as scratch:
        run = _PreparedRun(pipeline, config, scratch, beam_flags, resolved)
        run.store()
        prediction = run.predict()
        predicted_at = time.monotonic()
        try:
            with ProgressDisplay(
                run.progress_folder, interval_seconds=config.run.progress_interval_s
            ):
                direct.run(run.build, beam_flags)
                flush_counts()
            totals = TotalsReader(run.progress_folder).read()
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


class _PreparedRun:
    """One run of one pipeline, checked and resolved."""

    def __init__(
        self,
        pipeline: str,
        config: AnyConfig,
        scratch: Path,
        beam_flags: list[str],
        resolved: dict[str, Any],
    ) -> None:
        self._pipeline = pipeline
        self._config = config
        self._resolved = resolved
        self._split: PreparedSplit | None = None
        self._shard: PreparedShard | None = None
        self.progress_folder = str(scratch / "progress")
        if not isinstance(config, ShardConfig):
            self._split = prepare_split(
                config,
                scratch=scratch,
                beam_flags=beam_flags,
                resolved=resolved,
            )
        if not isinstance(config, SplitConfig):
            self._shard = prepare_shard(config, scratch=scratch)
            check_dataset(self._shard.dataset, self._shard.settings)

    def store(self) -> None:
        """Store the options in the output, before any work."""
        if self._split is None:
            return
        for warning in self._split.warnings:
            _logger.warning("%s", warning)
        root = self._split.context.root
        if self._config.run.overwrite:
            remove_output(root)
        fingerprints = {"spans": self._split.context.spans_fingerprint}
        fingerprints.update(self._split.context.stages)
        store_options(
            root,
            RunOptions(self._pipeline, flat(self._config), self._resolved, fingerprints),
            accept_changes=self._config.run.accept_changes,
        )

    def predict(self) -> Prediction | None:
        """Return what the run will take; None when nothing is left, or too much to probe twice."""
        config, split = self._config, self._split
        if isinstance(config, ShardConfig) or split is None or not config.run.predict:
            return None
        selection = select_videos(config.input, split.context)
        if not 0 < len(selection.videos) <= PREDICTED_VIDEOS:
            return None
        return predict_split(config, split, look_ahead(config, split, selection))

    def build(self, root: Any) -> None:
        """Attach the graph."""
        from beam_pipeline import pipelines  # noqa: PLC0415 - imports Beam

        if isinstance(self._config, SplitConfig) and self._split is not None:
            pipelines.split(root, self._config, self._split)
        elif isinstance(self._config, ShardConfig) and self._shard is not None:
            pipelines.shard(root, self._shard)
        elif isinstance(self._config, CurateConfig) and self._split and self._shard:
            pipelines.curate(root, self._config, self._split, self._shard)

    def verify(self) -> Ledger | None:
        """Return the ledger of everything ever selected, from files: a runner's DONE is no proof.

        Raises:
            LedgerError: Something is missing.
        """
        if self._split is None:
            return None
        root = self._split.context.root
        ledger = read_ledger(root, all_selected_videos(root))
        raise_if_false(ledger)
        return ledger

    def report(self, ledger: Ledger | None, totals: dict[str, float], seconds: float) -> None:
        """Say what was made and where, and keep the numbers."""
        lines = []
        worked = bool(totals.get("videos_selected"))
        if ledger is not None and self._split is not None:
            root = self._split.context.root
            lines += report_lines(ledger, root)
            if self._config.run.perf_profile and worked:
                write_performance_stats(root, totals, seconds)
        if self._shard is not None:
            dataset = read_json(str(self._shard.summary_path))
            lines += dataset_lines(dataset)
            worked = worked or bool(dataset["num_new_shards"])
        what = "finished" if worked else "nothing was left to do"
        print(f"beam-curate {self._pipeline}: {what} ({seconds:.0f} s)")
        print("\n".join(f"  {line}" for line in lines))


def _check(config: AnyConfig) -> None:
    """Check input and output before anything is written."""
    if not isinstance(config, ShardConfig):
        check_input(config.input)
        output, source = str(config.output.output_clip_path), str(config.input.input_video_path)
        check_apart(source, output, names=("input_video_path", "output_clip_path"))
        check_scratch(config.run.scratch_path, source)
        if isinstance(config, CurateConfig):
            dataset = str(config.sharding.output_dataset_path)
            check_apart(source, dataset, names=("input_video_path", "output_dataset_path"))
        check_writable(output, name="output_clip_path")
    if not isinstance(config, SplitConfig):
        _check_dataset(config)


def _check_dataset(config: ShardConfig | CurateConfig) -> None:
    sharding = config.sharding
    clips, dataset = str(sharding.input_clip_path), str(sharding.output_dataset_path)
    is_shard = isinstance(config, ShardConfig)
    clips_name = "input_clip_path" if is_shard else "output_clip_path"
    check_apart(clips, dataset, names=(clips_name, "output_dataset_path"))
    if is_shard:
        check_split_output(clips, sharding.annotation_version)
    check_dataset_root(dataset, sharding.annotation_version)
    check_writable(dataset, name="output_dataset_path")
