"""Captions by a model in this process, through transformers: on the processor or one GPU."""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import torch

from transforms.media.slots import children_here, num_slots
from transforms.models.captions.engine import CaptionRequest, EngineGoneError
from transforms.models.captions.settings import TransformersSettings
from transforms.models.captions.thinking import final_answer
from transforms.models.captions.vision_model import Generated, VisionModel, free_memory
from transforms.records import CaptionAnswer

_LINGER_SECONDS = 0.05
"""How long a batch that is not full waits for one more request."""
_Asked = tuple[CaptionRequest, "Future[CaptionAnswer]"]
_Prepared = tuple[list[_Asked], "dict[str, torch.Tensor]"]
_logger = logging.getLogger(__name__)


class TransformersEngine:
    """Answers up to ``batch_size`` windows at once; makes the next ones ready meanwhile.

    A request that the model cannot take, or for which memory does not suffice, fails alone: its
    batch is then answered one by one.

    Raises:
        PreflightError: The model cannot be loaded.
    """

    def __init__(self, settings: TransformersSettings) -> None:
        self.slots = settings.slots
        self._settings = settings
        started = time.monotonic()
        self._model = VisionModel(settings)
        _logger.info(
            "caption model %s loaded in %.1f s on %s",
            settings.model,
            time.monotonic() - started,
            self._model.device,
        )
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._waiting: queue.Queue[_Asked | None] = queue.Queue()
        # One batch made ready, no more: its frames are in memory.
        self._ready: queue.Queue[_Prepared | None] = queue.Queue(maxsize=1)
        self._threads = [
            threading.Thread(target=target, name=f"caption-{name}", daemon=True)
            for name, target in (("frames", self._prepare_all), ("model", self._answer_all))
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, request: CaptionRequest) -> Future[CaptionAnswer]:
        """Begin a request.

        Raises:
            RuntimeError: The engine is closed.
        """
        future: Future[CaptionAnswer] = Future()
        with self._lock:
            if self._closed.is_set():
                raise RuntimeError("the caption engine is closed")
            self._waiting.put((request, future))
        return future

    def close(self) -> None:
        """End the threads and free the model; waiting requests are given up."""
        with self._lock:
            if self._closed.is_set():
                return
            self._closed.set()
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()
        self._model.close()

    def _prepare_all(self) -> None:
        while batch := self._next_batch():
            # Text alone is prepared apart: processors want pictures for all texts or for none.
            for part in (
                [asked for asked in batch if asked[0].frames is not None],
                [asked for asked in batch if asked[0].frames is None],
            ):
                if part:
                    self._prepare(part)
        self._ready.put(None)

    def _next_batch(self) -> list[_Asked]:
        """Return what waits, at most a batch; nothing when the engine is closed."""
        batch: list[_Asked] = []
        timeout: float | None = None
        while len(batch) < self._settings.batch_size:
            try:
                asked = self._waiting.get(timeout=timeout)
            except queue.Empty:
                break
            if asked is None or self._closed.is_set():
                _give_up([*batch, *([] if asked is None else [asked]), *_drained(self._waiting)])
                return []
            if asked[1].set_running_or_notify_cancel():
                batch.append(asked)
            timeout = _LINGER_SECONDS
        return batch or self._next_batch()

    def _prepare(self, batch: list[_Asked]) -> None:
        try:
            self._ready.put((batch, self._model.prepare([request for request, _ in batch])))
        except BaseException as error:  # noqa: BLE001 - whoever waits for an answer must learn of it
            if not _is_about_requests(error):
                _end(batch, error)
            elif len(batch) == 1:
                batch[0][1].set_result(_failed(batch[0][0], error))
            else:
                for asked in batch:
                    self._prepare([asked])

    def _answer_all(self) -> None:
        _use_cores()
        while (prepared := self._ready.get()) is not None:
            batch, inputs = prepared
            if self._closed.is_set():
                _give_up(batch)
            else:
                self._answer(batch, inputs)

    def _answer(self, batch: list[_Asked], inputs: dict[str, torch.Tensor]) -> None:
        requests = [request for request, _ in batch]
        try:
            said = self._model.generate(inputs, requests, self._closed.is_set)
        except BaseException as error:  # noqa: BLE001 - as above
            if _is_about_requests(error):
                self._answer_one_by_one(batch, error)
            else:
                _end(batch, error)
        else:
            for (request, future), answer in zip(batch, said, strict=True):
                future.set_result(self._judged(request, answer))

    def _answer_one_by_one(self, batch: list[_Asked], error: BaseException) -> None:
        if len(batch) == 1:
            batch[0][1].set_result(_failed(batch[0][0], error))
            return
        _logger.warning("%d windows at once were too much: %s", len(batch), error)
        for asked in batch:
            free_memory()
            try:
                inputs = self._model.prepare([asked[0]])
            except BaseException as unfit:  # noqa: BLE001 - as above
                if _is_about_requests(unfit):
                    asked[1].set_result(_failed(asked[0], unfit))
                else:
                    _end([asked], unfit)
            else:
                self._answer([asked], inputs)

    def _judged(self, request: CaptionRequest, said: Generated) -> CaptionAnswer:
        counts = said.prompt_tokens, said.output_tokens
        if self._closed.is_set() and not said.is_whole:
            return CaptionAnswer("error", "", "exception", "the run ends", *counts)
        text = final_answer(said.text) if self._settings.reasons else said.text
        if not text:
            why = "the caption is empty" if said.is_whole else "it ended before there was an answer"
            message = f"{request.request_id}: {why}; raise captioning_max_output_tokens"
            return CaptionAnswer("error", "", "exception", message, *counts)
        return CaptionAnswer("success" if said.is_whole else "truncated", text, "", "", *counts)


def _use_cores() -> None:
    """Let torch use a worker's share of the cores in this thread; others may need just one."""
    if "OMP_NUM_THREADS" in os.environ:
        return
    others = torch.get_num_threads()
    torch.set_num_threads(children_here(num_slots()))
    # The number is each thread's own, but those that come later begin with the last one set.
    reset = threading.Thread(target=torch.set_num_threads, args=(others,))
    reset.start()
    reset.join()


def _is_about_requests(error: BaseException) -> bool:
    """Return whether one of the requests is to blame, or there was too little memory for all."""
    if isinstance(error, (torch.OutOfMemoryError, ValueError, OSError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def _end(batch: Sequence[_Asked], error: BaseException) -> None:
    if isinstance(error, RuntimeError) and "CUDA" in str(error):
        error = EngineGoneError(f"the GPU failed: {str(error).splitlines()[0]}; run again")
    for _, future in batch:
        future.set_exception(error)


def _failed(request: CaptionRequest, error: BaseException) -> CaptionAnswer:
    what = (str(error).strip() or type(error).__name__).splitlines()[0]
    message = f"{request.request_id}: {type(error).__name__}: {what}"
    return CaptionAnswer("error", reason="exception", message=message)


def _give_up(batch: Sequence[_Asked]) -> None:
    for _, future in batch:
        if future.running() or future.set_running_or_notify_cancel():
            future.set_result(CaptionAnswer("error", reason="exception", message="the run ends"))


def _drained(waiting: queue.Queue[Any]) -> list[_Asked]:
    found = []
    while not waiting.empty():
        asked = waiting.get()
        if asked is not None:
            found.append(asked)
    return found
