"""The engine: answers with a digest of the frames, or misbehaves as ``misbehave`` says."""

import asyncio
import hashlib
import types
from typing import ClassVar

from vllm.exceptions import VLLMValidationError
from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError


def obey(request_id: str) -> str | None:
    """Return that a request is answered."""
    return None


class AsyncLLM:
    """Stands for the engine and its processes."""

    misbehave = staticmethod(obey)
    """Name of a request to ``reject``, ``fail``, ``die``, ``hang``, ``nothing``, ``empty``,
    ``length``, ``think``, ``slow``, to answer ``unguided`` only, or None."""
    living: ClassVar[list] = []
    """Engines that were not shut down."""

    def __init__(self, engine_args):
        self.loop = asyncio.get_running_loop()
        self.engine_args = engine_args
        self.requests = []
        self.aborted = []
        self.most_at_once = 0
        self._open = 0
        self._is_dead = False
        AsyncLLM.living.append(self)

    @classmethod
    def from_engine_args(
        cls, engine_args, start_engine_loop=True, usage_context=None, stat_loggers=None
    ):
        if "broken" in str(engine_args.model):
            raise ValueError("No available memory for the cache blocks.\nmore")
        return cls(engine_args)

    async def generate(self, prompt, sampling_params, request_id, *, prompt_text=None):
        assert asyncio.get_running_loop() is self.loop
        assert request_id not in [name for name, *_ in self.requests], "the name was used before"
        self.requests.append((request_id, prompt, sampling_params))
        self._open += 1
        self.most_at_once = max(self.most_at_once, self._open)
        try:
            how = AsyncLLM.misbehave(request_id)
            await asyncio.sleep(60 if how == "hang" else 0.05 if how == "slow" else 0.001)
            if how == "unguided" and sampling_params.structured_outputs is not None:
                raise VLLMValidationError("The grammar cannot be compiled.")
            self._raise(how)
            if how != "nothing":
                yield _output(prompt, how)
        except asyncio.CancelledError:
            self.aborted.append(request_id)
            raise
        finally:
            self._open -= 1

    def shutdown(self, timeout=None):
        AsyncLLM.living.remove(self)

    def _raise(self, how):
        self._is_dead |= how == "die"
        if self._is_dead:
            raise EngineDeadError("EngineCore encountered an issue.")
        if how == "reject":
            raise VLLMValidationError("The prompt (length 40000) is too long\nfor the model.")
        if how == "fail":
            raise EngineGenerateError from RuntimeError("by chance")


def _output(prompt, how):
    text = f"text {prompt['prompt']}"
    if "multi_modal_data" in prompt:
        [(frames, metadata)] = prompt["multi_modal_data"]["video"]
        assert metadata["frames_indices"]
        assert not metadata["do_sample_frames"]
        text = f"seen {hashlib.sha256(frames.tobytes()).hexdigest()}"
    if how == "think":
        text = f"<think>A dog?</think><answer>{text}</answer>"
    if how == "empty":
        text = " "
    reason = "length" if how == "length" else "stop"
    said = types.SimpleNamespace(text=text, token_ids=[1] * 7, finish_reason=reason)
    return types.SimpleNamespace(outputs=[said], prompt_token_ids=[1] * 100, finished=True)
