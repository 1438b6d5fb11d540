"""The graphs of a run: one, or for a long selection one per wave and one that closes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from beam_pipeline.configuration.config import CurateConfig, SplitConfig
from beam_pipeline.preparation.prepare import PreparedShard, PreparedSplit
from runners.interface import Build
from transforms.clips.wave_file import remove_wave
from transforms.errors import MediaError
from transforms.ingest.probe_videos import probe_video
from transforms.ingest.waves import Durations, InputCount, begin_wave, iter_waves
from transforms.media.probing import Prober
from transforms.media.slots import num_slots
from transforms.records import Video
from transforms.run_context import RunContext


def wave_graphs(
    config: SplitConfig | CurateConfig,
    split: PreparedSplit,
    shard: PreparedShard | None,
    inputs: InputCount,
) -> Iterator[Build]:
    """Yield the graphs of a run in waves, each to be run to its end before the next is asked for.

    A wave's graph splits its videos, files them as a run of their own and appends the shards of
    their clips. The last graph works on nothing: it writes the summary, packs what a killed run
    left unpacked, and checks the whole dataset. With ``reshard`` it alone makes shards: they
    replace the old ones together.

    Raises:
        UsageError, NotFoundError, StorageError: As ``iter_waves``.
    """
    context = split.context
    pack = shard if shard is not None and not shard.settings.reshard else None
    # Below the run's own scratch folder: what a kill leaves there is swept.
    folder, num_children = Path(context.scratch) / "probing", num_slots()
    with Prober(folder, split.cut.limits, num_children=num_children) as prober:
        waves = iter_waves(
            config.input,
            context,
            wave_hours=config.run.wave_hours,
            durations=_durations(prober, num_children, context),
        )
        for number, wave in enumerate(waves, start=1):
            # Children that wait for the next wave would take memory from this one.
            prober.end_children()
            begin_wave(wave, number, inputs, context)
            yield _graph(config, split, pack, is_wave=True)
    remove_wave(context.root)
    yield _graph(config, split, shard, is_wave=False)


def _graph(
    config: SplitConfig | CurateConfig,
    split: PreparedSplit,
    shard: PreparedShard | None,
    *,
    is_wave: bool,
) -> Build:
    from beam_pipeline import pipelines  # noqa: PLC0415 - imports Beam

    stored = replace(split, is_selected=True, facts=replace(split.facts, is_wave=is_wave))

    def build(root: Any) -> None:
        if shard is None or not isinstance(config, CurateConfig):
            pipelines.split(root, config, stored)
            return
        packed = replace(shard, dataset=replace(shard.dataset, is_wave=is_wave))
        pipelines.curate(root, config, stored, packed)

    return build


def _durations(prober: Prober, num_threads: int, context: RunContext) -> Durations:
    def seconds(video: Video) -> float:
        # The graph probes it again, and what cannot be probed fails there, by name.
        with contextlib.suppress(MediaError):
            return probe_video(video, prober, context).facts.duration_seconds
        return 0.0

    def durations(videos: Sequence[Video]) -> list[float]:
        with ThreadPoolExecutor(num_threads) as pool:
            return list(pool.map(seconds, videos))

    return durations
