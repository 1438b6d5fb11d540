"""One step of a long run on a made tree, in a process of its own, for its time and its memory.

    python -m benchmarks.scale_steps ledger /some/disk/tree-100000

Prints one JSON object: seconds, how many things the step went through, and by how much the
process grew at most.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import get_args

import numpy as np

from benchmarks.scale_tree import Tree
from transforms.clips.finish_run import raise_if_false
from transforms.clips.ledger import read_ledger
from transforms.clips.selections import all_selected_videos
from transforms.clips.summary import run_fields, write_summary
from transforms.formats.document import ClipStage
from transforms.ingest.list_videos import VideoInput, list_videos
from transforms.ingest.select_videos import select_videos
from transforms.ingest.waves import count_inputs, iter_waves
from transforms.json_files import read_json
from transforms.layout import finished_run_uri
from transforms.run_context import RunContext
from transforms.shards.changed_files import write_bytes_if_changed
from transforms.shards.dataset_state import begin
from transforms.shards.layout import rows_folder
from transforms.shards.list_clip_records import list_clip_records
from transforms.shards.options import DatasetRun, ShardSettings
from transforms.shards.plan_shards import plan_shards
from transforms.shards.read_rows import (
    BATCH_SIZE,
    ClipBatch,
    RowsFile,
    list_rows,
    load_rows,
    read_rows,
)
from transforms.storage.sync import syncing

SHARD_BYTES = 500 * 1024 * 1024


class Steps:
    """The steps, each of which returns how many things it went through."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._root = str(tree.out)
        self._input = VideoInput(input_video_path=str(tree.raw))
        options = read_json(str(tree.out / "runs" / "options.json"))
        fingerprints = options["fingerprints"]
        stages = [item for item in fingerprints.items() if item[0] in get_args(ClipStage)]
        scratch = str(tree.out.parent / "scratch")
        self._context = RunContext(
            self._root, "scale", scratch, scratch, tuple(stages), fingerprints["spans"]
        )
        self._dataset = DatasetRun(
            self._root, str(tree.out.parent / "dataset"), "v0", scratch, scratch
        )
        # Clips are tiny here: shards of as many clips as 500 MiB of real ones would hold.
        self._settings = ShardSettings(target_tar_bytes=SHARD_BYTES // 500)

    def nothing(self) -> int:
        """Imports alone."""
        return 1

    def list_streaming(self) -> int:
        """Inputs counted as they stream by."""
        return count_inputs(self._input).num_videos

    def list_held(self) -> int:
        """Inputs listed into memory, as runs without waves do."""
        return len(list_videos(self._input).videos)

    def resume_streaming(self) -> int:
        """Everything is done: what a run in waves finds out."""
        waves = iter_waves(
            self._input, self._context, wave_hours=1.0, durations=lambda videos: [0.0] * len(videos)
        )
        if left := sum(len(wave.videos) for wave in waves):
            raise RuntimeError(f"{left} videos are not done")
        return count_inputs(self._input).num_videos

    def resume_held(self) -> int:
        """Everything is done: what a run without waves finds out."""
        selection = select_videos(self._input, self._context)
        if selection.videos:
            raise RuntimeError(f"{len(selection.videos)} videos are not done")
        return selection.num_done

    def ledger(self) -> int:
        """The ledger of everything ever selected, as every run ends with."""
        ledger = read_ledger(self._root, all_selected_videos(self._root))
        raise_if_false(ledger)
        return ledger.num_clips_planned

    def summary(self) -> int:
        """``summary.json`` from the records."""
        run = read_json(finished_run_uri(self._root, 1))
        fields = {**run_fields(run, 1.0), "embedding_algorithm": "x", "resolved": {}}
        summary = write_summary(self._root, fields, scratch=Path(self._context.scratch))
        return int(summary["total_num_clips_passed"])

    def rows_list(self) -> int:
        """Clips to pack, from the summary."""
        return sum(
            len(batch.clip_ids)
            for batch in list_rows(self._dataset, self._settings)
            if isinstance(batch, ClipBatch)
        )

    def rows_read(self) -> int:
        """Metadata of every clip read and stored as rows; spread over workers in a run."""
        read = [
            read_rows(batch, settings=self._settings, run=self._dataset)
            for batch in list_rows(self._dataset, self._settings)
            if isinstance(batch, ClipBatch)
        ]
        return len(read) * 1000

    def rows_made(self) -> int:
        """What ``rows_read`` leaves, made of the template's: for trees without metadata."""
        template = Tree.below(self._tree.out.parent / "template")
        small = dataclasses.replace(
            self._dataset,
            input_root=str(template.out),
            dataset_root=str(template.out.parent / "dataset"),
        )
        [batch] = list_rows(small, self._settings)
        assert isinstance(batch, ClipBatch)
        rows = load_rows(read_rows(batch, settings=self._settings, run=small).uri)
        clip_ids = sorted(list_clip_records(self._dataset).clip_ids)
        folder = rows_folder(
            self._dataset, begin(self._dataset, self._settings).target, self._settings
        )
        for start in range(0, len(clip_ids), BATCH_SIZE):
            some = np.array([clip_id.encode() for clip_id in clip_ids[start : start + BATCH_SIZE]])
            which = np.arange(len(some)) % len(rows.clip_id)
            made = dataclasses.replace(rows.take(which), clip_id=some)
            write_bytes_if_changed(f"{folder}/{start:012}.npz", made.save())
        return len(clip_ids)

    def plan(self) -> int:
        """Shards planned from stored rows; on one worker in a run."""
        return self._planned()

    def plan_again(self) -> int:
        """The same when all is planned: nothing new, no shard written yet."""
        return self._planned()

    def _planned(self) -> int:
        files = list(self._row_files())
        planned = plan_shards(files, settings=self._settings, run=self._dataset)
        return sum(1 for _, sample in planned if sample is not None)

    def _row_files(self) -> Iterator[RowsFile]:
        for one in list_rows(self._dataset, self._settings):
            if isinstance(one, RowsFile):
                yield one
            elif one.clip_ids:
                raise RuntimeError("there are clips without rows; run rows_read first")


ORDER = (
    "nothing",
    "list_streaming",
    "list_held",
    "resume_streaming",
    "resume_held",
    "ledger",
    "summary",
    "rows_list",
    "rows_read",
    "plan",
    "plan_again",
)
"""Each step needs what those before it left."""
PLAN_ORDER = ("nothing", "summary", "rows_made", "plan", "plan_again")
"""The same on a tree of records alone."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one step and print what it cost."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("step", choices=sorted({*ORDER, *PLAN_ORDER}))
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    step: Callable[[], int] = getattr(Steps(Tree.below(options.folder)), options.step)
    # The kernel forgets what importing took at most, and counts anew.
    Path("/proc/self/clear_refs").write_text("5")
    before, started = _memory("VmRSS"), time.monotonic()
    processor = time.process_time()
    with syncing(False):
        things = step()
    found = {
        "seconds": time.monotonic() - started,
        "processor_seconds": time.process_time() - processor,
        "things": things,
        "base_mib": before,
        "grown_mib": max(0.0, _memory("VmHWM") - before),
    }
    print(json.dumps(found))
    return 0


def _memory(name: str) -> float:
    """Return a number of /proc/self/status in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    raise SystemExit(main())
