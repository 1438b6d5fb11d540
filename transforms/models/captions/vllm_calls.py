"""All that is used of vLLM and how: nothing else in the project imports it.

``tests/data/vllm_signatures.json`` holds these classes and their parameters as the oldest and the
newest version that we know have them.
"""

from __future__ import annotations

import dataclasses
import importlib
import logging
from pathlib import Path
from typing import Any

import numpy as np

from transforms.models.captions.engine import FramesFile
from transforms.models.captions.vllm_settings import VllmSettings

_logger = logging.getLogger(__name__)


def start_engine(settings: VllmSettings, folder: Path) -> Any:
    """Return a running ``AsyncLLM``; call it where the event loop runs that will use it.

    Settings that the installed version does not know are left out, with a warning.

    Raises:
        ValueError, RuntimeError, OSError: vLLM cannot load the model.
    """
    from vllm.engine.arg_utils import AsyncEngineArgs  # noqa: PLC0415 - an extra
    from vllm.v1.engine.async_llm import AsyncLLM  # noqa: PLC0415

    known = {field.name for field in dataclasses.fields(AsyncEngineArgs)}
    wanted = settings.engine
    unknown = sorted(set(wanted) - known)
    if unknown:
        _logger.warning("this version of vLLM has no %s; left out", ", ".join(unknown))
    arguments = {name: value for name, value in wanted.items() if name in known}
    return AsyncLLM.from_engine_args(AsyncEngineArgs(model=str(folder), **arguments))


def sampling_params(settings: VllmSettings, json_schema: str | None = None) -> Any:
    """Return the ``SamplingParams`` of a request.

    Args:
        settings: Of all requests.
        json_schema: JSON Schema, as JSON, that the answer is made to fit.
    """
    from vllm.sampling_params import (  # noqa: PLC0415
        RequestOutputKind,
        SamplingParams,
        StructuredOutputsParams,
    )

    guided = StructuredOutputsParams(json=json_schema) if json_schema is not None else None
    sampling = dataclasses.asdict(settings.sampling)
    if settings.max_tokens is not None:
        # vLLM refuses a shortest answer that is longer than the longest.
        sampling["min_tokens"] = min(sampling["min_tokens"], settings.max_tokens)
    return SamplingParams(
        max_tokens=settings.max_tokens,
        # One output when it is done, instead of one per token.
        output_kind=RequestOutputKind.FINAL_ONLY,
        structured_outputs=guided,
        **sampling,
    )


def text_prompt(text: str, frames: FramesFile | None) -> dict[str, Any]:
    """Return vLLM's ``TextPrompt``: the chat and, unless only text is asked, the window."""
    if frames is None:
        return {"prompt": text}
    array = np.load(frames.path)
    total = frames.numbers[-1] + 1
    metadata = {
        "total_num_frames": total,
        "fps": frames.fps,
        "duration": total / frames.fps,
        "frames_indices": list(frames.numbers),
        "video_backend": "opencv",
        # They are sampled: the processor must take all of them.
        "do_sample_frames": False,
    }
    return {"prompt": text, "multi_modal_data": {"video": [(array, metadata)]}}


async def final_output(engine: Any, prompt: dict[str, Any], params: Any, request_id: str) -> Any:
    """Return the finished ``RequestOutput`` of a request; None: there was none.

    Cancelling it makes vLLM forget the request.
    """
    last = None
    async for output in engine.generate(prompt, params, request_id):
        last = output
    return last


def stop_engine(engine: Any) -> None:
    """End vLLM's processes, which frees the GPU."""
    engine.shutdown()


def death() -> type[Exception]:
    """Return the error of requests to an engine whose process is gone."""
    from vllm.v1.engine.exceptions import EngineDeadError  # noqa: PLC0415

    return EngineDeadError


def passing_failure() -> type[Exception]:
    """Return the error of a request that failed for no fault of its own."""
    from vllm.v1.engine.exceptions import EngineGenerateError  # noqa: PLC0415

    return EngineGenerateError


def refusals() -> tuple[type[Exception], ...]:
    """Return the errors of requests that vLLM will never take, such as too long a prompt."""
    try:
        module = importlib.import_module("vllm.exceptions")
    except ModuleNotFoundError:
        # Older versions know no class of their own.
        return (ValueError,)
    return (ValueError, module.VLLMError)


def num_devices() -> int | None:
    """Return how many GPUs vLLM sees; None: this is its build for processors.

    Looks at the driver only: no memory of a GPU is taken.
    """
    from vllm.platforms import current_platform  # noqa: PLC0415

    if current_platform.is_cpu():
        return None
    if current_platform.is_unspecified():
        return 0
    return int(current_platform.device_count())
