"""Give every window of a kept clip a caption. Only graphs with captions import this: Beam's
inference imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import KeyedModelHandler, RunInference

from transforms.annotate.caption_requests import caption_requests
from transforms.annotate.caption_settings import CaptionSettings, EngineSpec
from transforms.annotate.collect_captions import CollectCaptions
from transforms.errors import MediaError
from transforms.models.captions.engine import CaptionEngine, CaptionRequest
from transforms.models.captions.tickets import Ticket, put
from transforms.models.exact_handler import ExactHandler
from transforms.records import Clip, Failure
from transforms.run_context import RunContext

STAGE = "captions"
Requests = tuple[CaptionRequest, ...]
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
        handler: Any = KeyedModelHandler(_SubmitCaptions(self.settings.engine))
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
    try:
        requests = caption_requests(clip, settings.prompt, root)
    except MediaError as error:
        return clip.failed(Failure("look", error.reason, error.message)), None
    return clip, requests or None


class _SubmitCaptions(ExactHandler[Requests, Tickets, CaptionEngine]):
    """Begins requests and returns at once; the answers are collected by the next step."""

    def __init__(self, engine: EngineSpec) -> None:
        # One clip at a time: a batch would hold clips back while the engine has free slots.
        super().__init__(batch_size=1, example_bytes=1024)
        self._engine = engine

    def load_model(self) -> CaptionEngine:
        """Load the engine, once per process."""
        return self._engine.load()

    def predict(self, examples: Sequence[Requests], model: CaptionEngine) -> list[Tickets]:
        """Return the tickets of each clip's windows."""
        return [tuple(put(model.submit(request)) for request in requests) for requests in examples]
