"""The plans of a dataset's parts: written before the part's first tar and never changed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from transforms.json_files import json_bytes, read_json
from transforms.run_context import SCHEMA_VERSION
from transforms.shards.damaged_file import damaged_file
from transforms.shards.layout import ShardName, plan_uri, plans_folder, work_uri
from transforms.shards.options import DatasetRun
from transforms.storage.open_storage import storage_for
from transforms.storage.plain_names import is_plain_name
from transforms.storage.uris import relative

_PART = re.compile(r"part_(\d{6})\.json$")
BIN_DEPTH = 3
"""Resolution, aspect ratio, frame window or duration."""

PlannedSample = tuple[str, int, int, bool]
"""Clip id, half-open frames, whether it is a window of its clip."""


@dataclass(frozen=True, slots=True)
class PartPlan:
    """Which samples stand in which shard of one part of a bin."""

    bin_path: str
    part: int
    shards: tuple[tuple[PlannedSample, ...], ...]

    def names(self) -> list[ShardName]:
        """Return the shards of the part."""
        return [ShardName(self.bin_path, self.part, index) for index in range(len(self.shards))]


def write_plan(run: DatasetRun, generation: int, plan: PartPlan) -> None:
    """Store the plan of a part; the first one stands."""
    # Not by asdict, which copies every sample: a part may hold a hundred thousand.
    content = {
        "schema_version": SCHEMA_VERSION,
        "bin_path": plan.bin_path,
        "part": plan.part,
        "shards": plan.shards,
    }
    uri = plan_uri(run, generation, plan.bin_path, plan.part)
    storage_for(uri).create_if_absent(uri, json_bytes(content))


def read_plans(run: DatasetRun, generation: int) -> Iterator[PartPlan]:
    """Yield the plans of a generation, sorted by bin and part.

    Raises:
        BadJsonError: A file is not what ``write_plan`` writes there. What it names becomes part of
            paths that are written and removed.
    """
    folder = plans_folder(run, generation)
    for found in storage_for(folder).list(folder):
        try:
            plan = _plan(read_json(found.uri))
        except (KeyError, TypeError, ValueError) as error:
            raise damaged_file(found.uri, run) from error
        if found.uri != plan_uri(run, generation, plan.bin_path, plan.part):
            raise damaged_file(found.uri, run)
        yield plan


def _plan(content: Any) -> PartPlan:
    """Return the plan; raises KeyError, TypeError or ValueError when it is none."""
    shards = tuple(tuple(_planned(*sample) for sample in shard) for shard in content["shards"])
    bin_path, part = content["bin_path"], content["part"]
    names = str(bin_path).split("/")
    if len(names) != BIN_DEPTH or not all(is_plain_name(name) for name in names):
        raise ValueError(f"no bin: {bin_path!r}")
    if type(part) is not int:
        raise TypeError(f"no number: {part!r}")
    return PartPlan(bin_path, part, shards)


def _planned(clip_id: str, start: int, end: int, is_window: bool) -> PlannedSample:
    if not is_plain_name(clip_id) or type(start) is not int or type(end) is not int:
        raise TypeError(f"no sample: {clip_id!r}, {start!r}, {end!r}")
    if not 0 <= start < end:
        raise ValueError(f"no frames: {start} to {end}")
    return clip_id, start, end, bool(is_window)


def used_parts(run: DatasetRun) -> dict[str, int]:
    """Return the first part number of each bin that no generation has used."""
    folder = work_uri(run)
    following: dict[str, int] = {}
    for found in storage_for(folder).list(folder):
        match = _PART.search(found.uri)
        pieces = relative(found.uri, folder).split("/")
        if match and pieces[1:2] == ["plans"]:
            bin_path = "/".join(pieces[2:-1])
            following[bin_path] = max(following.get(bin_path, 0), int(match.group(1)) + 1)
    return following
