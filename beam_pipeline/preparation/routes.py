"""Whose credentials open which of a run's locations, from its options."""

from __future__ import annotations

from collections.abc import Iterator

from beam_pipeline.configuration.config import AnyConfig, RecaptionConfig, ShardConfig, SplitConfig
from transforms.storage.routes import StorageRoute, register
from transforms.storage.s3_profiles import credentials_file
from transforms.storage.uris import absolute, scheme_of


def routes_of(config: AnyConfig) -> tuple[StorageRoute, ...]:
    """Return a route for every location in a store that the options name.

    What is read has ``input_s3_profile_name``, what is written ``output_s3_profile_name``; lists of
    videos and of duplicates have profiles of their own.
    """
    file = credentials_file()
    return tuple(
        StorageRoute(uri, profile, file)
        for path, profile in _locations(config)
        if path and scheme_of(uri := absolute(path))
    )


def open_stores(config: AnyConfig) -> tuple[StorageRoute, ...]:
    """Make the run's locations known to this process and return their routes."""
    routes = routes_of(config)
    register(routes)
    return routes


def _locations(config: AnyConfig) -> Iterator[tuple[str | None, str]]:
    reads, writes = config.input.input_s3_profile_name, config.output.output_s3_profile_name
    if isinstance(config, RecaptionConfig):
        # It reads and writes in one place.
        yield config.sharding.input_clip_path, writes
        return
    if isinstance(config, ShardConfig):
        yield config.sharding.input_clip_path, reads
    else:
        yield config.input.input_video_path, reads
        listed = config.input.input_video_list_s3_profile_name
        yield config.input.input_video_list_json_path, listed
        yield config.output.output_clip_path, writes
    if not isinstance(config, SplitConfig):
        sharding = config.sharding
        yield sharding.output_dataset_path, writes
        duplicates = sharding.input_semantic_dedup_s3_profile_name
        yield sharding.input_semantic_dedup_path, duplicates
