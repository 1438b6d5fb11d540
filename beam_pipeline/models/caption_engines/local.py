"""Captions by a model in the worker: is it there, whole, and of a kind that can caption?"""

from __future__ import annotations

import functools
import importlib.util

from beam_pipeline.configuration.config import CaptionedConfig
from transforms.annotate.caption_options import LocalCaptionModels
from transforms.annotate.caption_settings import EngineSpec
from transforms.errors import PreflightError
from transforms.models.captions.settings import Sampling, TransformersSettings
from transforms.models.catalogue import find_entry
from transforms.models.weights import locate_weights
from transforms.models.weights_digest import weights_digest

SplitLike = CaptionedConfig
ALGORITHMS = frozenset(
    {
        *("qwen", "nemotron", "cosmos_r1", "cosmos_r2", "cosmos3_nano", "cosmos3_super"),
        *("qwen3_5_27b", "qwen3_6_27b", "qwen3_6_27b_fp8"),
        *("qwen3_vl_30b", "qwen3_vl_30b_fp8", "qwen3_vl_235b", "qwen3_vl_235b_fp8"),
    }
)
"""Names of ``captioning_algorithm`` that mean a model in the worker."""
_THINKING = frozenset({"cosmos_r1"})
_PACKAGES = ("torch", "torchvision", "transformers")


def spec(config: SplitLike) -> EngineSpec:
    """Return the engine of a model that runs in the worker.

    Raises:
        PreflightError: Weights, packages or the device are missing, or the model cannot caption.
    """
    options = config.local_captions
    algorithm = config.caption_model.captioning_algorithm
    name = options.captioning_model or algorithm
    revision = options.captioning_model_revision
    files = config.model_files.folder
    if options.qwen_use_fp8_weights:
        raise PreflightError(
            "qwen_use_fp8_weights=true needs vLLM: pip install 'beam-curate[vllm]' (Linux, a GPU), "
            "or leave the option out"
        )
    weights = locate_weights(name, model_weights_path=files, revision=revision, task="caption")
    trust = config.model_files.trust_remote_code
    folder = str(weights.path.resolve())
    check_model(folder, trust_remote_code=trust)
    found = find_entry(name, "caption")
    known_as = found.name if found else ""
    limit = config.captioning.captioning_max_output_tokens
    settings = TransformersSettings(
        model=name,
        path=folder,
        digest=weights_digest(weights.path),
        revision=revision,
        model_weights_path=files,
        max_tokens=limit if limit > 0 else None,
        sampling=sampling(options),
        batch_size=options.qwen_batch_size,
        device=options.captioning_device,
        reasons=known_as in _THINKING,
        own_resize=options.qwen_model_does_preprocess or known_as == "cosmos_r2",
        trust_remote_code=trust,
    )
    return EngineSpec("transformers", settings)


def sampling(options: LocalCaptionModels) -> Sampling:
    """Return how the next token is chosen."""
    return Sampling(
        temperature=options.vllm_sampling_temperature,
        top_p=options.vllm_sampling_top_p,
        top_k=options.vllm_sampling_top_k,
        min_p=options.vllm_sampling_min_p,
        repetition_penalty=options.vllm_sampling_repetition_penalty,
        presence_penalty=options.vllm_sampling_presence_penalty,
        frequency_penalty=options.vllm_sampling_frequency_penalty,
        min_tokens=options.vllm_sampling_min_tokens,
    )


@functools.cache
def check_model(folder: str, *, trust_remote_code: bool) -> None:
    """Check that a folder's model can caption, without loading its weights.

    Raises:
        PreflightError: A package is missing, the model is of another kind, or its processor
            cannot be made, with the ways on.
    """
    missing = [package for package in _PACKAGES if importlib.util.find_spec(package) is None]
    if missing:
        raise PreflightError(
            f"captions by a local model need the packages {', '.join(missing)}: "
            "pip install 'beam-curate[models]'"
        )
    from transformers import AutoConfig, AutoProcessor  # noqa: PLC0415 - an extra, and slow
    from transformers.models.auto.modeling_auto import (  # noqa: PLC0415
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
    )

    trust = {"trust_remote_code": trust_remote_code, "local_files_only": True}
    try:
        config = AutoConfig.from_pretrained(folder, **trust)
        own_code = "AutoModelForImageTextToText" in (getattr(config, "auto_map", None) or {})
        if config.model_type not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES and not own_code:
            raise PreflightError(
                f"{folder}: a model of type {config.model_type} cannot caption; name an image- or "
                "video-text model, such as Qwen/Qwen2.5-VL-7B-Instruct"
            )
        processor = AutoProcessor.from_pretrained(folder, **trust)
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise PreflightError(f"{folder}: {_reason(error, trust_remote_code)}") from error
    if not hasattr(processor, "apply_chat_template") or not processor.chat_template:
        raise PreflightError(
            f"{folder}: the model has no chat template, so it cannot be asked; name an instruct "
            "model, or add its chat_template.jinja"
        )


def _reason(error: Exception, trusted: bool) -> str:
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    if "trust_remote_code" in str(error) and not trusted:
        return (
            "the model is run by Python code that lies with its weights; read that code, and "
            "allow it with --trust_remote_code"
        )
    return f"transformers {_version()} cannot load it as a caption model ({text})"


def _version() -> str:
    import transformers  # noqa: PLC0415

    return str(transformers.__version__)


def check_device(config: SplitLike) -> None:
    """Check that there is a GPU where one is asked for; for runs on this machine.

    Raises:
        PreflightError: There is none.
    """
    local = config.local_captions
    captions = config.captioning.generate_captions
    if local.captioning_device != "cuda" or not captions:
        return
    if config.caption_model.captioning_algorithm not in ALGORITHMS:
        return
    if importlib.util.find_spec("torch") is not None:
        import torch  # noqa: PLC0415

        if torch.cuda.is_available():
            return
        why = f"torch {torch.__version__} finds none"
    else:
        why = "torch is not installed"
    raise PreflightError(
        f"captioning_device=cuda: there is no GPU that can be used ({why}); leave the option out, "
        "or install the driver and a torch that is built for CUDA"
    )
