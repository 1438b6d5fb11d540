"""Text by a language model in the worker's own process: captions are rewritten by it."""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from transformers import StoppingCriteriaList

from transforms.errors import PreflightError
from transforms.models.captions.engine import CaptionRequest, EngineGoneError
from transforms.models.captions.settings import TextModelSettings
from transforms.models.captions.worker_folder import worker_folder
from transforms.models.promised import Promised
from transforms.records import CaptionAnswer

_OWN_CODE_ONLY: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
"""Left out, transformers asks at the terminal whether a model's own code may run."""
_MARK = re.compile(r"<\|[^|<>]*\|>")
_CHANNEL = "<|channel|>"
_FINAL = "<|channel|>final<|message|>"


@dataclass(frozen=True, slots=True)
class _Asked:
    request: CaptionRequest
    answer: Future[CaptionAnswer]


class TextEngine:
    """Answers prompts in batches: whatever waits when the model is free, up to ``slots``."""

    def __init__(self, settings: TextModelSettings) -> None:
        """Load the model from its folder; nothing is downloaded.

        Raises:
            PreflightError: It is not on this worker, or there is no text model in the folder.
        """
        self.slots = settings.slots
        self._settings = settings
        folder = worker_folder(settings, task="text")
        gpu_or_cpu = "cuda" if torch.cuda.is_available() else "cpu"
        self._device = gpu_or_cpu if settings.device == "auto" else settings.device
        try:
            self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(
                folder, padding_side="left", **_OWN_CODE_ONLY
            )
            model = transformers.AutoModelForCausalLM.from_pretrained(
                folder, dtype="auto", **_OWN_CODE_ONLY
            )
        except (OSError, ValueError) as error:
            raise PreflightError(
                f"{folder}: no text model can be loaded from it ({error}); it must hold "
                "the files of a hub repository such as Qwen/Qwen2.5-14B-Instruct"
            ) from error
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._model: Any = model.to(self._device).eval()
        self._waiting: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="text", daemon=True)
        self._thread.start()

    def submit(self, request: CaptionRequest) -> Future[CaptionAnswer]:
        """Begin a request.

        Raises:
            RuntimeError: The engine is closed.
        """
        asked = _Asked(request, Future())
        with self._lock:
            if self._closed:
                raise RuntimeError("the text engine is closed")
            self._waiting.put(asked)
        return asked.answer

    def close(self) -> None:
        """End the thread and free the model; what waits is cancelled."""
        with self._lock:
            self._closed = True
            # The last that comes: what stands before it is cancelled.
            self._waiting.put(None)
        self._thread.join()
        self._model = None
        if self._device == "cuda":
            torch.cuda.empty_cache()

    def _work(self) -> None:
        is_last = False
        while not is_last:
            waiting = [self._waiting.get()]
            while None not in waiting and len(waiting) < self.slots and not self._waiting.empty():
                waiting.append(self._waiting.get())
            is_last = None in waiting
            batch = [asked for asked in waiting if asked is not None]
            if self._closed:
                for asked in batch:
                    asked.answer.cancel()
                continue
            batch = [asked for asked in batch if asked.answer.set_running_or_notify_cancel()]
            with Promised([asked.answer for asked in batch]):
                self._answer(batch)

    def _answer(self, batch: Sequence[_Asked]) -> None:
        if not batch:
            return
        try:
            answers = self._generate([asked.request.prompt for asked in batch])
        except (RuntimeError, ValueError, IndexError) as error:
            _raise_if_gpu_failed(error)
            if len(batch) == 1:
                batch[0].answer.set_result(_failed(batch[0].request, error))
                return
            # One that is too long must not cost the others theirs.
            middle = len(batch) // 2
            self._answer(batch[:middle])
            self._answer(batch[middle:])
            return
        if self._closed:
            # They were broken off.
            answers = [CaptionAnswer("error", reason="exception", message="the run ends")] * len(
                batch
            )
        for asked, answer in zip(batch, answers, strict=True):
            asked.answer.set_result(answer)

    def _generate(self, prompts: Sequence[str]) -> list[CaptionAnswer]:
        texts = [self._chat(prompt) for prompt in prompts]
        inputs = self._tokenizer(
            texts, return_tensors="pt", padding=True, add_special_tokens=False
        ).to(self._device)
        width = inputs["input_ids"].shape[1]
        room = self._room(width)
        with torch.inference_mode():
            # Without sampling: the same captions give the same texts.
            output = self._model.generate(
                **inputs,
                max_new_tokens=room,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                repetition_penalty=1.05,
                pad_token_id=self._tokenizer.pad_token_id,
                stopping_criteria=StoppingCriteriaList([self._stop]),
            )
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        return [
            self._read(row[width:].tolist(), prompt_tokens=int(length))
            for row, length in zip(output, lengths, strict=True)
        ]

    def _stop(self, tokens: torch.LongTensor, *_: Any, **__: Any) -> torch.Tensor:
        """Return whether each text ends here whatever it says: nobody waits for it any more."""
        return torch.full((len(tokens),), self._closed, device=tokens.device)

    def _chat(self, prompt: str) -> str:
        if self._tokenizer.chat_template is None:
            return prompt
        messages = [{"role": "user", "content": prompt}]
        return str(
            self._tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True
            )
        )

    def _room(self, num_tokens: int) -> int:
        """Return how many tokens may follow.

        Raises:
            ValueError: The prompt fills the model's context.
        """
        context = getattr(self._model.config, "max_position_embeddings", None)
        wanted = self._settings.max_tokens
        room = int(context) - num_tokens if context else wanted or 4096
        if room < 1:
            raise ValueError(f"the prompt has {num_tokens} tokens, the model takes {context}")
        return min(room, wanted) if wanted else room

    def _read(self, tokens: list[int], *, prompt_tokens: int) -> CaptionAnswer:
        ends = self._model.generation_config.eos_token_id
        ends = {ends} if isinstance(ends, int) else set(ends or [self._tokenizer.eos_token_id])
        length = next((n for n, token in enumerate(tokens) if token in ends), None)
        whole = length is not None
        said = tokens if length is None else tokens[:length]
        text = final_text(self._tokenizer.decode(said, skip_special_tokens=False))
        tokens_used = (prompt_tokens, len(said))
        if not text:
            message = "the model wrote nothing" if whole else "the model came to no answer"
            return CaptionAnswer("error", "", "exception", message, *tokens_used)
        return CaptionAnswer("success" if whole else "truncated", text, "", "", *tokens_used)


def final_text(raw: str) -> str:
    """Return what a model says to its reader, without its thoughts and marks.

    Example:
        >>> final_text("<|channel|>analysis<|message|>Hm.<|end|><|channel|>final<|message|>A dog.")
        'A dog.'
        >>> final_text("<think>Hm.</think> A dog.<|im_end|>")
        'A dog.'
        >>> final_text("<|channel|>analysis<|message|>Hm, what would")
        ''
    """
    if _CHANNEL in raw and _FINAL not in raw:
        return ""
    said = raw.rpartition(_FINAL)[2]
    if "<think>" in said and "</think>" not in said:
        return ""
    return _MARK.sub("", said.rpartition("</think>")[2]).strip()


def _raise_if_gpu_failed(error: Exception) -> None:
    """Raise when every further text would fail, too.

    Raises:
        EngineGoneError: The GPU is of no use to this process any more.
    """
    is_memory = isinstance(error, torch.OutOfMemoryError)
    if isinstance(error, RuntimeError) and not is_memory and "CUDA" in str(error):
        raise EngineGoneError(f"the GPU failed: {str(error).splitlines()[0]}; run again") from error


def _failed(request: CaptionRequest, error: Exception) -> CaptionAnswer:
    first_line = str(error).partition("\n")[0]
    message = f"{request.request_id}: {type(error).__name__}: {first_line}"
    return CaptionAnswer("error", reason="exception", message=message)
