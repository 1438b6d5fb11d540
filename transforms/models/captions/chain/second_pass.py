"""A second look: the engine gets the same frames again, and its own first caption to better."""

from __future__ import annotations

import dataclasses
import functools
from concurrent.futures import Future

from transforms.annotate.caption_prompts import filled
from transforms.models.captions.chain.futures import Answer, then
from transforms.models.captions.engine import CAPTIONED, CaptionEngine, CaptionRequest
from transforms.records import CaptionAnswer


class SecondPassEngine:
    """Asks an engine twice (contract §1.14, "stage 2")."""

    def __init__(self, inner: CaptionEngine, prompt: str) -> None:
        """Wrap an engine.

        Args:
            inner: Asked both times.
            prompt: Of the second request; with placeholders, one of them ``{caption}``.
        """
        self.slots = inner.slots
        self._inner = inner
        self._prompt = prompt

    def submit(self, request: CaptionRequest) -> Future[CaptionAnswer]:
        """Begin a request; a second pass that fails leaves the first caption as it is."""
        first = self._inner.submit(request)
        return then(first, functools.partial(self._refined, request))

    def close(self) -> None:
        """Close the engine."""
        self._inner.close()

    def _refined(self, request: CaptionRequest, first: CaptionAnswer) -> CaptionAnswer | Answer:
        if first.status not in CAPTIONED:
            return first
        prompt = filled(self._prompt, {**request.values, "caption": first.text})
        second = self._inner.submit(dataclasses.replace(request, prompt=prompt))
        return then(second, functools.partial(_better, first))


def _better(first: CaptionAnswer, second: CaptionAnswer) -> CaptionAnswer:
    """Return the second answer if it is whole, or cut off as the first one is; else the first."""
    usable = second.status == "success" or (first.status == second.status == "truncated")
    problem = "" if usable else second.message or f"the second caption is {second.status}"
    return dataclasses.replace(
        second if usable else first,
        prompt_tokens=first.prompt_tokens + second.prompt_tokens,
        output_tokens=first.output_tokens + second.output_tokens,
        second_pass_message=problem,
    )
