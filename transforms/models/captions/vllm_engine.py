"""Captions by vLLM in this worker: requests join its running batch as they come."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from transforms.errors import PreflightError
from transforms.models.captions import vllm_calls
from transforms.models.captions.chat_template import ChatTemplate
from transforms.models.captions.engine import CaptionRequest, EngineGoneError
from transforms.models.captions.thinking import final_answer
from transforms.models.captions.vllm_settings import VllmSettings
from transforms.models.captions.worker_folder import worker_folder
from transforms.records import CaptionAnswer, CaptionStatus

_ENVIRONMENT = {
    # A worker has threads, of gRPC among them: what is forked from it may hang.
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    "VLLM_NO_USAGE_STATS": "1",
}
"""Unless the user's environment says otherwise."""

_logger = logging.getLogger(__name__)


class VllmEngine:
    """Hands requests to vLLM's ``AsyncLLM``, whose event loop has a thread of its own.

    Frames are read and handed on when one of ``slots`` places is free, so that no more than these
    are in memory.

    Raises:
        PreflightError: vLLM cannot load the model.
    """

    def __init__(self, settings: VllmSettings) -> None:
        self.slots = settings.slots
        self._settings = settings
        folder = worker_folder(settings)
        for name, value in (*_ENVIRONMENT.items(), *settings.environment):
            if name in dict(settings.environment) or name not in os.environ:
                os.environ[name] = value
        trust = bool(settings.engine.get("trust_remote_code"))
        self._template = ChatTemplate(str(folder), trust_remote_code=trust)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="caption-vllm", daemon=True
        )
        self._thread.start()
        self._engine = self._started(folder)
        # A model that is held to JSON could not think aloud.
        self._guides = not settings.reasons
        self._places = asyncio.Semaphore(settings.slots)
        self._numbers = itertools.count()
        self._is_closed = False

    def submit(self, request: CaptionRequest) -> Future[CaptionAnswer]:
        """Begin a request.

        Raises:
            RuntimeError: The engine is closed.
        """
        if self._is_closed:
            raise RuntimeError("the caption engine is closed")
        return asyncio.run_coroutine_threadsafe(self._answer(request), self._loop)

    def close(self) -> None:
        """Cancel what is open, end vLLM's processes and the loop."""
        if self._is_closed:
            return
        self._is_closed = True
        asyncio.run_coroutine_threadsafe(self._cancel_all(), self._loop).result()
        vllm_calls.stop_engine(self._engine)
        self._end_loop()

    def _started(self, folder: Path) -> Any:
        began_at = time.monotonic()

        async def start() -> Any:
            # Here it finds the loop that all of its requests will run on.
            return vllm_calls.start_engine(self._settings, folder)

        try:
            engine = asyncio.run_coroutine_threadsafe(start(), self._loop).result()
        except (ValueError, RuntimeError, OSError, ImportError) as error:
            self._end_loop()
            what = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise PreflightError(
                f"{self._settings.model}: vLLM cannot load it ({what}); what it says above tells "
                "more. Too little GPU memory: a smaller model, a shorter context, or more GPUs"
            ) from error
        _logger.info(
            "caption model %s loaded by vLLM in %.1f s",
            self._settings.model,
            time.monotonic() - began_at,
        )
        return engine

    def _end_loop(self) -> None:
        # The threads that read frames.
        ending = self._loop.shutdown_default_executor()
        asyncio.run_coroutine_threadsafe(ending, self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _cancel_all(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, request: CaptionRequest) -> CaptionAnswer:
        async with self._places:
            try:
                # Reading and copying frames must not hold up the loop.
                prompt = await asyncio.to_thread(self._prompt, request)
                return self._judged(request, await self._output(prompt, request))
            except vllm_calls.death() as error:
                raise EngineGoneError(
                    f"{self._settings.model}: vLLM's process is gone ({error}); what it says above "
                    "tells why, often too little GPU memory. Give the same command again"
                ) from error
            except (*vllm_calls.refusals(), vllm_calls.passing_failure()) as error:
                return _failed(request, error)

    def _prompt(self, request: CaptionRequest) -> dict[str, Any]:
        text = self._template.chat(request.prompt, has_video=request.frames is not None)
        return vllm_calls.text_prompt(text, request.frames)

    async def _output(self, prompt: dict[str, Any], request: CaptionRequest) -> Any:
        """Return the output; where vLLM cannot hold its model to a schema, without that."""
        schema = request.json_schema if self._guides else None
        try:
            return await self._stubborn_output(prompt, request, schema)
        except vllm_calls.refusals() as error:
            others = vllm_calls.death(), vllm_calls.passing_failure()
            if schema is None or isinstance(error, others):
                raise
            output = await self._stubborn_output(prompt, request, None)
            # It was that: no later request tries again.
            self._guides = False
            _logger.warning("vLLM cannot guide its model by the JSON schema: %s", error)
            return output

    async def _stubborn_output(
        self, prompt: dict[str, Any], request: CaptionRequest, json_schema: str | None
    ) -> Any:
        params = vllm_calls.sampling_params(self._settings, json_schema)
        attempt = 0
        while True:
            attempt += 1
            try:
                # vLLM wants names that it has not seen; a window may be asked about again.
                name = f"{request.request_id}-{next(self._numbers)}"
                return await vllm_calls.final_output(self._engine, prompt, params, name)
            except vllm_calls.passing_failure():
                if attempt > self._settings.retries:
                    raise

    def _judged(self, request: CaptionRequest, output: Any) -> CaptionAnswer:
        if output is None or not output.outputs:
            message = f"{request.request_id}: vLLM ended the request without an answer"
            return CaptionAnswer("error", reason="exception", message=message)
        said = output.outputs[0]
        counts = len(output.prompt_token_ids or ()), len(said.token_ids)
        text = said.text.strip()
        if self._settings.reasons:
            text = final_answer(text)
        if not text:
            is_cut = said.finish_reason == "length"
            why = "it ended before there was an answer" if is_cut else "the caption is empty"
            message = f"{request.request_id}: {why}; raise captioning_max_output_tokens"
            return CaptionAnswer("error", "", "exception", message, *counts)
        status: CaptionStatus = "truncated" if said.finish_reason == "length" else "success"
        return CaptionAnswer(status, text, "", "", *counts)


def _failed(request: CaptionRequest, error: Exception) -> CaptionAnswer:
    cause = error.__cause__ or error
    what = (str(cause).strip() or type(cause).__name__).splitlines()[0]
    return CaptionAnswer(
        "error",
        reason="exception",
        message=f"{request.request_id}: {type(cause).__name__}: {what}",
    )
