"""Captions rewritten by a text model that sees the caption alone (contract §1.14)."""

from __future__ import annotations

import dataclasses
import functools
from concurrent.futures import Future

from transforms.annotate.caption_prompts import filled
from transforms.models.captions.chain.futures import Answer, then
from transforms.models.captions.engine import CAPTIONED, CaptionEngine, CaptionRequest
from transforms.records import CaptionAnswer, Enhancement


class EnhancingEngine:
    """Gives every caption of one engine to another one."""

    def __init__(self, captions: CaptionEngine, texts: CaptionEngine, prompt: str) -> None:
        """Wrap two engines.

        Args:
            captions: Makes the captions.
            texts: Rewrites them; answers requests without video and frames.
            prompt: With placeholders, one of them ``{caption}``.
        """
        # Both are to be busy at the same time.
        self.slots = captions.slots + texts.slots
        self._captions = captions
        self._texts = texts
        self._prompt = prompt

    def submit(self, request: CaptionRequest) -> Future[CaptionAnswer]:
        """Begin a request; a caption that cannot be rewritten stays as it is."""
        caption = self._captions.submit(request)
        return then(caption, functools.partial(self._enhanced, request))

    def close(self) -> None:
        """Close both engines."""
        self._captions.close()
        self._texts.close()

    def _enhanced(self, request: CaptionRequest, caption: CaptionAnswer) -> CaptionAnswer | Answer:
        if caption.status not in CAPTIONED:
            return caption
        prompt = filled(self._prompt, {**request.values, "caption": caption.text})
        asked = CaptionRequest(request.request_id, prompt)
        return then(self._texts.submit(asked), functools.partial(_with_enhancement, caption))


def _with_enhancement(caption: CaptionAnswer, rewritten: CaptionAnswer) -> CaptionAnswer:
    # What is cut off is worse than what was there.
    whole = rewritten.status == "success"
    text = rewritten.text.rpartition("</think>")[2].strip() if whole else ""
    problem = rewritten.message or f"the rewritten caption is {rewritten.status}"
    if whole:
        problem = "" if text else "the rewritten caption is empty"
    enhancement = Enhancement(text, problem, rewritten.prompt_tokens, rewritten.output_tokens)
    return dataclasses.replace(caption, enhancement=enhancement)
