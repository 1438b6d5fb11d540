"""Captions as JSON: the schema is told, the answer is checked, a misfit is asked for again."""

from __future__ import annotations

import dataclasses
import functools
from concurrent.futures import Future

from transforms.models.captions.chain.futures import Answer, then
from transforms.models.captions.chain.json_answer import AnswerSchema
from transforms.models.captions.engine import CAPTIONED, CaptionEngine, CaptionRequest
from transforms.models.captions.settings import Structure
from transforms.records import CaptionAnswer

_LONGEST_QUOTE = 2000
"""Characters of a misfit that are shown to the model."""


class StructuredEngine:
    """Asks an engine for JSON that fits a schema."""

    def __init__(self, inner: CaptionEngine, structure: Structure) -> None:
        self.slots = inner.slots
        self._inner = inner
        self._retries = structure.retries
        self._schema = AnswerSchema(structure.schema)

    def submit(self, request: CaptionRequest) -> Future[CaptionAnswer]:
        """Begin a request; its answer has ``json_text``, or is an error."""
        told = dataclasses.replace(
            request,
            prompt=f"{request.prompt}\n\n{self._instruction()}",
            json_schema=self._schema.text,
        )
        return self._ask(told, told.prompt, misfits=())

    def close(self) -> None:
        """Close the engine."""
        self._inner.close()

    def _ask(self, told: CaptionRequest, prompt: str, misfits: tuple[CaptionAnswer, ...]) -> Answer:
        request = dataclasses.replace(told, prompt=prompt)
        return then(self._inner.submit(request), functools.partial(self._checked, told, misfits))

    def _checked(
        self, told: CaptionRequest, misfits: tuple[CaptionAnswer, ...], answer: CaptionAnswer
    ) -> CaptionAnswer | Answer:
        if answer.status not in CAPTIONED:
            return _with_tokens(answer, misfits)
        text, problem = self._schema.fitting(answer.text)
        if not problem:
            # Cut off or not, it is whole.
            fits = dataclasses.replace(answer, status="success", text=text, json_text=text)
            return _with_tokens(fits, misfits)
        if len(misfits) < self._retries:
            again = (
                f"{told.prompt}\n\nAn earlier answer does not fit ({problem}):\n"
                f"{answer.text[:_LONGEST_QUOTE]}\n\nGive an answer that fits."
            )
            return self._ask(told, again, (*misfits, answer))
        failed = CaptionAnswer(
            "error",
            reason="exception",
            message=f"{told.request_id}: after {len(misfits) + 1} answers none fits the schema of "
            f"captioning_json_schema: {problem}",
        )
        return _with_tokens(failed, (*misfits, answer))

    def _instruction(self) -> str:
        return (
            "Answer with one JSON value that fits this JSON Schema, and with nothing else:\n"
            f"{self._schema.text}"
        )


def _with_tokens(answer: CaptionAnswer, more: tuple[CaptionAnswer, ...]) -> CaptionAnswer:
    return dataclasses.replace(
        answer,
        prompt_tokens=answer.prompt_tokens + sum(one.prompt_tokens for one in more),
        output_tokens=answer.output_tokens + sum(one.output_tokens for one in more),
    )
