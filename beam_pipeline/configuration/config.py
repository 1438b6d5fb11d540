"""The configuration of each pipeline: one field per section, in the order of the stages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from beam_pipeline.configuration.beam_options import beam_option_names
from beam_pipeline.configuration.nearest import nearest
from beam_pipeline.configuration.option_values import BadValueError, bad_value, to_value
from beam_pipeline.configuration.options import Option, by_every_name, canonical, section_options
from transforms.annotate.async_engine import AsyncEngine
from transforms.annotate.caption_events import EventCaptions
from transforms.annotate.caption_model import CaptionModel
from transforms.annotate.caption_options import CaptionEnhancement, Captioning, LocalCaptionModels
from transforms.annotate.embedding_options import Embedding, FrameSampling
from transforms.annotate.previews import Previews
from transforms.annotate.track_objects import ObjectTracking
from transforms.annotate.window_options import Windows
from transforms.clips.chunking import Chunking
from transforms.clips.clip_output import ClipOutput
from transforms.clips.replay_stages import StageReplay
from transforms.clips.super_resolution import SuperResolution
from transforms.errors import UsageError
from transforms.execution import Execution
from transforms.filters.aesthetics import AestheticFilter
from transforms.filters.artificial_text import ArtificialTextFilter
from transforms.filters.motion_options import MotionFilter
from transforms.filters.score_options import ScoreFilters
from transforms.filters.semantic import SemanticFilter, VideoClassifier
from transforms.ingest.list_videos import VideoInput
from transforms.ingest.multi_camera import MultiCamera
from transforms.ingest.presigned import PresignedUrls
from transforms.media.crop_options import BlackBars
from transforms.media.trainer_options import TrainerClips
from transforms.media.transcode_options import Transcode
from transforms.models.model_files import ModelFiles
from transforms.profiling import Profiling
from transforms.run_options import Run
from transforms.section import Section
from transforms.shards.options import Sharding
from transforms.shots.detection_options import ShotDetection
from transforms.shots.splitting import Splitting


class PipelineConfig(BaseModel):
    """What every pipeline's configuration can do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pipeline: ClassVar[str]
    partly: ClassVar[Mapping[str, frozenset[str]]] = {}
    """Sections of which only these options belong to the pipeline; the others keep defaults."""

    @classmethod
    def options(cls) -> dict[str, Option]:
        """Return the pipeline's options by name, in the order of the stages."""
        found = [
            option
            for field, info in cls.model_fields.items()
            if isinstance(info.annotation, type) and issubclass(info.annotation, Section)
            for option in section_options(field, info.annotation)
            if field not in cls.partly or option.name in cls.partly[field]
        ]
        return {option.name: option for option in found}

    def sections(self) -> Iterator[tuple[str, Section]]:
        """Yield (field, section) in the order of the stages."""
        for field in type(self).model_fields:
            yield field, getattr(self, field)

    def value(self, option: Option) -> Any:
        """Return the value of one of this pipeline's options."""
        return getattr(getattr(self, option.section), option.name)


class SplitSections(PipelineConfig):
    """What ``split`` and ``curate`` share."""

    input: VideoInput = VideoInput()
    presigned: PresignedUrls = PresignedUrls()
    multi_camera: MultiCamera = MultiCamera()
    splitting: Splitting = Splitting()
    shots: ShotDetection = ShotDetection()
    model_files: ModelFiles = ModelFiles()
    chunking: Chunking = Chunking()
    transcode: Transcode = Transcode()
    bars: BlackBars = BlackBars()
    trainer: TrainerClips = TrainerClips()
    super_resolution: SuperResolution = SuperResolution()
    motion: MotionFilter = MotionFilter()
    scores: ScoreFilters = ScoreFilters()
    frames: FrameSampling = FrameSampling()
    aesthetics: AestheticFilter = AestheticFilter()
    artificial_text: ArtificialTextFilter = ArtificialTextFilter()
    semantic: SemanticFilter = SemanticFilter()
    classifier: VideoClassifier = VideoClassifier()
    embedding: Embedding = Embedding()
    windows: Windows = Windows()
    caption_model: CaptionModel = CaptionModel()
    captioning: Captioning = Captioning()
    local_captions: LocalCaptionModels = LocalCaptionModels()
    async_engine: AsyncEngine = AsyncEngine()
    enhancement: CaptionEnhancement = CaptionEnhancement()
    tracking: ObjectTracking = ObjectTracking()
    events: EventCaptions = EventCaptions()
    previews: Previews = Previews()
    output: ClipOutput = ClipOutput()
    replay: StageReplay = StageReplay()
    run: Run = Run()
    profiling: Profiling = Profiling()
    execution: Execution = Execution()


class SplitConfig(SplitSections):
    """Raw videos to scored clips."""

    pipeline: ClassVar[str] = "split"


class ShardConfig(PipelineConfig):
    """Clips of ``split`` to training shards."""

    pipeline: ClassVar[str] = "shard"
    partly: ClassVar[Mapping[str, frozenset[str]]] = {
        "input": frozenset({"input_s3_profile_name", "limit"}),
        "windows": frozenset({"captioning_window_size"}),
        "output": frozenset({"output_s3_profile_name"}),
        "execution": frozenset({"execution_mode", "stall_minutes", "worker_python"}),
    }

    sharding: Sharding = Sharding()
    input: VideoInput = VideoInput()
    windows: Windows = Windows()
    caption_model: CaptionModel = CaptionModel()
    model_files: ModelFiles = ModelFiles()
    output: ClipOutput = ClipOutput()
    run: Run = Run()
    profiling: Profiling = Profiling()
    execution: Execution = Execution()


class CurateConfig(SplitSections):
    """Raw videos to training shards: ``split``, then ``shard``."""

    pipeline: ClassVar[str] = "curate"

    sharding: Sharding = Sharding()


class RecaptionConfig(PipelineConfig):
    """New captions for the clips of ``split``: a version of their metadata of its own."""

    pipeline: ClassVar[str] = "recaption"
    partly: ClassVar[Mapping[str, frozenset[str]]] = {
        "sharding": frozenset({"input_clip_path", "annotation_version"}),
        "input": frozenset({"limit"}),
        "output": frozenset({"output_s3_profile_name", "write_all_caption_json"}),
        "run": frozenset(Run.model_fields) - {"wave_hours", "predict", "perf_profile"},
        "execution": frozenset(Execution.model_fields)
        - {"num_download_workers_per_node", "num_clip_writer_workers_per_node"},
    }

    sharding: Sharding = Sharding()
    input: VideoInput = VideoInput()
    model_files: ModelFiles = ModelFiles()
    windows: Windows = Windows()
    caption_model: CaptionModel = CaptionModel()
    captioning: Captioning = Captioning()
    local_captions: LocalCaptionModels = LocalCaptionModels()
    async_engine: AsyncEngine = AsyncEngine()
    enhancement: CaptionEnhancement = CaptionEnhancement()
    output: ClipOutput = ClipOutput()
    run: Run = Run()
    execution: Execution = Execution()


CurationConfig = SplitConfig | ShardConfig | CurateConfig
CaptionedConfig = SplitConfig | CurateConfig | RecaptionConfig
"""What may make captions; the sections of captions have the same names in each."""
AnyConfig = CurationConfig | RecaptionConfig

PIPELINES: dict[str, type[AnyConfig]] = {
    "split": SplitConfig,
    "shard": ShardConfig,
    "curate": CurateConfig,
    "recaption": RecaptionConfig,
}


def pipeline_named(name: str) -> type[AnyConfig]:
    """Return the configuration class of a pipeline.

    Raises:
        UsageError: There is no such pipeline.
    """
    if name not in PIPELINES:
        raise UsageError(f"pipeline {name!r}: there are {', '.join(PIPELINES)}")
    return PIPELINES[name]


def load_config(
    pipeline: str, file_values: Mapping[str, Any], overrides: Mapping[str, Any]
) -> AnyConfig:
    """Return the configuration of a pipeline.

    Args:
        pipeline: ``split``, ``shard``, ``curate`` or ``recaption``.
        file_values: Options of a configuration file, spelled as the file spells them.
        overrides: Options of the command line; they win.

    Raises:
        UsageError: An option is unknown, belongs to another pipeline, occurs twice under two
            names, or has a value it cannot have. One message names every such option.
    """
    config_class = pipeline_named(pipeline)
    problems: list[str] = []
    written = {
        **_resolve_names(config_class, file_values, problems),
        **_resolve_names(config_class, overrides, problems),
    }
    options = config_class.options()
    by_section: dict[str, dict[str, Any]] = {}
    for name, value in written.items():
        option = options[name]
        try:
            by_section.setdefault(option.section, {})[name] = to_value(option, value)
        except BadValueError as error:
            problems.append(str(error))
    sections: dict[str, Section] = {}
    for field, values in by_section.items():
        section = config_class.model_fields[field].annotation
        assert isinstance(section, type)
        try:
            sections[field] = section(**values)
        except ValidationError as error:
            problems += _section_problems(error, options, written)
    if problems:
        raise UsageError("\n".join(dict.fromkeys(problems)))
    return config_class.model_validate(sections)


def flat(config: PipelineConfig) -> dict[str, Any]:
    """Return every option's value by name, as JSON has it; secrets are starred out."""
    dumped = {field: section.model_dump(mode="json") for field, section in config.sections()}
    return {name: dumped[option.section][name] for name, option in config.options().items()}


def _resolve_names(
    config_class: type[PipelineConfig], values: Mapping[str, Any], problems: list[str]
) -> dict[str, Any]:
    known = by_every_name(config_class.options())
    resolved: dict[str, Any] = {}
    spelled: dict[str, str] = {}
    for key, value in values.items():
        option = known.get(canonical(key))
        if option is None:
            problems.append(unknown_option(config_class.pipeline, key))
        elif option.name in resolved:
            problems.append(f"{spelled[option.name]} and {key} are the same option; keep one")
        else:
            resolved[option.name] = value
            spelled[option.name] = key
    return resolved


def unknown_option(pipeline: str, key: str) -> str:
    """Return the sentence about a name that is no option of the pipeline."""
    name = canonical(key)
    owners = [
        other for other, config in PIPELINES.items() if name in by_every_name(config.options())
    ]
    if owners:
        return f"{key}: is an option of {' and '.join(owners)}, not of {pipeline}"
    if name in beam_option_names():
        return f"{key}: is an option of Beam; give it on the command line as --{name}"
    names = [*by_every_name(pipeline_named(pipeline).options()), *beam_option_names()]
    return f"{key}: there is no such option{nearest(name, names)}"


def _section_problems(
    error: ValidationError, options: Mapping[str, Option], written: Mapping[str, Any]
) -> Iterator[str]:
    for detail in error.errors():
        if detail["loc"]:
            option = options[str(detail["loc"][0])]
            yield bad_value(option, written[option.name])
        else:
            # A rule of the section about several of its options: the message is the section's.
            yield detail["msg"].removeprefix("Value error, ")
