"""Give every window of a kept clip a caption. Only graphs with captions import this: Beam's
inference imports torch."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import KeyedModelHandler, RunInference

from transforms.annotate.caption_quality import echoes_prompt
from transforms.annotate.caption_requests import Asked, caption_requests
from transforms.annotate.caption_settings import CaptionSettings
from transforms.annotate.collect_captions import CollectCaptions
from transforms.models.captions.chain.futures import answered, then
from transforms.models.captions.engine import CaptionEngine, CaptionRequest
from transforms.models.captions.tickets import Ticket, put
from transforms.models.exact_handler import ExactHandler
from transforms.records import CaptionAnswer, Clip
from transforms.run_context import RunContext

STAGE = "captions"
Requests = tuple[Asked, ...]
Tickets = tuple[Ticket, ...]


@dataclass
class CaptionClips(beam.PTransform):
    """Ask the engine about every window of each clip that is kept so far.

    Input: clips, in any order; those to be captioned have their files in scratch. Output: the same
    clips, one for one, in the order in which they finish; those that were asked about carry one
    caption per window, whose status says what became of it. The engine is never idle while clips
    come: requests are begun as clips come in, and up to twice its slots are open.
    """

    settings: CaptionSettings
    context: RunContext

    def expand(self, clips: beam.PCollection[Clip]) -> beam.PCollection[Clip]:
        """Attach the stage."""
        handler: Any = KeyedModelHandler(_SubmitCaptions(self.settings))
        return (
            clips
            | beam.Map(with_requests, self.settings, self.context.root).with_output_types(
                tuple[Clip, Requests | None]
            )
            | RunInference(handler)
            | CollectCaptions(2 * self.settings.slots, self.context)
        )


def with_requests(clip: Clip, settings: CaptionSettings, root: str) -> tuple[Clip, Requests | None]:
    """Return the clip and what to ask about it, None when nothing is."""
    if clip.outcome != "pending" or clip.file is None or STAGE in clip.done:
        return clip, None
    return clip, caption_requests(clip, settings, root) or None


class _SubmitCaptions(ExactHandler[Requests, Tickets, CaptionEngine]):
    """Begins requests and returns at once; the answers are collected by the next step."""

    def __init__(self, settings: CaptionSettings) -> None:
        # One clip at a time: a batch would hold clips back while the engine has free slots.
        super().__init__(batch_size=1, example_bytes=1024)
        self._settings = settings

    def load_model(self) -> CaptionEngine:
        """Load the engine, once per process."""
        return self._settings.load()

    def predict(self, examples: Sequence[Requests], model: CaptionEngine) -> list[Tickets]:
        """Return the tickets of each clip's windows."""
        return [tuple(put(_begun(asked, model)) for asked in windows) for windows in examples]


def _begun(asked: Asked, model: CaptionEngine) -> Future[CaptionAnswer]:
    if not isinstance(asked, CaptionRequest):
        return answered(asked)
    # What only the prompt tells about the answer is noted with it.
    return then(model.submit(asked), functools.partial(_judged, asked.prompt))


def _judged(prompt: str, answer: CaptionAnswer) -> CaptionAnswer:
    return dataclasses.replace(answer, echoes_prompt=echoes_prompt(answer.text, prompt))
