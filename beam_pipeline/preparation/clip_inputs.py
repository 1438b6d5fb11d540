"""Splitting what was split before: the documents' way to caption clips anew."""

from __future__ import annotations

from beam_pipeline.configuration.config import AnyConfig, CurateConfig, SplitConfig
from beam_pipeline.configuration.settled import updated
from transforms.json_files import read_json_if_there
from transforms.layout import CLIPS, METAS, options_uri, summary_uri
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import absolute, join

_NAME = "fixed_stride_min_clip_length_s"
WHOLE_CLIPS_SECONDS = 86400.0
"""A stride of a day or more leaves every clip as it is: it asks for other captions, not clips."""


def settle_clip_input(config: AnyConfig) -> tuple[AnyConfig, str | None]:
    """Return the configuration by which no clip of an earlier split is lost, and a line about it.

    The documents caption anew by splitting ``clips/`` of an output by an enormous stride. There,
    clips shorter than the default minimum are kept, unless the minimum is given; it stays what the
    new output was begun with.
    """
    if not isinstance(config, SplitConfig | CurateConfig) or not _takes_whole_clips(config):
        return config, None
    minimum = _stored_minimum(config)
    if minimum is None:
        minimum = 0.0 if _is_clips_of_split(str(config.input.input_video_path)) else None
    if minimum is None:
        return config, None
    splitting = updated(config.splitting, **{_NAME: minimum})
    line = f"{_NAME}: {minimum:g} (the input is the clips of a split)" if not minimum else None
    return config.model_copy(update={"splitting": splitting}), line


def _takes_whole_clips(config: SplitConfig | CurateConfig) -> bool:
    splitting = config.splitting
    return (
        not splitting.detects_shots
        and splitting.fixed_stride_split_duration >= WHOLE_CLIPS_SECONDS
        and _NAME not in splitting.model_fields_set
    )


def _stored_minimum(config: SplitConfig | CurateConfig) -> float | None:
    """Return what the output was begun with, None when it is new."""
    if config.run.overwrite:
        return None
    stored = read_json_if_there(options_uri(absolute(str(config.output.output_clip_path))))
    return None if stored is None else float(stored["options"][_NAME])


def _is_clips_of_split(input_path: str) -> bool:
    root, _, folder = absolute(input_path).rstrip("/").rpartition("/")
    if folder != CLIPS:
        return False
    storage = storage_for(root)
    metas = storage.list(join(root, METAS))
    return storage.exists(summary_uri(root)) or next(iter(metas), None) is not None
