"""Run every step of ours twice on each bundle, as runners do that replay bundles."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

STEPS = (
    "ListVideos/",
    "ProbeVideos/",
    "SplitFixedStride/",
    "PlanChunks/FlatMap",
    "PlanChunks/EmitRuns",
    "CutChunks/",
    "FilterMotion/",
    "WriteClips/",
    "FinishChunks/Map",
    "FinishRun/Map",
    "ShardClips/ListRows",
    "ShardClips/ReadRows",
    "ShardClips/PlanShards",
    "ShardClips/WriteShards",
    "ShardClips/FinishDataset",
)
"""How the labels of our steps begin; what else stands in the graph is Beam's and has no effects."""
LEASE = "lease.json"
"""Its heartbeat is no step's."""


def snapshot(roots: list[Path]) -> dict[str, tuple[bytes, int]]:
    """Return content and time of change of every file; temporaries count too."""
    return {
        str(path): (path.read_bytes(), path.stat().st_mtime_ns)
        for root in roots
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != LEASE
    }


class Twice(beam.DoFn):
    """Runs a DoFn on a whole bundle, throws its outputs away, and runs it again.

    What the second time changed is appended to a file: one line for each time.
    """

    def __init__(self, inner: beam.DoFn, label: str, roots: list[Path], log: Path) -> None:
        self._inner = inner
        self._label = label
        self._roots = roots
        self._log = log
        self._elements: list[Any] = []

    def setup(self) -> None:
        self._inner.setup()

    def start_bundle(self) -> None:
        self._elements = []

    def process(self, element: Any) -> None:
        self._elements.append(element)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        self._bundle()
        before = snapshot(self._roots)
        outputs = self._bundle()
        self._report(before, snapshot(self._roots))
        for output in outputs:
            yield WindowedValue(output, MIN_TIMESTAMP, (GlobalWindow(),))

    def teardown(self) -> None:
        self._inner.teardown()

    def _bundle(self) -> list[Any]:
        self._inner.start_bundle()
        outputs = [found for one in self._elements for found in self._inner.process(one) or ()]
        outputs += [found.value for found in self._inner.finish_bundle() or ()]
        return outputs

    def _report(
        self, before: dict[str, tuple[bytes, int]], after: dict[str, tuple[bytes, int]]
    ) -> None:
        changes = {
            "step": self._label,
            "num_elements": len(self._elements),
            "came_or_went": sorted(before.keys() ^ after.keys()),
            "changed": sorted(
                path for path in before.keys() & after.keys() if before[path][0] != after[path][0]
            ),
            "rewritten": sorted(
                path for path in before.keys() & after.keys() if before[path][1] != after[path][1]
            ),
        }
        with self._log.open("a") as file:
            file.write(json.dumps(changes) + "\n")


def run_twice(root: beam.Pipeline, roots: list[Path], log: Path) -> None:
    """Let every step of ours in a built graph run twice; Beam's own steps stay as they are."""

    class Visitor(beam.pipeline.PipelineVisitor):
        def visit_transform(self, transform_node: Any) -> None:
            transform = transform_node.transform
            label = transform_node.full_label
            if isinstance(transform, beam.ParDo) and label.startswith(STEPS):
                bound = _Bound(transform.fn, transform.args, transform.kwargs)
                transform.fn = Twice(bound, label, roots, log)
                transform.args, transform.kwargs = (), {}

    root.visit(Visitor())


class _Bound(beam.DoFn):
    """A DoFn with the further arguments of its step."""

    def __init__(self, inner: beam.DoFn, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._inner = inner
        self._args = args
        self._kwargs = kwargs

    def setup(self) -> None:
        self._inner.setup()

    def start_bundle(self) -> None:
        self._inner.start_bundle()

    def process(self, element: Any) -> Any:
        return self._inner.process(element, *self._args, **self._kwargs)

    def finish_bundle(self) -> Any:
        return self._inner.finish_bundle()

    def teardown(self) -> None:
        self._inner.teardown()
