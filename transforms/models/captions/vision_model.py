"""A vision-language model and its processor, loaded from a folder. Imports torch."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    GenerationConfig,
    StoppingCriteria,
    StoppingCriteriaList,
)
from transformers.utils.logging import disable_progress_bar

from transforms.errors import PreflightError
from transforms.models.captions.engine import CaptionRequest, FramesFile
from transforms.models.captions.next_token import next_token_rules, seed_of
from transforms.models.captions.settings import TransformersSettings
from transforms.models.captions.worker_folder import worker_folder

_DTYPES = {"cpu": torch.float32, "cuda": torch.bfloat16}
_DEFAULT_CONTEXT = 32_768


class ContextTooShortError(ValueError):
    """A window's frames and its prompt leave the model no room for an answer."""


@dataclass(frozen=True, slots=True)
class Generated:
    """What the model said to one request."""

    text: str
    prompt_tokens: int
    output_tokens: int
    """The token that ends an answer among them."""
    is_whole: bool
    """Whether the model ended by itself."""


class VisionModel:
    """Shows frames to a model and returns what it says.

    A model whose processor knows video sees a window as a video with its times; any other sees the
    frames as pictures, one after another.

    Raises:
        PreflightError: The folder is missing, or holds no such model.
    """

    def __init__(self, settings: TransformersSettings) -> None:
        self._settings = settings
        folder = worker_folder(settings)
        self.device = _device(settings)
        # Bars would be drawn over the run's own display.
        disable_progress_bar()
        trust = {"trust_remote_code": settings.trust_remote_code, "local_files_only": True}
        try:
            self._processor: Any = AutoProcessor.from_pretrained(folder, **trust)
            model: Any = AutoModelForImageTextToText.from_pretrained(
                folder, dtype=_DTYPES[self.device], **trust
            )
        except (OSError, ValueError, ImportError, KeyError) as error:
            what = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise PreflightError(
                f"{folder}: transformers cannot load it as an image- or video-text model ({what})"
            ) from error
        self._tokenizer: Any = getattr(self._processor, "tokenizer", self._processor)
        self._tokenizer.padding_side = "left"
        self._model = _moved(model, self.device, settings.model).eval()
        self._ends = _ends(self._model, self._tokenizer)

    def prepare(self, requests: Sequence[CaptionRequest]) -> dict[str, torch.Tensor]:
        """Return the model's inputs for requests that all carry frames, or none of which does.

        Raises:
            ValueError: The processor cannot take a window, or it is too long for the model.
        """
        seen = [request.frames for request in requests if request.frames is not None]
        shown: dict[str, Any] = {}
        if seen:
            arrays = [np.load(frames.path) for frames in seen]
            if self._takes_video:
                shown = self._as_videos(seen, arrays)
            else:
                shown = {"images": [list(frames) for frames in arrays]}
        counts = [len(array) for array in arrays] if seen else [0] * len(requests)
        texts = [
            self._chat(request.prompt, count)
            for request, count in zip(requests, counts, strict=True)
        ]
        begun = getattr(self._tokenizer, "bos_token", None)
        inputs = self._processor(
            text=texts,
            padding=len(texts) > 1,
            return_tensors="pt",
            # A template that begins the text itself must not have it begun twice.
            **({"add_special_tokens": False} if begun and texts[0].startswith(begun) else {}),
            **shown,
        )
        longest = inputs["input_ids"].shape[1]
        if longest >= self.context:
            raise ContextTooShortError(
                f"the frames and the prompt take {longest} tokens, the model takes "
                f"{self.context} with its answer; lower captioning_sampling_fps or "
                "captioning_window_size"
            )
        return dict(inputs)

    def generate(
        self,
        inputs: dict[str, torch.Tensor],
        requests: Sequence[CaptionRequest],
        must_stop: Callable[[], bool],
    ) -> list[Generated]:
        """Return what the model says to each request."""
        sampling = self._settings.sampling
        moved = {
            name: value.to(self.device, self._model.dtype if value.is_floating_point() else None)
            for name, value in inputs.items()
        }
        num_prompt = moved["input_ids"].shape[1]
        room = self.context - num_prompt
        most = min(self._settings.max_tokens or room, room)
        config = GenerationConfig(
            do_sample=False,
            max_new_tokens=most,
            min_new_tokens=min(sampling.min_tokens, most),
            repetition_penalty=1.0,
            eos_token_id=sorted(self._ends) or None,
            pad_token_id=_padding(self._tokenizer, self._ends),
        )
        with torch.inference_mode():
            tokens = self._model.generate(
                **moved,
                generation_config=config,
                logits_processor=next_token_rules(
                    sampling,
                    prompt_mask=moved["attention_mask"],
                    seeds=[seed_of(request.request_id) for request in requests],
                ),
                stopping_criteria=StoppingCriteriaList([_Stop(must_stop)]),
            )
        answers = tokens[:, num_prompt:].tolist()
        asked = moved["attention_mask"].sum(1).tolist()
        return [self._said(answer, count) for answer, count in zip(answers, asked, strict=True)]

    @property
    def context(self) -> int:
        """Most tokens of prompt and answer together."""
        config = self._model.config
        text = config.get_text_config() if hasattr(config, "get_text_config") else config
        return int(getattr(text, "max_position_embeddings", None) or _DEFAULT_CONTEXT)

    def close(self) -> None:
        """Give back the memory, the GPU's too."""
        del self._model, self._processor, self._tokenizer
        free_memory()

    @property
    def _takes_video(self) -> bool:
        return getattr(self._processor, "video_processor", None) is not None

    def _chat(self, prompt: str, num_frames: int) -> str:
        shown = [{"type": "video"}] if self._takes_video else [{"type": "image"}] * num_frames
        content = [*(shown if num_frames else []), {"type": "text", "text": prompt}]
        text = self._processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        return str(text)

    def _as_videos(self, seen: list[FramesFile], arrays: list[Any]) -> dict[str, Any]:
        video_processor = self._processor.video_processor
        known = getattr(getattr(video_processor, "valid_kwargs", None), "__annotations__", {})
        shown = {
            "videos": arrays,
            "video_metadata": [
                _metadata(frames, array) for frames, array in zip(seen, arrays, strict=True)
            ],
            "do_sample_frames": False,
            # Left open, it is warned about with every window.
            **({"cap_pixels_per_frame": True} if "cap_pixels_per_frame" in known else {}),
        }
        factor = getattr(video_processor, "patch_size", 0) * getattr(
            video_processor, "merge_size", 0
        )
        fits = factor and all(side % factor == 0 for array in arrays for side in array.shape[1:3])
        if fits and not self._settings.own_resize:
            shown["do_resize"] = False
        return shown

    def _said(self, tokens: list[int], num_prompt: int) -> Generated:
        end = next((place for place, token in enumerate(tokens) if token in self._ends), None)
        said = tokens if end is None else tokens[: end + 1]
        text = self._tokenizer.decode(said, skip_special_tokens=True).strip()
        return Generated(text, num_prompt, len(said), end is not None)


class _Stop(StoppingCriteria):
    def __init__(self, must_stop: Callable[[], bool]) -> None:
        self._must_stop = must_stop

    def __call__(self, input_ids: torch.LongTensor, scores: Any, **_: Any) -> torch.Tensor:
        return torch.full((len(input_ids),), self._must_stop(), device=input_ids.device)


def free_memory() -> None:
    """Give back what is not used any more, the GPU's memory too."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _device(settings: TransformersSettings) -> Literal["cpu", "cuda"]:
    if settings.device == "cpu":
        return "cpu"
    if torch.cuda.is_available():
        return "cuda"
    if settings.device == "cuda":
        raise PreflightError("captioning_device=cuda: this worker has no GPU that torch can use")
    return "cpu"


def _moved(model: Any, device: str, name: str) -> Any:
    """Return the model on its device.

    Raises:
        PreflightError: The GPU has no room for it.
    """
    try:
        return model.to(device)
    except torch.OutOfMemoryError as error:
        free, total = (number / 2**30 for number in torch.cuda.mem_get_info())
        raise PreflightError(
            f"the caption model {name} does not fit the GPU, which has {free:.1f} of {total:.1f} "
            "GiB left; use a smaller model, fewer worker processes on this GPU, or "
            "captioning_device=cpu"
        ) from error


def _metadata(frames: FramesFile, array: Any) -> dict[str, Any]:
    total = frames.numbers[-1] + 1
    return {
        "total_num_frames": total,
        "fps": frames.fps,
        "duration": total / frames.fps,
        "frames_indices": list(frames.numbers),
        "width": array.shape[2],
        "height": array.shape[1],
    }


def _ends(model: Any, tokenizer: Any) -> frozenset[int]:
    """Return the tokens that end an answer."""
    stated = getattr(model.generation_config, "eos_token_id", None)
    if stated is None:
        stated = tokenizer.eos_token_id
    if stated is None:
        return frozenset()
    return frozenset(stated if isinstance(stated, list) else [stated])


def _padding(tokenizer: Any, ends: frozenset[int]) -> int:
    padding = tokenizer.pad_token_id
    return int(padding) if padding is not None else min(ends, default=0)
