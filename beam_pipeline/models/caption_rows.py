"""The row of the model that captions."""

from __future__ import annotations

from dataclasses import replace

from beam_pipeline.configuration.config import CaptionedConfig
from beam_pipeline.models.caption_chain import second_pass_prompt
from beam_pipeline.models.caption_engines import local, vllm
from beam_pipeline.models.captions import engine_spec
from beam_pipeline.models.model_row import Device, ModelRow, checked, local_row
from transforms.annotate.caption_options import CaptionEnhancement
from transforms.errors import PreflightError

SplitLike = CaptionedConfig
_PACKAGES = {"torch": "models", "torchvision": "models", "transformers": "models"}
_DEVICES: dict[str, Device] = {"cpu": "cpu", "cuda": "gpu"}


def rows(config: SplitLike) -> list[ModelRow]:
    """Return the row of the caption model, where there are captions."""
    if not config.captioning.generate_captions:
        return []
    # The text model that rewrites captions has a row of its own.
    config = config.model_copy(update={"enhancement": CaptionEnhancement()})
    if vllm.is_meant(config):
        return [_by_vllm(config)]
    if config.caption_model.captioning_algorithm in local.ALGORITHMS:
        return [_in_the_worker(config)]
    return _served(config)


def _served(config: SplitLike) -> list[ModelRow]:
    algorithm = config.caption_model.captioning_algorithm
    try:
        engine = engine_spec(config).settings
    except PreflightError as error:
        return [ModelRow(_use(config), algorithm, device="endpoint", problems=(str(error),))]
    model = str(engine.definition().get("model", algorithm))
    return [ModelRow(_use(config), model, where=engine.found, device="endpoint")]


def _use(config: SplitLike) -> str:
    # The second pass asks the same model once more.
    return "captions" if second_pass_prompt(config) is None else "captions, 2 passes"


def _in_the_worker(config: SplitLike) -> ModelRow:
    options = config.local_captions
    row = local_row(
        _use(config),
        options.captioning_model or config.caption_model.captioning_algorithm,
        task="caption",
        model_weights_path=config.model_files.folder,
        revision=options.captioning_model_revision,
        packages=_PACKAGES,
    )
    row = replace(row, device=_DEVICES.get(options.captioning_device, "auto"))
    if not row.problems:
        # Whether the files can caption is found out by reading them.
        row = checked(row, lambda: engine_spec(config))
    try:
        local.check_device(config)
    except PreflightError as error:
        row = replace(row, device_problems=(str(error),))
    return row


def _by_vllm(config: SplitLike) -> ModelRow:
    row = local_row(
        _use(config),
        vllm.model_name(config),
        task="caption",
        model_weights_path=config.model_files.folder,
        revision=config.local_captions.captioning_model_revision,
        packages={"vllm": "vllm"},
    )
    device: Device = "gpu" if vllm.needs_gpu() else "cpu"
    row = replace(
        row, device=device, gpu_share=vllm.gpu_share(config), num_gpus=vllm.num_gpus(config)
    )
    if not row.problems:
        row = checked(row, lambda: engine_spec(config))
    try:
        vllm.check_device(config)
    except PreflightError as error:
        row = replace(row, device_problems=(str(error),))
    return row
