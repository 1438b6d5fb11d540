"""One run: its options stored, its graph, its ledger, its report."""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections.abc import Generator, Iterator
from typing import Any

from beam_pipeline.configuration.auto_options import as_requested
from beam_pipeline.configuration.config import (
    CurateConfig,
    CurationConfig,
    ShardConfig,
    SplitConfig,
    flat,
)
from beam_pipeline.estimate.outlook import look_ahead, open_looker, predict_split
from beam_pipeline.estimate.prediction import Prediction
from beam_pipeline.preparation.overwrite import remove_output
from beam_pipeline.preparation.prepare import (
    PreparedShard,
    PreparedSplit,
    prepare_shard,
    prepare_split,
)
from beam_pipeline.preparation.prepare_tones import tone_map_fingerprint
from beam_pipeline.preparation.run_place import RunPlace
from beam_pipeline.preparation.stored_options import RunOptions, store_options
from beam_pipeline.report import (
    caption_lines,
    dataset_lines,
    embedding_lines,
    first_line,
    packed_before_lines,
    report_lines,
    seconds_to_first,
    write_performance_stats,
)
from beam_pipeline.waves import wave_graphs
from runners.interface import Build
from transforms.child_jobs import child_scratch
from transforms.clips.finish_run import raise_if_false
from transforms.clips.ledger import Ledger, read_ledger
from transforms.clips.selections import all_selected_videos
from transforms.ingest.kept_states import keep_states
from transforms.ingest.select_videos import select_videos
from transforms.ingest.waves import InputCount, count_inputs
from transforms.json_files import read_json
from transforms.media.child_lane import LiveChildren
from transforms.media.shared_children import shared_children
from transforms.shards.dataset_state import check_dataset
from transforms.shards.ledger import raise_if_unfinished
from transforms.storage.open_storage import storage_for

_logger = logging.getLogger(__name__)

PREDICTED_VIDEOS = 500
"""A run of more videos is not predicted: it would probe them all before its first clip."""


class PreparedRun:
    """One run of one pipeline, checked and resolved."""

    def __init__(
        self,
        pipeline: str,
        config: CurationConfig,
        place: RunPlace,
        resolved: dict[str, Any],
    ) -> None:
        self._pipeline = pipeline
        self._config = config
        self._resolved = resolved
        self._split: PreparedSplit | None = None
        self._shard: PreparedShard | None = None
        self._children: LiveChildren | None = None
        self._ledger: Ledger | None = None
        self.progress_folder = place.progress_folder
        if not isinstance(config, ShardConfig):
            self._split = prepare_split(config, place, resolved)
        if not isinstance(config, SplitConfig):
            self._shard = prepare_shard(config, place)
            check_dataset(self._shard.dataset, self._shard.settings)

    @contextlib.contextmanager
    def kept_children(self) -> Iterator[None]:
        """Keep the children that look ahead for the steps of a run in this process."""
        if self._split is None:
            yield
            return
        scratch = child_scratch(self._split.context)
        with shared_children(scratch, self._split.cut.limits) as self._children:
            yield

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
        fingerprints.update(tone_map_fingerprint(self._config))
        store_options(
            root,
            RunOptions(
                self._pipeline,
                as_requested(flat(self._config), self._resolved),
                self._resolved,
                fingerprints,
            ),
            accept_changes=self._config.run.accept_changes,
        )

    def predict(self) -> Prediction | None:
        """Return what the run will take; None when nothing is left, or too much to probe twice."""
        config, split = self._config, self._split
        if isinstance(config, ShardConfig) or split is None or not config.run.predict:
            return None
        if self._is_long and self._inputs.num_videos > PREDICTED_VIDEOS:
            return None
        selection = select_videos(config.input, split.context)
        keep_states(split.context, selection.states)
        if not 0 < len(selection.videos) <= PREDICTED_VIDEOS:
            return None
        num_videos = len(selection.videos)
        with open_looker(config, split, num_videos=num_videos, children=self._children) as looker:
            outlook = look_ahead(config, split, selection, looker)
            return predict_split(config, split, outlook, looker)

    def graphs(self) -> Generator[Build, None, None]:
        """Yield what builds each graph of the run, to be run to its end before the next: several
        when the selection is longer than a wave."""
        config, split = self._config, self._split
        if isinstance(config, ShardConfig) or split is None or not self._is_long:
            yield self.build
        else:
            yield from wave_graphs(config, split, self._shard, self._inputs)

    @functools.cached_property
    def _inputs(self) -> InputCount:
        assert not isinstance(self._config, ShardConfig)
        assert self._split is not None
        return count_inputs(self._config.input, self._split.context.root)

    @property
    def _is_long(self) -> bool:
        return self._inputs.is_long(self._config.run.wave_hours)

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
        ledger = None
        if self._split is not None:
            root = self._split.context.root
            ledger = read_ledger(root, all_selected_videos(root))
            raise_if_false(ledger)
        self._ledger = ledger
        # The last step of the shard half writes it, when it has checked plans against commits.
        if self._shard is not None and not _exists(self._shard.summary_uri):
            raise_if_unfinished(self._shard.dataset, self._shard.settings)
        return ledger

    def report(self, totals: dict[str, float], seconds: float) -> None:
        """Say what was made and where, and keep the numbers."""
        lines, ledger = [], self._ledger
        firsts = seconds_to_first(totals, time.time() - seconds)
        worked = bool(totals.get("videos_selected"))
        if ledger is not None and self._split is not None:
            root = self._split.context.root
            lines += report_lines(ledger, root)
            lines += [*embedding_lines(totals), *caption_lines(totals, seconds)]
            if self._config.run.perf_profile and worked:
                write_performance_stats(root, totals, seconds, firsts)
        if self._shard is not None:
            dataset = read_json(self._shard.summary_uri)
            # The last of several graphs tells of its own shards alone.
            num_written = int(totals.get("shards_written", 0))
            dataset["num_new_shards"] = max(dataset["num_new_shards"], num_written)
            lines += [*dataset_lines(dataset), *packed_before_lines(totals, dataset)]
            worked = worked or bool(dataset["num_new_shards"])
        lines += first_line(firsts)
        what = "finished" if worked else "nothing was left to do"
        print(f"beam-curate {self._pipeline}: {what} ({seconds:.0f} s)")
        print("\n".join(f"  {line}" for line in lines))


def _exists(uri: str) -> bool:
    return storage_for(uri).exists(uri)
