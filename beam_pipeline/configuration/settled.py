"""What a loaded configuration must hold: needed paths, no contradictions, nothing not built."""

from __future__ import annotations

import re
from typing import Any, TypeVar

from beam_pipeline.configuration.config import (
    AnyConfig,
    CurateConfig,
    PipelineConfig,
    RecaptionConfig,
    ShardConfig,
    SplitSections,
)
from transforms.errors import UsageError
from transforms.layout import OUTPUT_FOLDERS
from transforms.section import Section
from transforms.storage.plain_names import is_plain_name
from transforms.storage.uris import absolute, bucket_and_key, join, scheme_of

SectionType = TypeVar("SectionType", bound=Section)
_VERSION_FOLDER = re.compile(r"v\d+")


def complete(config: AnyConfig) -> AnyConfig:
    """Return the configuration with the paths that follow from others filled in.

    ``curate`` shards what it split; its data set lies in ``webdataset`` beside the split output, or
    beside that one's parent when the output is a version folder such as ``processed/v0``.

    Raises:
        UsageError: A path that the pipeline needs is missing, or options contradict each other.
    """
    missing = [
        name
        for section, name in _needed(config)
        if not getattr(getattr(config, section), name, None)
    ]
    if missing:
        raise UsageError(
            f"{config.pipeline} needs {' and '.join(missing)}: give "
            + " and ".join(f"--{name} PATH" for name in missing)
            + ", or put it into the configuration file"
        )
    if isinstance(config, ShardConfig | CurateConfig):
        _check_version(config.sharding.annotation_version)
        _check_own_version(config)
    if isinstance(config, SplitSections):
        _check_events(config)
        _check_copy(config)
    if isinstance(config, RecaptionConfig):
        return _recaption(config)
    # Without one, a scratch folder is chosen when the run begins.
    if isinstance(config, CurateConfig) and config.output.output_clip_path:
        return config.model_copy(update={"sharding": _curate_paths(config)})
    return config


def _needed(config: PipelineConfig) -> list[tuple[str, str]]:
    if isinstance(config, RecaptionConfig):
        return [("sharding", "input_clip_path")]
    if isinstance(config, ShardConfig):
        return [("sharding", "input_clip_path"), ("sharding", "output_dataset_path")]
    assert isinstance(config, SplitSections)
    needed = []
    if not config.presigned.input_url:
        needed.append(("input", "input_video_path"))
    if not config.presigned.has_output:
        needed.append(("output", "output_clip_path"))
    return needed


_FIRST_VERSION = "v0"
_TAKEN = frozenset({*OUTPUT_FOLDERS, "index", "plans", "running", "shots", "staging"})
"""Names of folders in an output; a version of the annotations has folders of its name beside."""


def _check_version(version: str, taken: frozenset[str] = frozenset()) -> None:
    if not is_plain_name(version) or version in taken:
        raise UsageError(
            f"annotation_version={version}: cannot be the name of a folder of its own in the "
            "output; give a name such as v1 or av-prompt-2"
        )


def _check_own_version(config: ShardConfig | CurateConfig) -> None:
    version = config.sharding.annotation_version
    if isinstance(config, CurateConfig) and version != _FIRST_VERSION:
        raise UsageError(
            f"annotation_version={version}: curate packs the metadata that it writes, which is "
            f"{_FIRST_VERSION}; leave it out, or pack {version} with shard "
            f"--annotation_version {version}"
        )


def _recaption(config: RecaptionConfig) -> RecaptionConfig:
    """Return the configuration with captions on and a version of the annotations."""
    if config.captioning.generate_captions is False:
        raise UsageError("generate_captions=false: recaption makes captions and nothing else")
    sharding = config.sharding
    if "annotation_version" not in sharding.model_fields_set:
        sharding = updated(sharding, annotation_version="v1")
    version = sharding.annotation_version
    if version == _FIRST_VERSION:
        raise UsageError(
            f"annotation_version={version}: is the metadata that split writes; give the new "
            "captions a version of their own, such as v1"
        )
    _check_version(version, _TAKEN)
    captioning = updated(config.captioning, generate_captions=True)
    return config.model_copy(update={"sharding": sharding, "captioning": captioning})


def _check_events(config: SplitSections) -> None:
    events = config.events
    if not events.enable_event_captioning:
        return
    if not config.tracking.enable_sam3:
        raise UsageError("enable_event_captioning=true needs enable_sam3=true")
    if events.event_caption_prompt and events.event_caption_prompt_file:
        raise UsageError(
            "event_caption_prompt and event_caption_prompt_file exclude each other; keep one"
        )


_CHANGED_BY_ENCODING = (
    ("transcode", "transcode_crf"),
    ("transcode", "transcode_use_input_video_bit_rate"),
    ("transcode", "transcode_max_output_frames"),
    ("bars", "crop_black_bars"),
    ("trainer", "clip_width"),
    ("trainer", "clip_height"),
    ("trainer", "clip_fps"),
    ("trainer", "clip_frame_multiple"),
)
"""Section and name of the options that ask for something that only encoding can do."""


def _check_copy(config: SplitSections) -> None:
    if config.transcode.transcode_encoder != "copy":
        return
    for field, name in _CHANGED_BY_ENCODING:
        section = getattr(config, field)
        value = getattr(section, name)
        if value != type(section).model_fields[name].default:
            raise UsageError(
                f"transcode_encoder=copy and {name}={value} exclude each other: copied clips are "
                f"the source's packets as they are; leave {name} out, or take an encoder such as "
                "libx264"
            )


def _curate_paths(config: CurateConfig) -> Section:
    output = str(config.output.output_clip_path)
    given = config.sharding.input_clip_path
    if given is not None and absolute(given) != absolute(output):
        raise UsageError(
            f"input_clip_path={given}: curate shards what it writes to output_clip_path={output}; "
            "leave input_clip_path out, or run the pipeline shard"
        )
    dataset = config.sharding.output_dataset_path or default_dataset_path(output)
    return updated(config.sharding, input_clip_path=output, output_dataset_path=dataset)


def default_dataset_path(output_clip_path: str) -> str:
    """Return where ``curate`` writes the data set when nobody says where.

    Raises:
        UsageError: The output is a whole bucket, beside which there is nothing.

    Example:
        >>> default_dataset_path("s3://b/set/processed_data/v0"), default_dataset_path("/a/out/")
        ('s3://b/set/webdataset', '/a/webdataset')
        >>> default_dataset_path("s3://b/v0")
        's3://b/webdataset'
    """
    output = absolute(output_clip_path).rstrip("/")
    scheme = scheme_of(output)
    root = f"{scheme}://{bucket_and_key(output)[0]}" if scheme else ""
    folders = output[len(root) :].strip("/").split("/")
    if scheme and folders == [""]:
        raise UsageError(
            f"output_clip_path={output}: is a whole bucket, so there is no place beside it for the "
            "dataset; name a folder in it, or give --output_dataset_path"
        )
    depth = 2 if _VERSION_FOLDER.fullmatch(folders[-1]) and len(folders) > 1 else 1
    return join(root, *folders[:-depth], "webdataset")


def updated(section: SectionType, **values: Any) -> SectionType:
    """Return a section with other values; which options were given explicitly stays."""
    other = section.model_copy(update=values)
    other.__pydantic_fields_set__.clear()
    other.__pydantic_fields_set__.update(section.model_fields_set)
    return other


def not_built(config: PipelineConfig) -> list[str]:
    """Return one sentence per option that asks for what cannot run yet."""
    return [problem for _, section in config.sections() if (problem := section.not_built())]


def ignored_warning(config: PipelineConfig) -> str | None:
    """Return one warning about all given options that have no meaning here, None without any."""
    given = [
        f"  {option.name}: instead, {option.instead}"
        for option in config.options().values()
        if option.instead and option.name in getattr(config, option.section).model_fields_set
    ]
    if not given:
        return None
    return "\n".join(["These options are accepted and have no effect here:", *given])
