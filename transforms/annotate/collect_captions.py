"""Wait for the captions of clips without ever letting the engine run dry."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from transforms.lease import Heartbeat
from transforms.models.captions import shared_engine
from transforms.models.captions.engine import CAPTIONED
from transforms.models.captions.tickets import Ticket, take
from transforms.models.exact_handler import ModelError
from transforms.progress import count
from transforms.records import CaptionAnswer, Clip, ClipFile, WindowCaption
from transforms.run_context import RunContext

Answers = tuple["Future[CaptionAnswer]", ...]


@dataclass
class CollectCaptions(beam.PTransform):
    """Give clips the answers to their requests.

    Input: pairs of a clip and the tickets of its windows, None for clips that were not asked
    about. Output: the clips, one for one; each as soon as all of its answers are there. Holds up to
    ``max_open`` open requests before it waits.
    """

    max_open: int
    context: RunContext

    def expand(self, asked: beam.PCollection[tuple[Clip, Any]]) -> beam.PCollection[Clip]:
        """Attach the step."""
        step = beam.ParDo(_CollectCaptions(self.max_open, self.context))
        return asked | step.with_output_types(Clip)


class _CollectCaptions(beam.DoFn):
    def __init__(self, max_open: int, context: RunContext) -> None:
        self._max_open = max_open
        self._context = context
        self._waiting: list[tuple[Clip, Answers]] = []
        self._is_user = False
        self._heartbeat = Heartbeat(context.lease_uri, context.run_id)

    def setup(self) -> None:
        shared_engine.use()
        self._is_user = True

    def start_bundle(self) -> None:
        # Clips of a bundle that ended in an error come again, and are asked about anew.
        self._give_up()
        self._heartbeat.start()

    def process(self, asked: tuple[Clip, tuple[Ticket, ...] | ModelError | None]) -> Iterator[Clip]:
        clip, tickets = asked
        if tickets is None:
            yield clip
        elif isinstance(tickets, ModelError):
            raise RuntimeError(f"captions of {clip.clip_id} could not be asked: {tickets.message}")
        else:
            self._waiting.append((clip, tuple(take(ticket) for ticket in tickets)))
        yield from self._finished()
        while len(open_requests := self._open()) > self._max_open:
            wait(open_requests, return_when=FIRST_COMPLETED)
            yield from self._finished()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        while self._waiting:
            wait(self._open(), return_when=FIRST_COMPLETED)
            for clip in self._finished():
                yield WindowedValue(clip, MIN_TIMESTAMP, (GlobalWindow(),))
        self._heartbeat.stop()

    def teardown(self) -> None:
        # Called also after an exception of a later step, which skips finish_bundle.
        self._heartbeat.stop()
        self._give_up()
        if self._is_user:
            self._is_user = False
            shared_engine.release()

    def _give_up(self) -> None:
        for _, answers in self._waiting:
            for answer in answers:
                answer.cancel()
        self._waiting = []

    def _open(self) -> list[Future[CaptionAnswer]]:
        return [answer for _, answers in self._waiting for answer in answers if not answer.done()]

    def _finished(self) -> Iterator[Clip]:
        still_waiting = []
        for clip, answers in self._waiting:
            if all(answer.done() for answer in answers):
                yield self._captioned(clip, [answer.result() for answer in answers])
            else:
                still_waiting.append((clip, answers))
        self._waiting = still_waiting

    def _captioned(self, clip: Clip, answers: list[CaptionAnswer]) -> Clip:
        assert isinstance(clip.file, ClipFile)
        captions = tuple(
            WindowCaption(window.start_frame, window.end_frame, answer)
            for window, answer in zip(clip.file.windows, answers, strict=True)
        )
        count(
            self._context.progress_folder,
            windows_captioned=len(captions),
            windows_with_caption=sum(answer.status in CAPTIONED for answer in answers),
            caption_prompt_tokens=sum(answer.prompt_tokens for answer in answers),
            caption_output_tokens=sum(answer.output_tokens for answer in answers),
        )
        return clip.updated(captions=captions)
